"""Editing small squares by hand, judged by eye: what each operation does, and what it refuses."""

import numpy as np
import pytest
import shapely

from gridsvc.division.editable_grids import EditRules, apportioned, editable_grids
from gridsvc.division.editing import merge, move_border, move_building, move_unit, split
from gridsvc.errors import CodeDuplicateError, ConflictError, GeometryError, NotFoundError, PartitionError
from gridsvc.geo.partitions import check_partition, is_exact
from gridsvc.geo.projections import to_metric, to_storage
from tests.factories.edits import COMMUNITY, EPSG, at, free_codes, governance, squares, storable, unit
from tests.factories.towns import box, boxes, lines

# the squares are 100 m wide: 1 2 3 4 in the southern row, 5 6 7 8 in the northern; 1 2 5 6 are governance grid 1


def area(grids, ref):
    return pytest.approx(grids.shape(ref).area, abs=0.5)


def codes(refs):
    return [(ref.kind, int(ref.code[-3:])) for ref in refs]


def assert_exact(before, after):
    """The partition is exact, in metres and as stored, and no vertex of the outer boundary moved."""
    boundary = before.ground.boundaries[COMMUNITY]
    assert is_exact(after.units)
    assert check_partition(boundary, after.units).is_exact
    stored = to_storage(after.units, EPSG)
    assert is_exact(stored)
    assert (shapely.to_wkb(to_metric(stored, EPSG)) == shapely.to_wkb(after.units)).all()
    assert after.counts.sum() == before.counts.sum()


# --- split -----------------------------------------------------------------------------------------------------------


def test_a_unit_grid_is_split_by_a_line_drawn_across():
    grids = squares()

    after, change = split(grids, unit(1), at((40, -10), (40, 110)), free_codes=free_codes())

    assert codes(change.new) == [("unit", 500)]
    assert codes(change.reshaped) == [("unit", 1)]
    assert area(after, unit(1)) == 6_000 and area(after, unit(500)) == 4_000
    assert_exact(grids, after)


def test_the_neighbour_across_the_border_gets_the_new_vertex_and_is_reported():
    grids = squares()

    after, change = split(grids, unit(1), at((40, -10), (40, 110)), free_codes=free_codes())

    assert codes(change.gained_vertices) == [("governance", 1), ("unit", 5)]
    corner = at((40, 100))[0]
    vertices = shapely.get_coordinates(after.shape(unit(5)))
    assert np.hypot(*(vertices - corner).T).min() < 0.001
    assert len(vertices) == len(shapely.get_coordinates(grids.shape(unit(5)))) + 1


def test_the_part_with_most_households_keeps_the_code():
    homes = {"buildings": boxes((10, 10, 20, 20), (80, 10, 90, 20)), "building_counts": np.array([[25, 75], [5, 15]])}
    after, _change = split(squares(**homes), unit(1), at((40, -10), (40, 110)), free_codes=free_codes())

    assert after.shape(unit(1)).bounds[0] < after.shape(unit(500)).bounds[0]
    assert (after.households(unit(1)), after.households(unit(500))) == (25, 5)


def test_where_nobody_lives_the_largest_part_keeps_the_code():
    empty = squares(counts=np.zeros((8, 2), dtype=int))

    after, _ = split(empty, unit(1), at((40, -10), (40, 110)), free_codes=free_codes())

    assert area(after, unit(1)) == 6_000


def test_a_line_that_leaves_and_comes_back_makes_three_parts_numbered_west_to_east():
    after, change = split(
        squares(), unit(1), at((30, -10), (30, 60), (-10, 60), (-10, 80), (60, 80), (60, -10)), free_codes=free_codes()
    )

    assert codes(change.new) == [("unit", 500), ("unit", 501)]
    assert after.shape(unit(500)).centroid.x < after.shape(unit(501)).centroid.x
    assert sum(after.shape(ref).area for ref in (unit(1), *change.new)) == pytest.approx(10_000, abs=0.5)


