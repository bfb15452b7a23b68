"""Communities of odd shapes, each divided exactly: no gap, no overlap, nested, contiguous, no building cut.

Whether a division is sound is judged by ``gridsvc.geo.partitions``, which shares no code with the checks of the division itself.
"""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely import affinity

from gridsvc.division.communities import DivisionRules
from gridsvc.division.dividing import divide_community
from gridsvc.division.quality import compactness
from gridsvc.errors import GeometryError
from gridsvc.geo.partitions import check_partition, is_exact, node_shared_vertices
from tests.factories.towns import ORIGIN, box, boxes, building_rows, lines, town

RULES = DivisionRules()


def array(*items):
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


def divided(community, **options):
    """Return the division of a community after judging that it is sound."""
    division = divide_community(community, **options)
    assert_sound(community, division)
    return division


def assert_sound(community, division):
    """Refuse a division that is not exact, nested, contiguous, that cuts a building or loses a household."""
    boundary, units, grids = community.boundary, division.unit_grids, division.governance_grids
    for level in (units, grids):
        report = check_partition(boundary, level)
        assert report.gap_area_m2 == report.overlap_area_m2 == 0.0
        assert is_exact(level)
        assert shapely.area(level).sum() == pytest.approx(boundary.area, abs=1e-3)
    assert (shapely.get_type_id(units) == shapely.GeometryType.POLYGON).all()
    most_parts = shapely.get_num_geometries(boundary)
    assert shapely.get_num_geometries(grids).max() <= most_parts
    for index, grid in enumerate(grids):
        members = shapely.coverage_union_all(units[division.governance_of_unit == index])
        assert shapely.equals(members, grid)
        for part in shapely.get_parts(boundary):
            assert shapely.get_num_geometries(shapely.intersection(grid, part.buffer(-0.001))) <= 1
    for building in community.buildings:
        for part in shapely.get_parts(shapely.intersection(building, boundary)):
            assert (shapely.area(shapely.intersection(units, part)) > 1e-6).sum() <= 1
    assert shapely.area(units).min() > 0
    held = division.unit_of_building >= 0
    households = community.households[held].sum() if len(community.households) else 0
    assert division.unit_households.sum() == division.governance_households.sum() == households


def clear_of(buildings, *obstacles):
    """Return the buildings that touch none of the obstacles."""
    return buildings[~shapely.intersects(buildings, shapely.union_all(array(*obstacles)))]


def settled(buildings, each=32, **changes):
    """Return a town with these buildings and the same households in each."""
    return town(buildings=buildings, households=np.full(len(buildings), each), **changes)


def reaches_over(grids, one_side, other_side, at_least_m2=50.0):
    """Return how many grids have land on both sides."""
    both = (shapely.area(shapely.intersection(grids, side)) > at_least_m2 for side in (one_side, other_side))
    return int(np.logical_and(*both).sum())


# ------------------------------------------------------------------------------------------- shapes of the community


def test_a_hole_stays_a_hole():
    hole = box(200, 200, 300, 280)
    community = settled(clear_of(town().buildings, hole), boundary=shapely.difference(box(0, 0, 520, 480), hole))
    division = divided(community)

    assert shapely.area(shapely.intersection(division.unit_grids, hole)).sum() == 0.0


def test_two_holes_and_a_hole_that_touches_the_border_in_one_point_stay():
    triangle = shapely.Polygon(ORIGIN + np.array([(0, 240), (60, 200), (60, 280)]))
    holes = (box(200, 200, 300, 280), box(330, 60, 331, 420), triangle)
    boundary = box(0, 0, 520, 480)
    for hole in holes:
        boundary = shapely.difference(boundary, hole)
    division = divided(settled(clear_of(town().buildings, *holes), boundary=boundary))

    assert shapely.area(shapely.intersection(division.unit_grids, shapely.union_all(holes))).sum() == 0.0


def test_each_part_of_a_multipart_community_with_enough_households_has_its_own_grids():
    west, east = box(0, 0, 260, 240), box(400, 0, 660, 240)
    buildings = building_rows(260, 240)
    buildings = np.concatenate([buildings, array(*[affinity.translate(b, 400) for b in buildings])])
    division = divided(settled(buildings, 35, boundary=shapely.MultiPolygon([west, east])))

    assert reaches_over(division.governance_grids, west, east) == 0
    assert reaches_over(division.unit_grids, west, east) == 0
    assert ((division.governance_households >= 300) & (division.governance_households <= 500)).all()


