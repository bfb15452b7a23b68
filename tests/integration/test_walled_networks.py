"""Walking networks with walls, gates and penalties: imported, built, stored, read back, shared as a file."""

import os

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from gridsvc.errors import DatumMissingError, FileUnreadableError, ImportRefusedError, RequestInvalidError
from gridsvc.geo.datums import convert
from gridsvc.geo.projections import to_storage
from gridsvc.services import walk_networks
from gridsvc.services.circles import circle_standards, run_circle
from gridsvc.services.compiled_network import load_network, save_network
from gridsvc.services.importing import import_file
from gridsvc.services.walk_networks import BuildOptions, build_network, compile_network, network_at
from tests.factories.stored_town import DISTRICT, LATER, START, frame
from tests.factories.walking_town import (
    BLOCK_M,
    EPSG,
    MIDDLE,
    block_estate,
    put_estate,
    put_town,
    shops,
    walking_streets,
)

pytestmark = pytest.mark.postgis

STANDARD = "beijing-convenience"
KINDS = list(circle_standards()[STANDARD].codes)


@pytest.fixture
def town(uow):
    put_town(uow, shops(KINDS, [MIDDLE]))
    return uow


@pytest.fixture
def walled(town):
    put_estate(town)
    return town


def test_walls_and_gates_are_counted_and_what_is_left_out_is_named(walled):
    result = build_network(walled, DISTRICT, START)

    assert (result.compounds, result.gates, result.wall_gaps) == (1, 2, 3)
    assert result.gates_on_no_wall == ["G9"]
    assert result.components == 1


def test_a_network_is_read_back_as_it_was_stored(walled):
    compiled, _ = compile_network(walled, DISTRICT, START, 1200.0)
    walk_networks.store_snapshot(walled, DISTRICT, START, compiled)

    again = walk_networks._load(walled, walled.walk_networks.latest(DISTRICT), START)

    for name in ("edge_u", "edge_v", "edge_length_m", "edge_penalty_s", "edge_gate", "edge_closed_by", "edge_compound"):
        assert (getattr(again.network, name) == getattr(compiled.network, name)).all(), name
    assert again.passages.code == compiled.passages.code == ("G1", "G9", "", "", "")
    assert again.passages.hours[0] == "06:00-22:00"
    assert again.compounds.code == ("E1",)
    assert shapely.hausdorff_distance(again.compounds.outline[0], compiled.compounds.outline[0]) < 0.001
    assert again.build == compiled.build


def test_gates_close_by_the_hour(walled):
    build_network(walled, DISTRICT, START)

    day, night = (network_at(walled, *MIDDLE, START, hour=hour).network for hour in (12.0, 23.0))

    assert set(day.edge_closed_by) == {-1, 2, 3, 4}
    assert set(night.edge_closed_by) == {-1, 0, 2, 3, 4}
    assert day.edge_grid is night.edge_grid


@pytest.mark.parametrize("hour", [-1.0, 24.0, float("nan")])
def test_an_hour_that_is_none_is_refused(walled, hour):
    build_network(walled, DISTRICT, START)

    with pytest.raises(RequestInvalidError, match="no hour"):
        network_at(walled, *MIDDLE, START, hour=hour)


def test_closing_the_gates_by_night_takes_the_shop_away(walled):
    by_day = run_circle(walled, DISTRICT, at=START, standard=STANDARD, hour=12.0)
    by_night = run_circle(walled, DISTRICT, at=START, standard=STANDARD, hour=23.0)

    # two homes lie within the walls
    assert by_night.population_covered["J01"] == 2 * 90 < by_day.population_covered["J01"]


def test_the_file_of_a_network_holds_all_of_it(walled, tmp_path):
    compiled, _ = compile_network(walled, DISTRICT, START, 1200.0)

    save_network(tmp_path / "one.walk", compiled)
    loaded = load_network(tmp_path / "one.walk")

    assert loaded.network.content_sha256 == compiled.network.content_sha256
    assert (loaded.network.edge_grid.pieces == compiled.network.edge_grid.pieces).all()
    assert loaded.passages.code == compiled.passages.code
    assert loaded.compounds.outline[0] == compiled.compounds.outline[0]
    assert not loaded.network.edge_length_m.flags.writeable