def test_a_closed_line_splits_off_an_inner_part():
    grids = squares()
    ring = at((30, 30), (70, 30), (70, 70), (30, 70), (30, 30))

    after, _change = split(grids, unit(1), ring, free_codes=free_codes())

    assert area(after, unit(500)) == 1_600
    assert len(after.shape(unit(1)).interiors) == 1
    assert_exact(grids, after)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (((40, -10), (40, 50)), r"ends inside the grid, at 11\d\.\d+, 30\.\d+, 40\.0 m from its border"),
        (((0, 0), (0, 100)), "does not divide"),
        (((250, 250), (300, 300)), "does not divide"),
        (((40, -10), (40, 110), (60, 110), (60, 50), (20, 50)), "crosses itself"),
        (((40, 40),), "fewer than two"),
    ],
)
def test_a_line_that_does_not_cross_the_grid_is_refused(line, message):
    with pytest.raises(GeometryError, match=message):
        split(squares(), unit(1), at(*line), free_codes=free_codes())


def test_an_end_that_misses_the_border_by_less_than_the_tolerance_is_led_to_it():
    grids = squares()

    after, change = split(grids, unit(1), at((40, 1.5), (40, 98.5)), free_codes=free_codes())

    assert [snap.onto for snap in change.snapped] == ["border", "border"]
    assert_exact(grids, after)


def test_a_line_through_a_building_is_refused_by_name():
    grids = squares(buildings=boxes((30, 40, 50, 60)), building_ids=["B7"])

    with pytest.raises(GeometryError, match="through building B7") as refused:
        split(grids, unit(1), at((40, -10), (40, 110)), free_codes=free_codes())
    assert refused.value.details["buildings"] == ["B7"]


def test_a_line_may_be_led_around_a_building_the_shorter_way():
    grids = squares(buildings=boxes((30, 40, 60, 60)), building_ids=["B7"])

    after, _ = split(grids, unit(1), at((40, -10), (40, 110)), free_codes=free_codes(), around_buildings=True)

    assert area(after, unit(500)) == 4_000 - 10.1 * 20.2
    assert shapely.distance(after.shape(unit(500)), grids.ground.buildings[0]) > 0.08
    assert_exact(grids, after)


def test_a_line_too_near_a_building_keeps_clear_of_it():
    grids = squares(buildings=boxes((40.05, 40, 60, 60)))

    after, _ = split(grids, unit(1), at((40, -10), (40, 110)), free_codes=free_codes())

    assert shapely.distance(after.shape(unit(500)), grids.ground.buildings[0]) == pytest.approx(0.1, abs=0.01)


def test_a_building_beyond_the_grid_is_no_obstacle():
    grids = squares(buildings=boxes((30, 140, 50, 160)))

    after, _ = split(grids, unit(1), at((40, -10), (40, 250)), free_codes=free_codes())

    assert after.shape(unit(1)).area + after.shape(unit(500)).area == pytest.approx(10_000)


def test_vertices_snap_to_grid_vertices_then_streets_then_borders():
    grids = squares(lines=lines([(-50, 60.5), (500, 60.5)]))

    _, change = split(grids, unit(1), at((1, -1), (50, 60), (99, 99.5)), free_codes=free_codes())
    _, plain = split(grids, unit(1), at((-0.8, 30), (101, 60.2)), free_codes=free_codes(), rules=EditRules(snap_m=1.0))

    assert [snap.onto for snap in change.snapped] == ["vertex", "line", "vertex"]
    assert np.allclose([snap.placed for snap in change.snapped], at((0, 0), (50, 60.5), (100, 100)), atol=0.001)
    assert [snap.onto for snap in plain.snapped] == ["border", "line"]


def test_a_part_too_small_for_a_grid_is_refused():
    with pytest.raises(GeometryError, match=r"would have .* m2"):
        split(squares(), unit(1), at((15, -10), (-10, 15)), free_codes=free_codes())


def test_a_used_code_is_never_given_again():
    with pytest.raises(CodeDuplicateError, match="used before"):
        split(squares(), unit(1), at((40, -10), (40, 110)), free_codes=free_codes(first=8))