def test_a_small_part_joins_the_nearest_governance_grid_and_keeps_a_unit_grid_of_its_own():
    islet = box(400, 0, 420, 30)
    community = settled(boxes((30, 30, 90, 60)), 350, boundary=shapely.MultiPolygon([box(0, 0, 260, 240), islet]))
    division = divided(community)

    assert len(division.governance_grids) == 1 and division.governance_grids[0].geom_type == "MultiPolygon"
    assert shapely.intersects(division.unit_grids, islet).sum() == 1


def test_parts_that_meet_in_one_point_stay_two_parts():
    boundary = shapely.MultiPolygon([box(0, 0, 200, 200), box(200, 200, 400, 400)])
    division = divided(settled(boxes((30, 30, 90, 60), (230, 230, 290, 260)), 350, boundary=boundary))

    assert len(division.governance_grids) == 2


def test_an_enclave_and_the_community_around_it_are_exact_together():
    enclave = affinity.rotate(box(180, 160, 330, 310), 20)
    around = shapely.difference(box(0, 0, 520, 480), enclave)
    inside = [b for b in town().buildings if enclave.buffer(-1).covers(b)]
    outer = settled(clear_of(town().buildings, enclave), boundary=around)
    inner = settled(array(*inside), 90, boundary=enclave, code="420103001002")
    outer_division, inner_division = divided(outer), divided(inner)

    together = node_shared_vertices(np.concatenate([outer_division.unit_grids, inner_division.unit_grids]))
    report = check_partition(shapely.union(around, enclave, grid_size=0.001), together)
    assert is_exact(together)
    assert report.gap_area_m2 == report.overlap_area_m2 == 0.0
    assert reaches_over(together, around, enclave, at_least_m2=0.01) == 0


def test_a_community_smaller_than_one_grid_is_one():
    community = town(
        boundary=box(0, 0, 40, 60), streets=lines([(20, -5), (20, 65)]), buildings=boxes((4, 4, 12, 20)),
        households=np.array([9]), population=np.array([20]),
    )  # fmt: skip
    division = divided(community)

    assert len(division.unit_grids) == len(division.governance_grids) == 1
    assert division.unit_grids[0].equals(box(0, 0, 40, 60))
    assert "1 of 1 governance grids are outside 300-500 households" in division.notes


def test_a_spit_of_land_one_metre_wide_is_kept():
    boundary = shapely.union(box(0, 0, 260, 240), box(260, 100, 460, 101))
    division = divided(settled(boxes((30, 30, 90, 60)), 350, boundary=boundary))

    assert shapely.area(shapely.intersection(division.unit_grids, box(261, 90, 470, 110))).sum() == pytest.approx(199)


# ----------------------------------------------------------------------------------------------- water and streets

RIVER = affinity.rotate(box(-100, 205, 620, 265), 4)
NORTH = shapely.difference(box(-50, 200, 570, 500), shapely.union(RIVER, affinity.translate(RIVER, 0, -60)))
SOUTH = shapely.difference(box(-50, -50, 570, 265), shapely.union(RIVER, affinity.translate(RIVER, 0, 60)))


def river_town(streets):
    return settled(clear_of(town().buildings, RIVER.buffer(4)), 45, water=array(RIVER), streets=streets)


@pytest.mark.parametrize("bridges", [True, False], ids=["bridged", "without a bridge"])
def test_no_governance_grid_reaches_across_a_river_whose_banks_have_enough_households(bridges):
    streets = town().streets if bridges else shapely.difference(town().streets, RIVER.buffer(6))
    community = river_town(streets)
    division = divided(community)

    # a strip of embankment without buildings between bank and street may go with the water
    assert reaches_over(division.governance_grids, NORTH, SOUTH, at_least_m2=2_000.0) == 0
    north, south = (
        {division.governance_of_unit[u] for u in division.unit_of_building[shapely.within(community.buildings, side)]}
        for side in (NORTH, SOUTH)
    )
    assert not north & south
    assert ((division.governance_households >= 300) & (division.governance_households <= 500)).mean() >= 0.8


