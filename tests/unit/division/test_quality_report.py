"""The quality report on hand-made divisions, broken on purpose, where every number is known."""

import numpy as np
import pytest
import shapely

from gridsvc.division.quality_problems import PROBLEM_KINDS
from gridsvc.division.quality_report import Bounds, GridSet, quality_report
from gridsvc.errors import GeometryError
from tests.factories.measured_grids import COMMUNITY, LEFT, RIGHT, grids, ground, moved, shapes, texts
from tests.factories.towns import box, boxes, lines

SMALL = Bounds(30, 50)


def kinds(report):
    return [problem.kind for problem in report.problems]


def only(report, kind):
    found = [problem for problem in report.problems if problem.kind == kind]
    assert len(found) == 1
    return found[0]


def test_an_exact_division_has_no_fault_and_every_number():
    report = quality_report(grids(), ground(), SMALL)

    assert (report.grids, report.communities, report.exact_communities) == (2, 1, 1)
    assert [p.area_m2 for p in (report.gaps, report.overlaps, report.outside, report.slivers)] == [0.0] * 4
    assert (report.invalid, report.not_contiguous, report.outside_community, report.buildings_cut) == (0, 0, 0, 0)
    assert (report.households.least, report.households.most, report.households.variation) == (40.0, 40.0, 0.0)
    assert (report.households_total, report.households_in_no_grid, report.households_from) == (80, 0, "buildings")
    assert (report.in_bounds_share, report.attainable_share, report.on_target_share) == (1.0, 1.0, None)
    assert report.area_m2.mean == pytest.approx(10_000)
    assert report.compactness.mean == pytest.approx(np.pi / 4)
    assert report.border_m == pytest.approx(100.0)
    assert report.border["none"].share == pytest.approx(1.0)
    assert report.problems == ()
    assert report.stability is None
    assert [(row.code, row.households, row.population, row.buildings) for row in report.rows] == [
        (LEFT, 40, 100, 1),
        (RIGHT, 40, 90, 1),
    ]


def test_a_gap_of_12_m2_is_12_m2():
    report = quality_report(grids(box(0, 0, 100, 100), box(100.12, 0, 200, 100)), ground(), SMALL)

    assert report.gaps.count == 1
    assert report.gaps.area_m2 == pytest.approx(12.0, abs=1e-6)
    assert (report.overlaps.area_m2, report.outside.area_m2, report.exact_communities) == (0.0, 0.0, 0)
    gap = only(report, "gap")
    assert gap.grids == (LEFT, RIGHT)
    assert gap.place.area == pytest.approx(12.0, abs=1e-6)
    assert gap.sentence == f"12.0 m2 between {LEFT} and {RIGHT} belong to no grid."
    assert "12.0 平方米" in gap.sentence_zh
    # either side of the gap counts half of the border
    assert report.border_m == pytest.approx(100.0)


def test_an_overlap_is_measured_once_and_names_both_grids():
    report = quality_report(grids(box(0, 0, 103, 100), box(100, 0, 200, 100)), ground(), SMALL)

    assert report.overlaps.count == 1
    assert report.overlaps.area_m2 == pytest.approx(300.0)
    assert report.gaps.area_m2 == 0.0
    assert only(report, "overlap").grids == (LEFT, RIGHT)


def test_a_gap_of_one_millimetre_is_a_sliver_and_still_no_exact_partition():
    report = quality_report(grids(box(0, 0, 100, 100), box(100.001, 0, 200, 100)), ground(), SMALL)

    assert report.exact_communities == 0
    assert (report.gaps.count, report.slivers.count) == (0, 1)
    assert report.gaps.area_m2 == pytest.approx(0.1, abs=1e-4)
    assert report.slivers.area_m2 == pytest.approx(0.1, abs=1e-4)
    assert kinds(report) == ["sliver"]


def test_a_grid_beyond_its_community_is_measured_there():
    report = quality_report(grids(box(0, 0, 100, 100), box(100, 0, 205, 100)), ground(), SMALL)

    assert report.outside.area_m2 == pytest.approx(500.0)
    assert report.outside_community == 1
    assert report.rows[1].outside_m2 == pytest.approx(500.0)
    assert only(report, "outside").grids == (RIGHT,)


def test_vertices_that_only_the_grids_have_on_the_boundary_break_nothing():
    lower, upper = box(0, 0, 200, 30), box(0, 30, 200, 100)

    report = quality_report(grids(lower, upper), ground(), SMALL)

    assert report.exact_communities == 1
    assert report.gaps.area_m2 == report.overlaps.area_m2 == 0.0


def test_a_neighbour_without_the_shared_vertex_is_not_exact_though_no_area_is_missing():
    # the left grid knows nothing of the corner that two grids on the right share on its border
    report = quality_report(grids(box(0, 0, 100, 100), box(100, 0, 200, 50), box(100, 50, 200, 100)), ground(), SMALL)

    assert report.exact_communities == 0
    assert (report.gaps.area_m2, report.overlaps.area_m2) == (0.0, 0.0)