def test_a_governance_grid_is_split_through_its_unit_grids():
    grids = squares()

    after, change = split(grids, governance(1), at((40, -10), (40, 210)), free_codes=free_codes())

    assert codes(change.new) == [("governance", 500), ("unit", 500), ("unit", 501)]
    assert area(after, governance(1)) == 32_000 and area(after, governance(500)) == 8_000
    # of parts in one column the northern comes first
    assert after.shape(unit(500)).centroid.y > after.shape(unit(501)).centroid.y
    assert_exact(grids, after)


def test_a_governance_grid_is_split_along_its_unit_grids():
    grids = squares()

    after, change = split(grids, governance(1), at((70, -10), (70, 210)), free_codes=free_codes(), along_units=True)

    assert codes(change.new) == [("governance", 500)]
    assert len(change.regrouped) == 2 and not change.gained_vertices
    assert area(after, governance(500)) == 20_000
    assert all(a is b for a, b in zip(grids.units, after.units, strict=True))


def test_along_units_a_line_that_holds_no_whole_unit_is_refused():
    with pytest.raises(GeometryError, match="No whole unit grid"):
        split(squares(), governance(1), at((20, -10), (20, 210)), free_codes=free_codes(), along_units=True)


def test_a_sliver_of_a_unit_grid_joins_its_neighbour_on_the_same_side():
    grids = squares()

    # 0.1 m east of the border of 1 and 2
    after, change = split(
        grids, governance(1), at((100.1, -10), (100.1, 210)), free_codes=free_codes(), rules=EditRules(snap_m=0)
    )

    assert codes(change.new) == [("governance", 500)]
    assert area(after, unit(1)) == 10_010
    assert_exact(grids, after)


# --- merge -----------------------------------------------------------------------------------------------------------


def test_merged_unit_grids_are_one_with_the_code_of_the_largest():
    grids, _ = split(squares(), unit(1), at((40, -10), (40, 110)), free_codes=free_codes())

    after, change = merge(grids, [unit(500), unit(2), unit(1)])

    assert codes(change.retired) == [("unit", 1), ("unit", 500)]
    assert area(after, unit(2)) == 20_000
    assert after.households(unit(2)) == 60
    assert_exact(grids, after)


def test_merged_governance_grids_keep_their_unit_grids():
    grids = squares()

    after, change = merge(grids, [governance(1), governance(2)])

    assert codes(change.retired) == [("governance", 2)]
    assert area(after, governance(1)) == 80_000
    assert len(after.units) == 8


def test_split_then_merge_gives_the_grid_back():
    grids = squares()
    apart, _ = split(grids, unit(1), at((40, -10), (60, 50), (40, 110)), free_codes=free_codes())

    together, _ = merge(apart, [unit(1), unit(500)])

    assert shapely.symmetric_difference(together.shape(unit(1)), grids.shape(unit(1))).area < 0.01


@pytest.mark.parametrize(
    ("refs", "error", "message"),
    [
        ([unit(1), unit(6)], PartitionError, "share no border"),
        ([unit(2), unit(3)], ConflictError, "different governance grids"),
        ([unit(1)], ConflictError, "two or more"),
        ([unit(1), governance(1)], ConflictError, "of one kind"),
        ([unit(1), unit(77)], NotFoundError, "no unit grid"),
    ],
)
def test_grids_that_do_not_belong_together_are_not_merged(refs, error, message):
    with pytest.raises(error, match=message):
        merge(squares(), refs)


def test_a_retired_grid_is_named_as_such():
    after, _ = merge(squares(), [unit(1), unit(2)])

    with pytest.raises(ConflictError, match="retired"):
        merge(after, [unit(2), unit(1)])


# --- move a border ---------------------------------------------------------------------------------------------------