def test_only_bridges_divide_a_river():
    division = divided(river_town(town().streets))

    borders = shapely.union_all(shapely.boundary(division.unit_grids)).difference(division_edge(division))
    afloat = shapely.intersection(borders, RIVER.buffer(-1.0))
    assert afloat.length > 0
    assert afloat.difference(shapely.union_all(town().streets).buffer(0.1)).length == 0.0


def division_edge(division):
    """Return the outer border of a division, a little wider than a line."""
    return shapely.boundary(shapely.coverage_union_all(division.unit_grids)).buffer(0.01)


def test_a_community_that_is_all_water_is_one_unit_grid():
    division = divided(town(buildings=town().buildings[:0], households=np.zeros(0, int), population=np.zeros(0, int),
                            streets=lines([(0, 0), (1, 1)])[:0], water=array(box(-9, -9, 530, 490))))  # fmt: skip

    assert len(division.governance_grids) == 1 and len(division.unit_grids) <= 3


def test_cul_de_sacs_leave_no_strange_grids():
    lanes = lines([(65, 0), (65, 80)], [(195, 480), (195, 400), (230, 400)], [(390, 240), (455, 240)])
    division = divided(town(streets=np.concatenate([town().streets, lanes])))

    assert len(division.unit_grids) == pytest.approx(len(divided(town()).unit_grids), abs=3)
    assert compactness(division.unit_grids).min() > 0.25


def test_a_street_dangling_inside_a_block_leaves_no_trace():
    dangling = lines([(60, 20), (60, 30)], [(300, 300), (310, 305)])
    division = divided(town(streets=np.concatenate([town().streets, dangling])))

    assert len(division.unit_grids) == pytest.approx(len(divided(town()).unit_grids), abs=3)


def test_streets_that_cross_without_a_node_and_miss_by_a_metre_still_enclose():
    ends_short = lines([(125, 1.5), (125, 63.5)], [(125, 66.5), (125, 129)], [(-5, 65), (255, 65)])
    division = divided(
        town(boundary=box(0, 0, 250, 130), streets=ends_short,
             buildings=boxes(*[(x, y, x + 50, y + 20) for x in (20, 160) for y in (20, 90)]),
             households=np.full(4, 400), population=np.full(4, 900))
    )  # fmt: skip

    assert len(division.governance_grids) == 4
    assert division.border_on_lines_m == pytest.approx(250 + 130, abs=8)


def test_two_loose_ends_that_both_miss_their_junction_meet():
    broken = lines([(125, -5), (125, 63.2)], [(126.5, 66.4), (127, 140)])
    division = divided(
        town(boundary=box(0, 0, 250, 130), streets=broken, buildings=boxes((20, 20, 70, 40), (180, 20, 230, 40)),
             households=np.full(2, 400), population=np.full(2, 900))
    )  # fmt: skip

    assert len(division.governance_grids) == 2
    assert division.border_on_lines_m == pytest.approx(130, abs=5)


def test_a_street_that_crosses_itself_encloses_its_loop():
    loop = lines([(-10, 240), (300, 240), (300, 380), (200, 380), (200, 100), (530, 100)])
    within = boxes((215, 260, 285, 275), (215, 320, 285, 335))
    buildings = np.concatenate([clear_of(town().buildings, loop[0].buffer(6), box(200, 240, 300, 380)), within])
    households = np.full(len(buildings), 32)
    households[-2:] = 200
    division = divided(town(buildings=buildings, households=households, streets=loop))

    looped = division.governance_grids[division.governance_of_unit[division.unit_of_building[-1]]]
    assert shapely.symmetric_difference(looped, box(200, 240, 300, 380)).area < 0.01 * looped.area


CARRIAGEWAYS = [(200, 212), (255, 263)]


@pytest.mark.parametrize(("left", "right"), CARRIAGEWAYS, ids=["12 m apart", "8 m apart"])
def test_the_strip_of_a_dual_carriageway_is_no_grid_of_its_own(left, right):
    strip = box(left, 0, right, 480)
    streets = lines([(left, -10), (left, 500)], [(right, -10), (right, 500)], [(-10, 240), (530, 240)])
    division = divided(settled(clear_of(town().buildings, strip.buffer(3)), streets=streets))

    inside = shapely.area(shapely.intersection(division.unit_grids, strip)) / shapely.area(division.unit_grids)
    assert inside.max() < 0.5
    assert compactness(division.unit_grids).min() > 0.2


