"""Redraws that are approved for later, and what comes before them: neither changes the other's grids."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import shapely

from gridsvc.geo.projections import to_metric
from gridsvc.services.dividing import divide
from gridsvc.services.redraw_drafting import draft_copy
from gridsvc.services.redraw_edits import DraftEditor
from gridsvc.services.redraws import approve_redraw
from tests.factories.neighbouring_towns import DISTRICT, EAST, NORTH, WEST, put_neighbours
from tests.factories.undivided_district import EPSG

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
LATER = NOW + timedelta(days=10)
NETWORKS = ("urban", "social")

pytestmark = pytest.mark.postgis


@pytest.fixture
def neighbours(uow):
    put_neighbours(uow, START)
    divide(uow, DISTRICT, at=START, actor="start", processes=1)
    return uow


def split_along_the_eastern_border(uow):
    """Approve, for later, a split of the southernmost unit grid of the western community that adds a vertex to its border."""
    redraw_id = draft_copy(uow, WEST, by="planner", now=NOW)
    units = uow.redraws.grids(redraw_id).query("network == 'urban'")
    bounds = units.bounds
    last = bounds["maxx"] > bounds["maxx"].max() - 1e-6
    code = units.loc[bounds["miny"][last].idxmin(), "code"]
    west, south, east, north = units[units["code"] == code].total_bounds
    line = [(west - 1e-5, (south + north) / 2), (east + 1e-5, (south + north) / 2)]
    DraftEditor(uow, redraw_id, by="planner", at=NOW).split("urban", code, line, "cgcs2000", around_buildings=True)
    approve_redraw(uow, redraw_id, by="manager", now=NOW, in_force_from=LATER)


def vertices_away_from(uow, community):
    """Return the vertices of the other communities' grids that are not on a community's border, by network, grid and instant."""
    boundary = to_metric([uow.divisions.get(community, START)["geometry"]], EPSG)[0]
    found = {}
    for at in (START, NOW, LATER):
        grids = pd.concat([uow.grids.list(network, DISTRICT, at) for network in NETWORKS])
        for network, code, shape in zip(grids["network"], grids["code"], grids.geometry, strict=True):
            xy = shapely.get_coordinates(to_metric([shape], EPSG))
            away = shapely.distance(shapely.points(xy), boundary) > 0.01
            found[at, network, code] = set(map(tuple, xy[away].tolist()))
    return {key: held for key, held in found.items() if not key[2].startswith(community)}


def test_a_redraw_before_another_gives_its_neighbours_vertices_on_the_common_border_only(neighbours):
    split_along_the_eastern_border(neighbours)
    before = vertices_away_from(neighbours, NORTH)
    assert any(
        before[NOW, "social", code] < held
        for (at, network, code), held in before.items()
        if at == LATER and network == "social" and code.startswith(EAST)
    )

    redraw_id = draft_copy(neighbours, NORTH, by="planner", now=NOW)
    approve_redraw(neighbours, redraw_id, by="manager", now=NOW)

    assert vertices_away_from(neighbours, NORTH) == before