def test_a_building_on_a_border_is_cut_and_counts_where_most_of_it_is():
    buildings = boxes((95, 40, 108, 50), (20, 20, 40, 40))

    report = quality_report(grids(), ground(buildings=buildings), SMALL)

    assert report.buildings_cut == 1
    cut = only(report, "building_cut")
    assert cut.grids == (LEFT, RIGHT)
    assert cut.place.equals(buildings[0])
    assert [row.buildings_cut for row in report.rows] == [1, 1]
    assert [row.households for row in report.rows] == [40, 40]


def test_a_building_in_a_gap_is_cut_too():
    report = quality_report(
        grids(box(0, 0, 100, 100), box(104, 0, 200, 100)),
        ground(buildings=boxes((95, 40, 102, 50), (120, 20, 140, 40))),
    )

    assert report.buildings_cut == 1
    assert only(report, "building_cut").grids == (LEFT,)


@pytest.mark.parametrize(
    "building",
    [
        pytest.param((99.99, 40, 110, 45), id="a border along its wall, 1 cm inside"),
        pytest.param((100, 40, 110, 45), id="a border that touches it"),
        pytest.param((195, 40, 210, 50), id="the boundary of the community through it"),
    ],
)
def test_what_cuts_no_building(building):
    report = quality_report(grids(), ground(buildings=boxes(building, (20, 20, 40, 40))), SMALL)

    assert report.buildings_cut == 0
    assert [row.households for row in report.rows] == [40, 40]


def test_a_grid_in_two_parts_is_not_contiguous():
    left = shapely.union_all([box(0, 0, 50, 100), box(100, 0, 150, 100)])
    right = shapely.union_all([box(50, 0, 100, 100), box(150, 0, 200, 100)])

    report = quality_report(grids(left, right), ground(), Bounds(0, 100))

    assert report.exact_communities == 1
    assert report.not_contiguous == 2
    assert [row.parts for row in report.rows] == [2, 2]
    assert kinds(report) == ["parted", "parted"]


def test_a_grid_over_both_parts_of_its_community_is_contiguous():
    island = shapely.union_all([box(0, 0, 100, 100), box(150, 0, 200, 100)])

    report = quality_report(grids(island), ground(boundaries=shapes(island)), SMALL)

    assert (report.exact_communities, report.not_contiguous, report.rows[0].parts) == (1, 0, 2)


def test_a_border_half_along_a_street_counts_half():
    report = quality_report(grids(), ground(streets=lines([(100, 0), (100, 50)])), SMALL)

    assert report.border["street"].metres == pytest.approx(50.0, abs=1.5)
    assert report.border["none"].metres == pytest.approx(50.0, abs=1.5)
    assert report.border["street"].share + report.border["none"].share == pytest.approx(1.0)
    assert report.rows[0].border_m["street"] == report.rows[1].border_m["street"]


def test_a_border_follows_streets_before_walls_before_water():
    report = quality_report(
        grids(),
        ground(
            streets=lines([(100.4, 0), (100.4, 20)]),
            walls=lines([(100, 0), (100, 60)]),
            water=lines([(99.5, 40), (99.5, 90)]),
        ),
        SMALL,
    )

    metres = {kind: part.metres for kind, part in report.border.items()}
    assert metres == pytest.approx({"street": 20.0, "wall": 40.0, "water": 30.0, "none": 10.0}, abs=2.5)


def test_a_street_further_away_than_the_tolerance_is_not_followed():
    street = lines([(103, -10), (103, 110)])

    assert quality_report(grids(), ground(streets=street), SMALL).border["street"].metres == 0.0
    wide = quality_report(grids(), ground(streets=street), Bounds(30, 50, along_m=3.5))
    assert wide.border["street"].share == pytest.approx(1.0)


def test_a_street_across_a_border_is_not_followed():
    report = quality_report(grids(), ground(streets=lines([(0, 50), (200, 50)])), SMALL)

    assert report.border["street"].metres <= 3.0


def test_invalid_missing_and_strange_grids_are_listed_and_the_rest_is_measured():
    bow_tie = shapely.Polygon(shapely.get_coordinates(box(100, 0, 200, 100))[[0, 2, 1, 3, 0]])
    made = grids(
        box(0, 0, 100, 100), bow_tie, None, box(300, 0, 400, 100), communities=[COMMUNITY] * 3 + ["420103001999"]
    )

    report = quality_report(made, ground(), SMALL)

    assert report.invalid == 2
    assert report.rows[2].area_m2 == 0.0
    assert report.outside_community == 1
    assert report.gaps.area_m2 == pytest.approx(5_000.0)
    assert {"invalid", "gap", "unknown_community"} <= set(kinds(report))
    assert any("not known here" in note for note in report.notes)


def test_a_community_without_grids_is_named_and_its_ground_is_no_gap():
    second = "420103001002"
    wide = ground(communities=texts(COMMUNITY, second), boundaries=boxes((0, 0, 200, 100), (200, 0, 300, 100)))

    report = quality_report(grids(), wide, SMALL)

    assert report.communities_without_grids == (second,)
    assert report.gaps.area_m2 == 0.0
    assert only(report, "no_grids").community_code == second