def test_a_roundabout_is_no_grid_of_its_own():
    middle = shapely.Point(ORIGIN[0] + 260, ORIGIN[1] + 240)
    ring, outer = middle.buffer(18), middle.buffer(27)
    arms = lines([(-10, 240), (242, 240)], [(278, 240), (530, 240)], [(260, -10), (260, 222)], [(260, 258), (260, 490)])
    streets = np.concatenate([arms, array(ring.exterior, outer.exterior)])
    division = divided(settled(clear_of(town().buildings, outer.buffer(5)), streets=streets))

    # the arms may run on through the island, which then falls to the grids around it
    share = shapely.area(shapely.intersection(division.unit_grids, outer)) / shapely.area(division.unit_grids)
    assert share.max() < 0.25
    assert shapely.area(division.unit_grids).min() > 5_000
    assert compactness(division.unit_grids).min() > 0.2


def test_without_streets_the_grids_are_cut_between_buildings_and_the_note_says_so():
    division = divided(town(streets=town().streets[:0]))

    assert "no streets are known here" in division.notes
    assert ((division.governance_households >= 300) & (division.governance_households <= 500)).all()
    assert division.border_on_lines_m == 0


def test_a_compound_of_50_000_m2_without_a_street_inside_is_cut_between_its_buildings():
    buildings = boxes(*[(x, y, x + 40, y + 13) for x in (15, 75, 135, 190) for y in range(10, 200, 30)])
    walls = lines([(5, 5), (240, 5), (240, 200), (5, 200), (5, 5)])
    division = divided(settled(buildings, 40, boundary=box(0, 0, 245, 205), streets=town().streets[:0], barriers=walls))

    assert len(division.governance_grids) == 3 and 4 <= len(division.unit_grids) <= 6
    assert (np.abs(shapely.area(division.unit_grids) / 10_000 - 1) <= 0.5).all()
    assert ((division.governance_households >= 300) & (division.governance_households <= 500)).all()


# ----------------------------------------------------------------------------------------- buildings and households


def test_a_building_across_the_border_of_two_communities_counts_in_one_of_them():
    west, east = box(0, 0, 260, 240), box(260, 0, 520, 240)
    across, along = boxes((240, 100, 270, 140), (250, 180, 290, 200))
    buildings = np.concatenate([clear_of(building_rows(520, 240), box(230, 0, 300, 240)), array(across, along)])
    western = settled(buildings, 30, boundary=west)
    eastern = settled(buildings, 30, boundary=east, code="420103001002")
    divisions = [divided(western), divided(eastern)]

    counted = sum((division.unit_of_building >= 0).astype(int) for division in divisions)
    assert (counted == 1).all()
    assert divisions[0].unit_of_building[-2] >= 0 and divisions[1].unit_of_building[-1] >= 0
    together = node_shared_vertices(np.concatenate([division.unit_grids for division in divisions]))
    assert is_exact(together)


def test_a_tower_of_600_households_stays_in_one_grid_which_the_note_says_exceeds_the_bounds():
    buildings = np.concatenate([clear_of(town().buildings, box(130, 130, 260, 260)), boxes((180, 180, 210, 210))])
    households = np.full(len(buildings), 32)
    households[-1] = 600
    division = divided(town(buildings=buildings, households=households))

    tower = division.governance_of_unit[division.unit_of_building[-1]]
    assert division.governance_households[tower] >= 600
    assert f"1 of {len(division.governance_grids)} governance grids are outside 300-500 households" in division.notes


def test_without_households_there_is_one_governance_grid_with_its_unit_grids():
    division = divided(town(households=np.zeros(88, dtype=int), population=np.zeros(88, dtype=int)))

    assert len(division.governance_grids) == 1 and len(division.unit_grids) > 15
    assert "1 of 1 governance grids are outside 300-500 households" in division.notes


def test_without_buildings_and_streets_there_is_one_governance_grid():
    empty = np.zeros(0, dtype=int)
    division = divided(town(buildings=town().buildings[:0], households=empty, population=empty, streets=lines()))

    assert len(division.governance_grids) == 1