def test_processes_share_the_file_of_the_hash_and_mend_a_damaged_one(walled, tmp_path, monkeypatch):
    walled.cache_dir = tmp_path
    build_network(walled, DISTRICT, START)
    sha = walled.walk_networks.latest(DISTRICT)["content_sha256"]
    monkeypatch.setattr(walk_networks, "_recent", walk_networks._RecentNetworks())
    first = network_at(walled, *MIDDLE, START)
    (tmp_path / f"{sha}.walk").unlink()  # not cut short in place: this process has it mapped
    (tmp_path / f"{sha}.walk").write_bytes(b"gridsvc arrays 1 and nothing")
    with pytest.raises(FileUnreadableError):
        load_network(tmp_path / f"{sha}.walk")

    monkeypatch.setattr(walk_networks, "_recent", walk_networks._RecentNetworks())
    again = network_at(walled, *MIDDLE, START)

    assert [path.name for path in tmp_path.iterdir()] == [f"{sha}.walk"]
    assert again.network.content_sha256 == first.network.content_sha256
    assert load_network(tmp_path / f"{sha}.walk").network.content_sha256 == first.network.content_sha256


def test_files_of_older_networks_are_forgotten(walled, tmp_path, monkeypatch):
    walled.cache_dir = tmp_path
    for number in range(walk_networks._KEPT_FILES + 2):
        (tmp_path / f"{number}.walk").touch()
        os.utime(tmp_path / f"{number}.walk", ns=(number, number))
    build_network(walled, DISTRICT, START)
    monkeypatch.setattr(walk_networks, "_recent", walk_networks._RecentNetworks())

    network_at(walled, *MIDDLE, START)

    kept = {path.name for path in tmp_path.glob("*.walk")}
    assert len(kept) == walk_networks._KEPT_FILES
    assert f"{walled.walk_networks.latest(DISTRICT)['content_sha256']}.walk" in kept
    assert not {"0.walk", "1.walk", "2.walk"} & kept


def test_walls_drawn_as_lines_with_openings_are_compounds_with_gates(town):
    outline, gate = block_estate()
    opening = shapely.Point(gate).buffer(3.0)
    walls = shapely.get_parts(shapely.LineString(outline.exterior.coords).difference(opening))
    town.barriers.put_frame(
        frame({"barrier_code": [f"B{i}" for i in range(len(walls))], "kind": "wall"}, to_storage(walls, EPSG))
    )

    result = build_network(town, DISTRICT, START)

    assert (result.compounds, result.gates, result.wall_gaps) == (1, 1, 3)


def test_penalties_are_those_of_the_table_unless_told_otherwise(town):
    streets = walking_streets()
    streets["passage"], streets["passage_share"] = "", 0.0
    streets.loc[[0, 1], "passage"] = "signal_crossing"
    streets.loc[[0, 1], "passage_share"] = [0.5, 1.0]
    town.streets.put_frame(streets)

    assert build_network(town, DISTRICT, START).penalty_s == pytest.approx(60.0)
    assert build_network(town, DISTRICT, START, options=BuildOptions(has_penalties=False)).penalty_s == 0.0
    longer = build_network(town, DISTRICT, LATER, options=BuildOptions(penalties={"signal_crossing": 60.0}))
    assert longer.penalty_s == pytest.approx(90.0)
    # a coverage is computed on the network as it was built last
    run = run_circle(town, DISTRICT, at=LATER, standard=STANDARD)
    assert run.walk_network_id == longer.walk_network_id


@pytest.mark.parametrize("options", [BuildOptions(join_m=9.0), BuildOptions(penalties={"ford": 5.0})])
def test_impossible_options_are_refused(town, options):
    with pytest.raises(RequestInvalidError):
        build_network(town, DISTRICT, START, options=options)


def test_each_home_says_where_its_walk_begins(walled):
    result = run_circle(walled, DISTRICT, at=START, standard=STANDARD)

    origins = walled.circle_runs.times(result.circle_run_id)["origin"]

    assert origins.value_counts().to_dict() == {"entrance": 8, "centroid": 8}


def test_homes_in_a_compound_without_streets_begin_at_its_gates(town):
    outline = shapely.transform(block_estate()[0], lambda xy: xy)
    west, south, _, _ = outline.bounds
    yard = shapely.box(west + 5, south + 5, west + BLOCK_M - 20, south + BLOCK_M - 20)  # within one block
    town.compounds.put_frame(frame({"compound_code": ["Y1"]}, to_storage([yard], EPSG)))
    gate = to_storage([shapely.Point(yard.bounds[0] + 40, yard.bounds[1])], EPSG)
    town.gates.put_frame(frame({"gate_code": ["Y1-1"]}, gate))
    home = to_storage([yard.centroid.buffer(5.0)], EPSG)
    town.residences.put_frame(frame({"residence_code": ["HY"], "households": 10, "population": 20}, home), at=START)

    result = run_circle(town, DISTRICT, at=START, standard=STANDARD)

    times = town.circle_runs.times(result.circle_run_id).set_index("residence_code")
    assert times.loc["HY", "origin"] == "gate"
    assert result.doubts.residences_from_gate == (times["origin"] == "gate").sum() == 2
    assert times.loc["HY", "walk_s"]["J01"] > 0


