"""Walking networks of real streets: Wuhan (vehicle streets), Porto Alegre and Helsinki (OpenStreetMap extracts)."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from factories.stored_town import START

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.walk_network import build_walk_network, edge_seconds
from gridsvc.circle.walk_rules import passage_seconds
from gridsvc.formats.osm import read_osm
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.services.importing import import_file
from gridsvc.services.walk_networks import walk_penalties

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def wuhan():
    from gridsvc.settings import read_settings

    folder = read_settings().real_data_dir
    if folder is None or not folder.is_dir():
        pytest.skip("no real data: set GRIDSVC_REAL_DATA to the folder that holds it")
    streets = geopandas.read_parquet(folder / "wuhan" / "streets_osm.parquet")
    lines = streets.geometry.to_numpy()
    return to_metric(lines, zone_of(lines)), streets["highway"].astype(str).tolist()


def osm_network(path):
    """Return the network of an extract, its penalties counted, and the metric lines it is made of."""
    streets = read_osm(path).streets
    streets = streets[streets["is_walkable"].astype(bool)]
    lines = streets["geometry"].to_numpy()
    lines = to_metric(lines, zone_of(lines))
    seconds = passage_seconds(streets["passage"].to_numpy(object), streets["passage_share"], walk_penalties())
    return build_walk_network(lines, layer=streets["layer"].to_numpy(), penalty_s=seconds), lines


def largest(network):
    return int((network.node_component == 0).sum())


def test_wuhan_without_motorways(wuhan):
    lines, classes = wuhan

    network = build_walk_network(lines, classes, trunk_walkable=True)

    # of 87,708 lines 24 are doubles and one joins places that are joined; 11 pairs of the 78,120 node ids share a position
    assert (len(network.edge_u), len(network.node_xy)) == (87_708 - 24 - 1, 78_120 - 11)
    assert largest(network) == 77_932 - 11
    assert network.components.largest_share > 0.99


def test_wuhan_without_trunk_roads_falls_into_parts(wuhan):
    lines, classes = wuhan

    network = build_walk_network(lines, classes)

    assert len(network.edge_u) == 74_722  # of 74,743 lines
    assert network.components.components == 51
    assert network.components.largest_share > 0.99


def test_doors_in_wuhan_attach_as_shapely_has_it(wuhan):
    lines, classes = wuhan
    network = build_walk_network(lines, classes)
    low, high = network.node_xy.min(axis=0), network.node_xy.max(axis=0)
    xy = np.random.default_rng(1).uniform(low, high, (20_000, 2))

    attached = attach_points(network, xy)

    points = shapely.points(xy)
    found, distance = network.tree.query_nearest(points, max_distance=300.0, return_distance=True, all_matches=False)
    assert np.flatnonzero(attached.is_attached).tolist() == found[0].tolist()
    assert attached.access_m[found[0]] == pytest.approx(distance, rel=1e-9, abs=1e-9)


def test_porto_alegre_is_one_network_but_for_its_rim(real_data_dir):
    network, lines = osm_network(real_data_dir / "porto_alegre" / "walk_osm.pbf")

    assert (len(network.node_xy), len(network.edge_u)) == (19_873, 27_117)
    assert (network.components.components, largest(network)) == (63, 19_581)
    assert network.edge_length_m.sum() == pytest.approx(shapely.length(lines).sum(), rel=1e-3)
    # what passes signals, overpasses and underpasses takes longer than its metres
    waits = network.edge_penalty_s > 0
    assert 500 < waits.sum() < 1000
    assert (edge_seconds(network, 1.1)[~waits] == network.edge_length_m[~waits] / 1.1).all()


def test_helsinki_centre_has_underpasses_lifts_and_private_ways(real_data_dir):
    extract = read_osm(real_data_dir / "helsinki" / "centre.osm.pbf")
    network, _ = osm_network(real_data_dir / "helsinki" / "centre.osm.pbf")

    passages = extract.streets["passage"].value_counts()
    assert passages["signal_crossing"] > 200
    assert {"underpass", "overpass", "steps", "elevator"} <= set(passages.index)
    assert extract.counts["street_pieces_not_walkable"] == 138
    assert (len(network.node_xy), len(network.edge_u)) == (3_800, 5_076)
    assert network.components.largest_share > 0.98


@pytest.mark.postgis
def test_access_and_passages_of_helsinki_are_stored(uow, real_data_dir):
    import_file(uow, "osm", real_data_dir / "helsinki" / "centre.osm.pbf", datum=None, valid_from=START)

    streets = uow.streets.list()

    assert (~streets["is_walkable"]).sum() == 138
    assert (streets["passage"] == "signal_crossing").sum() > 200
    shares = streets.loc[streets["passage"] == "signal_crossing", "passage_share"]
    assert shares.between(0.0, 3.0).all()