def test_both_neighbours_change_when_their_border_moves():
    grids = squares()

    after, change = move_border(grids, unit(1), unit(2), at((100, 0), (80, 50), (100, 100)))

    assert codes(change.reshaped) == [("unit", 1), ("unit", 2)]
    assert area(after, unit(1)) == 9_000 and area(after, unit(2)) == 11_000
    assert_exact(grids, after)


def test_a_border_may_move_to_and_fro_in_one_go():
    grids = squares()

    after, _ = move_border(grids, unit(1), unit(2), at((100, 0), (80, 25), (100, 50), (130, 75), (100, 100)))

    assert area(after, unit(1)) == 10_000 - 500 + 750


def test_a_border_between_two_points_inside_moves_only_there():
    grids = squares()

    after, _ = move_border(grids, unit(1), unit(2), at((100, 30), (70, 30), (70, 60), (100, 60)))

    assert area(after, unit(1)) == 10_000 - 900
    assert_exact(grids, after)


def test_grids_at_the_ends_of_a_moved_border_keep_their_vertices():
    grids = squares()

    after, change = move_border(grids, unit(1), unit(2), at((100, 0), (80, 50), (100, 100)))

    for ref in (unit(5), unit(6)):
        assert after.shape(ref) is grids.shape(ref) or after.shape(ref).equals_exact(grids.shape(ref), 0.0)
    assert unit(5) not in change.gained_vertices


def test_the_border_around_an_enclosed_grid_can_be_moved():
    ring = at((30, 30), (70, 30), (70, 70), (30, 70), (30, 30))
    grids, _ = split(squares(), unit(1), ring, free_codes=free_codes())

    after, _ = move_border(grids, unit(1), unit(500), at((30, 30), (50, 10), (70, 30)))

    assert area(after, unit(500)) == 1_600 + 400
    assert_exact(grids, after)


@pytest.mark.parametrize(
    ("second", "line", "error", "message"),
    [
        (2, ((100, 0), (80, 50), (60, 120), (100, 100)), GeometryError, "reaches into unit grid"),
        (2, ((100, 0), (80, -30), (100, 100)), GeometryError, "out of the area"),
        (2, ((100, 0), (60, 50), (80, 50)), GeometryError, "last vertex, at .* from the shared border"),
        (2, ((100, 0), (100, 100)), ConflictError, "is the border that is there"),
        (2, ((100, 0), (0, 0), (0, 100), (100, 100)), ConflictError, "would vanish"),
        (2, ((100, 0), (0, 50), (100, 100)), PartitionError, "fall apart"),
        (6, ((100, 0), (80, 50), (100, 100)), ConflictError, "no neighbours"),
        (1, ((100, 0), (80, 50), (100, 100)), ConflictError, "two different grids"),
    ],
)
def test_a_border_that_cannot_move_there_stays(second, line, error, message):
    with pytest.raises(error, match=message):
        move_border(squares(), unit(1), unit(second), at(*line), rules=EditRules(snap_m=0))


def test_a_moved_border_cuts_no_building():
    grids = squares(buildings=boxes((75, 40, 90, 60)), building_ids=["B1"])
    line = at((100, 0), (80, 50), (100, 100))

    with pytest.raises(GeometryError, match="B1"):
        move_border(grids, unit(1), unit(2), line)
    after, _ = move_border(grids, unit(1), unit(2), line, around_buildings=True)

    assert_exact(grids, after)
    assert shapely.covers(after.units, grids.ground.buildings[0]).sum() == 1


def test_people_go_with_their_building_when_a_border_moves():
    homes = {"buildings": boxes((85, 40, 95, 60), (10, 10, 20, 20)), "building_counts": np.array([[20, 60], [10, 30]])}
    grids = squares(**homes)

    after, _ = move_border(grids, unit(1), unit(2), at((100, 10), (70, 50), (100, 90)))

    assert (after.households(unit(1)), after.households(unit(2))) == (10, 50)