def write_csv(path, columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_gates_and_compounds_are_imported(town, tmp_path):
    outline, gate = block_estate()
    lon, lat = shapely.get_coordinates(to_storage([shapely.Point(gate)], EPSG))[0]
    areas = geopandas.GeoDataFrame(
        {"小区编码": ["E1"], "名称": ["花园"]}, geometry=to_storage([outline], EPSG), crs=4490
    )
    areas.to_file(tmp_path / "areas.gpkg")
    points = {
        "出入口编码": ["G1", "G2"],
        "lon": [lon, lon + 0.01],
        "lat": lat,
        "关闭": ["否", "是"],
        "开放时间": ["06:00-22:00", ""],
    }

    for kind, path in (("compounds", tmp_path / "areas.gpkg"), ("gates", write_csv(tmp_path / "gates.csv", points))):
        assert import_file(town, kind, path, datum="cgcs2000", valid_from=START).refused == []

    stored = town.gates.list()
    assert town.compounds.list()["compound_code"].tolist() == ["E1"]
    assert stored["is_closed"].tolist() == [False, True]
    assert stored["hours"].tolist() == ["06:00-22:00", ""]
    assert build_network(town, DISTRICT, START).gates_on_no_wall == ["G2"]


def test_gates_that_say_nothing_clear_are_refused_by_row(town, tmp_path):
    path = write_csv(
        tmp_path / "gates.csv",
        {
            "gate_code": ["G1", "G1", "G3"],
            "lon": 114.26,
            "lat": 30.59,
            "is_closed": ["maybe", "", ""],
            "hours": ["", "", "early"],
        },
    )

    with pytest.raises(ImportRefusedError) as caught:
        import_file(town, "gates", path, datum="wgs84", valid_from=START)

    assert {(row.row, row.field) for row in caught.value.rows} >= {(1, "is_closed"), (3, "hours"), (2, "gate_code")}
    assert town.gates.list().empty


def test_streets_in_another_datum_make_the_same_network_and_none_is_guessed(uow, tmp_path):
    from tests.factories.stored_town import division_frame

    uow.divisions.put_frame(division_frame(), START)
    streets = walking_streets()[["street_code", "street_class", "geometry"]]
    moved = shapely.transform(
        streets.geometry.to_numpy(), lambda xy: np.column_stack(convert(xy[:, 0], xy[:, 1], "cgcs2000", "gcj02"))
    )
    shifted = write_csv(
        tmp_path / "s.csv", {**streets.drop(columns="geometry"), "wkt": shapely.to_wkt(moved, rounding_precision=9)}
    )

    with pytest.raises(DatumMissingError):
        import_file(uow, "streets", shifted, datum=None, valid_from=START)
    import_file(uow, "streets", shifted, datum="gcj02", valid_from=START)
    network, _ = compile_network(uow, DISTRICT, START, 1200.0)

    uow.streets.put_frame(walking_streets())
    plain, _ = compile_network(uow, DISTRICT, START, 1200.0)
    assert np.abs(network.network.node_xy - plain.network.node_xy).max() < 0.01


def test_an_imported_passage_is_one_of_those_known(uow, tmp_path):
    path = write_csv(
        tmp_path / "s.csv",
        {
            "street_class": ["footway", "footway"],
            "过街方式": ["过街天桥", "ferry"],
            "wkt": ["LINESTRING (114.25 30.58, 114.251 30.58)"] * 2,
        },
    )

    with pytest.raises(ImportRefusedError) as caught:
        import_file(uow, "streets", path, datum="wgs84", valid_from=START)
    assert [(row.row, row.field) for row in caught.value.rows] == [(2, "passage")]
    import_file(uow, "streets", path, datum="wgs84", valid_from=START, partial=True)

    assert uow.streets.list()[["passage", "passage_share"]].to_numpy().tolist() == [["overpass", 1.0]]
