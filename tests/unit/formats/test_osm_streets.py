"""Streets of an OSM file: cut at shared nodes, and only there; buildings and facilities by table."""

from __future__ import annotations

import csv

import pytest

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.osm import read_facility_tags, read_osm
from gridsvc.resources import content_dir

OSM = """<osm version="0.6">
 <node id="1" lon="114.250" lat="30.580"/><node id="2" lon="114.251" lat="30.580"/><node id="3" lon="114.252" lat="30.580"/>
 <node id="4" lon="114.251" lat="30.581"/><node id="5" lon="114.251" lat="30.579"/>
 <node id="6" lon="114.2505" lat="30.5805"><tag k="shop" v="convenience"/><tag k="name" v="便利店"/></node>
 <node id="7" lon="114.2512" lat="30.5812"/><node id="8" lon="114.2514" lat="30.5812"/><node id="9" lon="114.2514" lat="30.5814"/>
 <way id="10"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="primary"/><tag k="name" v="民族路"/></way>
 <way id="11"><nd ref="4"/><nd ref="2"/><tag k="highway" v="footway"/></way>
 <way id="12"><nd ref="5"/><nd ref="99"/><tag k="highway" v="service"/></way>
 <way id="13"><nd ref="7"/><nd ref="8"/><nd ref="9"/><nd ref="7"/><tag k="building" v="school"/><tag k="building:levels" v="3"/></way>
</osm>"""


@pytest.fixture
def extract(tmp_path):
    path = tmp_path / "town.osm"
    path.write_text(OSM, encoding="utf-8")
    return read_osm(path)


def test_ways_are_cut_where_they_share_a_node(extract):
    streets = extract.streets.set_index("street_code")

    assert sorted(streets.index) == ["w10-1", "w10-2", "w11-1"]
    assert (
        streets.loc["w10-1", "geometry"].coords[-1] == streets.loc["w11-1", "geometry"].coords[-1] == (114.251, 30.58)
    )
    assert (streets.loc["w10-2", "name"], streets.loc["w10-2", "street_class"]) == ("民族路", "primary")
    assert extract.counts["highway_ways"] == 3  # one leads out of the extract


def test_buildings_and_facilities_are_taken_by_their_tags(extract):
    building, shop = extract.residences.iloc[0], extract.facilities.iloc[0]

    assert (building["residence_code"], building["use"], building["floors"]) == ("w13", "school", 3)
    assert (shop["facility_code"], shop["kind_code"], shop["name"]) == ("n6", "M101", "便利店")


def test_facility_kinds_of_tags_are_in_the_catalogue():
    with (content_dir("data") / "catalogue" / "facilities.csv").open(encoding="utf-8", newline="") as table:
        known = {row["code"] for row in csv.DictReader(table)}

    assert set(read_facility_tags().values()) <= known


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_file_that_is_no_osm_is_refused(tmp_path, content):
    path = tmp_path / "town.osm.pbf"
    path.write_bytes(content)

    with pytest.raises(FileUnreadableError):
        read_osm(path)


CROSSINGS = """<osm version="0.6">
 <node id="1" lon="114.250" lat="30.580"/>
 <node id="2" lon="114.251" lat="30.580"><tag k="highway" v="crossing"/><tag k="crossing" v="traffic_signals"/></node>
 <node id="3" lon="114.252" lat="30.580"/><node id="4" lon="114.251" lat="30.581"/><node id="5" lon="114.251" lat="30.579"/>
 <node id="6" lon="114.252" lat="30.581"/><node id="7" lon="114.252" lat="30.579"/>
 <node id="8" lon="114.252" lat="30.577"/>
 <way id="20"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="primary"/></way>
 <way id="21"><nd ref="4"/><nd ref="2"/><nd ref="5"/><tag k="highway" v="footway"/></way>
 <way id="22"><nd ref="6"/><nd ref="3"/><nd ref="7"/><tag k="highway" v="footway"/><tag k="bridge" v="yes"/><tag k="layer" v="1"/></way>
 <way id="23"><nd ref="4"/><nd ref="6"/><tag k="highway" v="service"/><tag k="access" v="private"/></way>
 <way id="24"><nd ref="7"/><nd ref="8"/><tag k="highway" v="footway"/><tag k="bridge" v="yes"/><tag k="layer" v="1"/></way>
</osm>"""


@pytest.fixture
def crossings(tmp_path):
    path = tmp_path / "crossings.osm"
    path.write_text(CROSSINGS, encoding="utf-8")
    return read_osm(path)


def test_a_crossing_with_signals_counts_half_on_each_side_of_the_street(crossings):
    streets = crossings.streets.set_index("street_code")

    assert streets.loc[["w21-1", "w21-2"], "passage"].tolist() == ["signal_crossing", "signal_crossing"]
    assert streets.loc[["w21-1", "w21-2"], "passage_share"].tolist() == [0.5, 0.5]
    assert streets.loc[["w20-1", "w20-2"], "passage"].tolist() == ["", ""]  # along the street nobody waits
    assert crossings.counts["signal_crossings"] == 1


def test_an_overpass_is_shared_by_its_pieces_and_by_ways_that_meet(crossings):
    streets = crossings.streets.set_index("street_code")

    pieces = streets.loc[["w22-1", "w22-2", "w24-1"]]
    assert set(pieces["passage"]) == {"overpass"}
    assert pieces["passage_share"].tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert streets.loc["w22-1", "layer"] == 1


def test_private_ways_are_kept_but_not_walked(crossings):
    streets = crossings.streets.set_index("street_code")

    assert streets["is_walkable"].to_dict() == {
        "w20-1": True, "w20-2": True, "w21-1": True, "w21-2": True, "w22-1": True, "w22-2": True, "w24-1": True, "w23-1": False,
    }  # fmt: skip
    assert crossings.counts["street_pieces_not_walkable"] == 1


def test_signals_of_lanes_and_tracks_beside_each_other_are_one_crossing(tmp_path):
    signal = '<tag k="highway" v="crossing"/><tag k="crossing" v="traffic_signals"/>'
    places = [30.5800, 30.5801, 30.5802, 30.5810, 30.5820]  # 11 m apart, then 89 m
    nodes = [
        f'<node id="{n}" lon="114.25" lat="{lat}">{signal if 1 <= n < 4 else ""}</node>' for n, lat in enumerate(places)
    ]
    refs = "".join(f'<nd ref="{n}"/>' for n in range(len(places)))
    path = tmp_path / "lanes.osm"
    path.write_text(
        f'<osm version="0.6">{"".join(nodes)}<way id="30">{refs}<tag k="highway" v="footway"/></way></osm>',
        encoding="utf-8",
    )

    streets = read_osm(path).streets

    assert streets["passage_share"].tolist() == pytest.approx([2.0])