def test_unit_grids_follow_when_the_border_of_governance_grids_moves():
    grids = squares()

    # half of 2 goes over; the northern 6 stays
    after, change = move_border(grids, governance(1), governance(2), at((200, 0), (150, 0), (150, 100), (200, 100)))

    assert codes(change.reshaped) == [("governance", 1), ("governance", 2), ("unit", 2), ("unit", 3)]
    assert area(after, unit(3)) == 15_000
    assert area(after, governance(1)) == 35_000
    assert_exact(grids, after)


def test_a_unit_grid_wholly_between_old_and_new_border_goes_over_as_it_is():
    grids = squares()

    after, change = move_border(grids, governance(1), governance(2), at((200, 0), (100, 0), (100, 100), (200, 100)))

    assert codes(change.regrouped) == [("unit", 2)]
    assert area(after, unit(2)) == 10_000 and area(after, governance(2)) == 50_000


# --- move a building, a unit grid ------------------------------------------------------------------------------------


def test_a_building_goes_over_with_little_land():
    grids = squares(buildings=boxes((85, 40, 95, 60), (10, 10, 40, 30)), building_ids=["east", "west"])

    after, change = move_building(grids, "east", unit(2))

    assert shapely.covers(after.shape(unit(2)), grids.ground.buildings[0])
    assert shapely.covers(after.shape(unit(1)), grids.ground.buildings[1])
    given = grids.shape(unit(1)).area - after.shape(unit(1)).area
    assert 200 < given < 1_500
    assert codes(change.reshaped) == [("unit", 1), ("unit", 2)]
    assert_exact(grids, after)


def test_the_border_of_a_building_moved_keeps_between_it_and_the_others():
    grids = squares(buildings=boxes((70, 40, 95, 60), (50, 40, 68, 60)), building_ids=["east", "near"])

    after, _ = move_building(grids, "east", unit(2))

    assert shapely.distance(after.shape(unit(2)), grids.ground.buildings[1]) > 0.5
    assert shapely.distance(after.shape(unit(1)), grids.ground.buildings[0]) > 0.5


def test_a_building_moves_into_the_unit_grid_beside_it_of_another_governance_grid():
    grids = squares(buildings=boxes((185, 40, 195, 60), (110, 10, 120, 20)), building_ids=["east", "west"])

    _after, change = move_building(grids, "east", governance(2))

    assert codes(change.reshaped) == [("governance", 1), ("governance", 2), ("unit", 2), ("unit", 3)]


@pytest.mark.parametrize(
    ("buildings", "to", "error", "message"),
    [
        ([(10, 40, 20, 60), (60, 5, 90, 95)], unit(2), GeometryError, "No land joins"),
        ([(85, 40, 95, 60), (75, 40, 85, 60)], unit(2), GeometryError, "wall to wall with 1"),
        ([(95, 40, 105, 60)], unit(2), GeometryError, "cut by a border already"),
        ([(85, 40, 95, 60)], unit(3), ConflictError, "no neighbours"),
        ([(85, 40, 95, 60)], unit(1), ConflictError, "already"),
        ([(900, 40, 910, 60)], unit(1), NotFoundError, "none of these grids"),
    ],
)
def test_a_building_that_cannot_move_stays(buildings, to, error, message):
    with pytest.raises(error, match=message):
        move_building(squares(buildings=boxes(*buildings)), "0", to)


def test_buildings_wall_to_wall_move_together_when_asked():
    grids = squares(buildings=boxes((85, 40, 95, 60), (75, 40, 85, 60), (10, 10, 20, 20)))

    after, _ = move_building(grids, "0", unit(2), with_attached=True)

    assert shapely.covers(after.shape(unit(2)), grids.ground.buildings[:2]).all()


def test_a_unit_grid_moves_to_the_neighbouring_governance_grid():
    grids = squares()

    after, change = move_unit(grids, unit(2), governance(2))

    assert codes(change.regrouped) == [("unit", 2)]
    assert codes(change.reshaped) == [("governance", 1), ("governance", 2)]
    assert area(after, governance(2)) == 50_000