def test_overlaps_across_communities_are_found_where_one_is_not_exact():
    second = "420103001002"
    wide = ground(communities=texts(COMMUNITY, second), boundaries=boxes((0, 0, 100, 100), (100, 0, 200, 100)))
    made = grids(
        box(0, 0, 105, 100), box(100, 0, 200, 100), codes=[LEFT, f"{second}001"], communities=[COMMUNITY, second]
    )

    report = quality_report(made, wide, SMALL)

    assert report.overlaps.area_m2 == pytest.approx(500.0)
    assert report.outside.area_m2 == pytest.approx(500.0)
    assert report.exact_communities == 1


def test_households_out_of_bounds_are_problems_only_where_the_community_could_do_better():
    few = quality_report(grids(), ground(), Bounds(300, 500))
    uneven = quality_report(grids(), ground(households=np.array([20, 60])), SMALL)

    assert (few.in_bounds_share, few.attainable_share, few.problems) == (0.0, None, ())
    assert (uneven.in_bounds_share, uneven.attainable_share) == (0.0, 0.0)
    assert [p.sentence for p in uneven.problems] == [
        f"Grid {LEFT} has 20 households, 10 fewer than 30.",
        f"Grid {RIGHT} has 60 households, 10 more than 50.",
    ]


def test_target_areas_are_asked_of_unit_grids_only():
    split = grids(box(0, 0, 50, 100), box(50, 0, 200, 100))

    report = quality_report(split, ground(), Bounds(None, None, target_m2=np.array([5_000.0, 10_000.0])), kind="unit")

    assert (report.in_bounds_share, report.on_target_share) == (None, 0.5)
    assert [row.on_target for row in report.rows] == [True, False]
    assert only(report, "area").grids == (RIGHT,)


def test_households_that_keep_their_grid_are_counted_by_code():
    before = grids(box(0, 0, 30, 100), box(30, 0, 200, 100))
    buildings = boxes((10, 20, 20, 40), (40, 20, 60, 40), (120, 20, 140, 40))

    report = quality_report(
        grids(), ground(buildings=buildings, households=np.array([10, 30, 60]), population=np.zeros(3, int)), SMALL,
        before=before,
    )  # fmt: skip

    # the middle building moves from the right grid to the left one
    assert report.stability.households_kept_share == pytest.approx(0.7)
    assert [row.households_kept for row in report.rows] == [10, 60]
    assert (report.stability.codes_kept, report.stability.codes_new, report.stability.codes_gone) == (2, 0, 0)


def test_without_buildings_the_stated_households_count():
    bare = ground(buildings=shapes(), households=np.zeros(0, int), population=np.zeros(0, int))

    report = quality_report(grids(households=np.array([30, 50]), population=np.array([1, 2])), bare, SMALL)

    assert (report.households_from, report.households_total) == ("grids", 80)
    assert any("no buildings" in note for note in report.notes)


def test_a_building_of_another_community_may_be_cut_but_counts_in_no_grid():
    other = ground(
        buildings=boxes((95, 40, 108, 50), (20, 20, 40, 40)), building_communities=texts("420103001002", COMMUNITY)
    )

    report = quality_report(grids(), other, SMALL)

    assert [row.households for row in report.rows] == [40, 0]
    assert report.buildings_cut == 1


def test_problems_come_gravest_kind_first_and_largest_first_within_a_kind():
    thin = grids(box(0, 0, 4, 100), box(4.5, 0, 100, 100), box(99, 0, 200, 100), box(200, 0, 201, 90))

    found = quality_report(thin, ground(), SMALL)

    order = list(PROBLEM_KINDS)
    assert kinds(found) == sorted(kinds(found), key=order.index)
    outside = [p.amount for p in found.problems if p.kind == "outside"]
    assert outside == sorted(outside, reverse=True)
    assert "shape" in kinds(found)


def test_the_same_division_elsewhere_gives_the_same_report():
    made, here = grids(box(0, 0, 103, 100), box(100.5, 0, 200, 100)), ground(streets=lines([(100, 0), (100, 50)]))
    there = ground(
        boundaries=moved(here.boundaries, 1000, -500),
        buildings=moved(here.buildings, 1000, -500),
        streets=moved(here.streets, 1000, -500),
    )

    one = quality_report(made, here, SMALL)
    other = quality_report(grids(*moved(made.shapes, 1000, -500)), there, SMALL)

    assert other.overlaps.area_m2 == pytest.approx(one.overlaps.area_m2)
    assert other.border["street"].metres == pytest.approx(one.border["street"].metres)


def test_no_grids_at_all_are_reported_without_numbers():
    report = quality_report(GridSet(texts(), shapes(), texts()), ground())

    assert (report.grids, report.households, report.in_bounds_share) == (0, None, None)
    assert report.communities_without_grids == (COMMUNITY,)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"boundaries": shapes(shapely.Polygon())}, id="an empty boundary"),
        pytest.param({"households": np.array([1])}, id="one number for two buildings"),
        pytest.param({"boundaries": shapes()}, id="a boundary missing"),
    ],
)
def test_bad_ground_is_refused(change):
    with pytest.raises(GeometryError):
        quality_report(grids(), ground(**change))