def test_a_building_larger_than_a_unit_grid_stays_whole():
    hall = box(140, 140, 380, 350)
    division = divided(settled(np.concatenate([clear_of(town().buildings, hall.buffer(3)), array(hall)])))

    assert shapely.area(division.unit_grids[division.unit_of_building[-1]]) >= hall.area


def test_a_building_that_fills_the_community_leaves_one_unit_grid():
    division = divided(settled(boxes((0, 0, 120, 90)), 400, boundary=box(0, 0, 120, 90)))

    assert len(division.unit_grids) == 1


# ------------------------------------------------------------------------------------------------------- 1 mm slivers


def test_a_slit_of_one_millimetre_in_the_boundary_is_kept_exactly():
    boundary = shapely.difference(box(0, 0, 520, 480), box(300, -1, 300.001, 50))
    division = divided(settled(clear_of(town().buildings, box(299, 0, 302, 51)), boundary=boundary))

    assert shapely.area(division.unit_grids).sum() == pytest.approx(boundary.area, abs=1e-6)


def test_a_spike_of_one_millimetre_on_the_boundary_is_kept_exactly():
    boundary = shapely.union(box(0, 0, 520, 480), box(300, -50, 300.001, 0))
    division = divided(town(boundary=boundary))

    assert shapely.area(shapely.intersection(division.unit_grids, box(299, -60, 301, 0))).sum() == pytest.approx(0.05)


def test_buildings_one_millimetre_apart_stay_whole():
    pair = boxes((150, 150, 190, 180), (190.001, 150, 230, 180), (150, 180.001, 230, 200))
    buildings = np.concatenate([clear_of(town().buildings, box(140, 140, 240, 210)), pair])
    division = divided(settled(buildings))

    assert len(set(division.unit_of_building[-3:])) == 1


def test_streets_drawn_twice_one_millimetre_apart_divide_like_one():
    once = town()
    twice = np.concatenate([once.streets, array(*[affinity.translate(s, 0.001, 0.001) for s in once.streets])])
    division = divided(replace(once, streets=twice))

    assert len(division.unit_grids) == len(divided(once).unit_grids)
    assert shapely.area(division.unit_grids).min() > 5_000


def test_a_street_along_the_boundary_makes_no_slivers():
    ring = lines([(0.3, 0.2), (519.8, 0.4), (519.7, 479.6), (0.1, 479.9), (0.3, 0.2)])
    division = divided(town(streets=np.concatenate([town().streets, ring])))

    assert shapely.area(division.unit_grids).min() > 5_000


def test_vertices_of_the_boundary_one_millimetre_apart_are_all_kept():
    boundary = shapely.segmentize(box(0, 0, 520, 480), 130.0)
    close = np.repeat(shapely.get_coordinates(boundary), 2, axis=0)[1:]
    step = np.roll(close, -1, axis=0) - close
    close[::2] += 0.001 * step[::2] / np.maximum(np.hypot(*step[::2].T), 1e-9)[:, None]
    boundary = shapely.Polygon(close)
    division = divided(town(boundary=boundary))

    kept = {tuple(c) for c in shapely.get_coordinates(division.unit_grids)}
    assert {tuple(c) for c in shapely.get_coordinates(boundary)} <= kept


# ---------------------------------------------------------------------------------------------------- invalid shapes


@pytest.mark.parametrize(
    ("boundary", "reason"),
    [
        (shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)]), "Self-intersection"),
        (
            shapely.Polygon([(0, 0), (100, 0), (100, 100), (50, 100), (50, 140), (50, 100), (0, 100)]),
            "Self-intersection",
        ),
        (
            shapely.Polygon([(0, 0), (100, 0), (100, 100), (0, 100)], [[(90, 50), (120, 50), (120, 60)]]),
            "Self-intersection",
        ),
        (shapely.MultiPolygon([shapely.box(0, 0, 100, 100), shapely.box(50, 50, 150, 150)]), "Self-intersection"),
    ],
    ids=["bow-tie", "spike without area", "hole that sticks out", "parts that overlap"],
)
def test_an_invalid_boundary_is_refused_with_its_reason_and_the_way_to_mend_it(boundary, reason):
    with pytest.raises(GeometryError, match=rf"Community 420103001001 has an invalid boundary: {reason}") as refused:
        divide_community(town(boundary=boundary))

    assert "--repair" in refused.value.hint