@pytest.mark.parametrize(
    ("code", "to", "error", "message"),
    [
        (1, 2, ConflictError, "does not touch"),
        (1, 1, ConflictError, "already"),
        (1, 9, NotFoundError, "no governance grid"),
    ],
)
def test_a_unit_grid_that_cannot_move_stays(code, to, error, message):
    with pytest.raises(error, match=message):
        move_unit(squares(), unit(code), governance(to))


def test_the_last_unit_grid_of_a_governance_grid_stays():
    grids = squares(columns=2, rows=1, parents=[governance(1).code, governance(2).code])

    with pytest.raises(ConflictError, match="the last of governance grid"):
        move_unit(grids, unit(1), governance(2))


def test_a_governance_grid_does_not_fall_apart():
    rows = squares(columns=3, rows=2, parents=[governance(n).code for n in (1, 1, 1, 2, 2, 2)])

    with pytest.raises(PartitionError, match="fall apart") as refused:
        move_unit(rows, unit(2), governance(2))
    assert refused.value.details["check"] == "contiguity"


# --- what holds for all ----------------------------------------------------------------------------------------------


def test_a_locked_grid_keeps_its_land_but_may_gain_vertices():
    grids = squares(locked=[unit(5), unit(2)])

    after, change = split(grids, unit(1), at((40, -10), (40, 110)), free_codes=free_codes())
    assert unit(5) in change.gained_vertices
    with pytest.raises(ConflictError, match="locked") as refused:
        move_border(after, unit(1), unit(2), at((100, 0), (80, 50), (100, 100)))
    assert refused.value.details["locked"] == [unit(2).code]


def test_communities_side_by_side_share_new_vertices_and_keep_their_border():
    other = "420103001002"
    names = [COMMUNITY] * 2 + [other] * 2
    grids = squares(columns=4, rows=1, communities=names, parents=[governance(1).code] * 2 + [f"{other}001"] * 2)

    after, change = split(grids, unit(2), at((90, 50), (210, 50)), free_codes=free_codes())

    assert unit(3) in change.gained_vertices
    assert is_exact(after.units)
    with pytest.raises(ConflictError, match="different communities"):
        move_border(grids, unit(2), unit(3), at((200, 0), (180, 50), (200, 100)))
    with pytest.raises(ConflictError, match="different communities"):
        merge(grids, [governance(1), governance(1, other)])


def test_grids_of_one_kind_alone_are_edited_without_governance_grids():
    grids = squares(parents=[None] * 8)

    after, change = merge(grids, [unit(3), unit(2)])

    assert codes(change.retired) == [("unit", 3)]
    assert_exact(grids, after)


def test_a_refused_edit_leaves_the_grids_as_they_were():
    grids = squares()
    before = shapely.to_wkb(grids.units)

    with pytest.raises(GeometryError):
        split(grids, unit(1), at((40, -10), (40, 50)), free_codes=free_codes())

    assert (shapely.to_wkb(grids.units) == before).all()


@pytest.mark.parametrize(
    "east",
    [box(90, 0, 200, 100), shapely.Polygon(at((100, 0), (200, 0), (200, 100), (100, 100), (100, 50)))],
    ids=["overlapping", "with a vertex the neighbour lacks"],
)
def test_grids_that_are_no_partition_are_not_edited(east):
    units = storable(np.array([box(0, 0, 100, 100), east], dtype=object))
    names = [unit(1).code, unit(2).code]

    with pytest.raises(PartitionError, match="not an exact partition"):
        editable_grids(
            epsg=EPSG, codes=names, units=units, communities=[COMMUNITY] * 2, counts=np.zeros((2, 2), dtype=int)
        )


def test_a_code_twice_is_refused():
    with pytest.raises(CodeDuplicateError):
        squares(codes=[unit(1).code] * 8)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (5, [0, 0], [3, 2]),
        (0, [3, 1], [0, 0]),
        (7, [1, 0], [7, 0]),
        (100, [1, 2], [33, 67]),
    ],
)
def test_counts_are_shared_out_in_whole_numbers(total, weights, shares):
    assert apportioned(total, np.array(weights)).tolist() == shares
