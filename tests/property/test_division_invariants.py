"""Random communities: whatever streets, walls, water and buildings are thrown at it, a division is an exact nested partition."""

import numpy as np
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import affinity

from gridsvc.division.communities import CommunityInput
from gridsvc.division.dividing import divide_community
from tests.factories.towns import ORIGIN


def _ragged_ring(rng, centre, radius, corners):
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) + np.linspace(0, 1e-3, corners)
    reach = radius * rng.uniform(0.55, 1.0, corners)
    return centre + np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _boundary(rng, shape):
    rings = [_ragged_ring(rng, ORIGIN, 320.0, int(rng.integers(5, 60)))]
    polygon = shapely.make_valid(shapely.Polygon(rings[0]))
    if shape in ("hole", "both"):
        polygon = polygon.difference(shapely.Polygon(_ragged_ring(rng, ORIGIN + 30, 70.0, 7)).buffer(0))
    if shape in ("islands", "both"):
        for _ in range(int(rng.integers(1, 4))):
            island = shapely.Polygon(_ragged_ring(rng, ORIGIN + rng.uniform(-500, 500, 2), 60.0, 6)).buffer(0)
            polygon = polygon.union(island)
    return polygon


def _streets(rng, count):
    found = []
    for _ in range(count):
        start = ORIGIN + rng.uniform(-380, 380, 2)
        steps = rng.normal(0, 90, (int(rng.integers(1, 6)), 2))
        found.append(shapely.LineString(np.vstack([start, start + np.cumsum(steps, axis=0)])))
    if count and rng.random() < 0.5:
        # a dual carriageway, and a street drawn twice a few millimetres apart
        found.append(affinity.translate(found[0], 9.0, 4.0))
        found.append(affinity.translate(found[0], 0.004, -0.003))
    return found


def _buildings(rng, count):
    found = []
    for _ in range(count):
        x, y = ORIGIN + rng.uniform(-300, 300, 2)
        w, h = rng.uniform(4, 60, 2)
        found.append(affinity.rotate(shapely.box(x, y, x + w, y + h), rng.uniform(0, 180)))
    return found


def _array(items):
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


@st.composite
def communities(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    boundary = _boundary(rng, draw(st.sampled_from(["plain", "hole", "islands", "both"])))
    streets = _streets(rng, draw(st.integers(0, 14)))
    if draw(st.booleans()):
        streets.append(shapely.get_exterior_ring(shapely.get_parts(boundary)[0]))
    buildings = _buildings(rng, draw(st.integers(0, 90)))
    water = [shapely.LineString(ORIGIN + rng.uniform(-400, 400, (3, 2))).buffer(rng.uniform(2, 30))] * draw(
        st.integers(0, 1)
    )
    return CommunityInput(
        code="420103001001",
        boundary=boundary,
        streets=_array(streets),
        barriers=_array(_streets(rng, draw(st.integers(0, 4)))),
        water=_array(water),
        buildings=_array(buildings),
        households=rng.integers(0, 90, len(buildings)),
        population=rng.integers(0, 200, len(buildings)),
    )


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)
@given(communities())
def test_a_division_is_an_exact_nested_partition_that_spares_every_building(community):
    division = divide_community(community)

    boundary, units, grids = community.boundary, division.unit_grids, division.governance_grids
    assert abs(shapely.area(units).sum() - boundary.area) < 1e-3
    assert shapely.union_all(units, grid_size=0.001).symmetric_difference(boundary).area < 0.01 * boundary.length
    assert shapely.coverage_is_valid(units) and shapely.coverage_is_valid(grids)
    assert (shapely.get_type_id(units) == 3).all() and shapely.is_valid(units).all()
    corners = {tuple(c) for c in shapely.get_coordinates(boundary)}
    assert corners <= {tuple(c) for c in shapely.get_coordinates(units)}
    for building in community.buildings:
        inside = building.intersection(boundary)
        # the community boundary itself may cut a building; what it leaves in one piece stays in one grid
        for part in shapely.get_parts(inside):
            assert (shapely.area(shapely.intersection(units, part)) > 1e-6).sum() <= 1
    for index, grid in enumerate(grids):
        members = units[division.governance_of_unit == index]
        assert len(members)
        assert abs(shapely.area(members).sum() - grid.area) < 1e-3
        assert shapely.covers(grid.buffer(1e-6), members).all()
    held = division.unit_of_building >= 0
    assert division.unit_households.sum() == division.governance_households.sum() == community.households[held].sum()


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)
@given(communities())
def test_the_same_community_is_always_divided_the_same(community):
    first, second = divide_community(community, seed=3), divide_community(community, seed=3)

    assert (shapely.to_wkb(first.unit_grids) == shapely.to_wkb(second.unit_grids)).all()
    assert (first.governance_of_unit == second.governance_of_unit).all()
