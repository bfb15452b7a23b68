"""The service circle of Porto Alegre: who lives within 15 minutes of a school and of a health post, from real open data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.travel_times import CompiledWalk, nearest_facilities
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.circle.walk_rules import passage_seconds
from gridsvc.formats.osm import read_osm
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.services.walk_networks import walk_penalties

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

KINDS = ("schools", "healthcare")


@pytest.fixture(scope="module")
def place():
    """Walking network, hexagons with people, their doors, and the facilities with the number of their kind."""
    from gridsvc.settings import read_settings

    folder = read_settings().real_data_dir
    if folder is None or not folder.is_dir():
        pytest.skip("no real data: set GRIDSVC_REAL_DATA to the folder that holds it")
    streets = read_osm(folder / "porto_alegre" / "walk_osm.pbf").streets
    streets = streets[streets["is_walkable"].astype(bool)]
    lines = streets["geometry"].to_numpy()
    epsg = zone_of(lines)
    seconds = passage_seconds(streets["passage"].to_numpy(object), streets["passage_share"], walk_penalties())
    network = build_walk_network(to_metric(lines, epsg), layer=streets["layer"].to_numpy(), penalty_s=seconds)
    table = pd.read_csv(folder / "porto_alegre" / "hexgrid.csv").fillna(0)
    xy = shapely.get_coordinates(to_metric(shapely.points(table["lon"], table["lat"]), epsg))
    with_any = [np.flatnonzero(table[kind]) for kind in KINDS]
    targets = attach_points(network, xy[np.concatenate(with_any)])
    lived = (table["population"] > 0).to_numpy()
    return (
        network,
        attach_points(network, xy[lived]),
        table[lived],
        targets,
        np.repeat([0, 1], [len(w) for w in with_any]),
    )


def shares(place, speed_m_s: float) -> np.ndarray:
    network, homes, table, targets, kind = place
    times_s = nearest_facilities(CompiledWalk(network, speed_m_s, 900.0), homes, targets, kind, len(KINDS)).times_s
    people = table["population"].to_numpy(float)
    return (people[:, np.newaxis] * (times_s <= 900.0)).sum(axis=0) / people.sum()


def test_most_people_walk_to_a_school_and_fewer_to_a_health_post(place):
    _, homes, table, _, _ = place

    school, health = shares(place, 1.1)

    assert table["population"].sum() == 812_935
    assert homes.is_attached.mean() > 0.99
    assert 0.94 < school < 0.97
    assert 0.79 < health < 0.82


def test_the_elderly_reach_less(place):
    assert (shares(place, 0.8) < shares(place, 1.1) - 0.1).all()
