"""Divisions small enough to judge by eye, and shapes chosen to hurt."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely import affinity

from gridsvc.division.borders import EdgeTable
from gridsvc.division.checks import buildings_cut, check_division
from gridsvc.division.communities import CommunityInput, DivisionRules
from gridsvc.division.dividing import divide_community
from gridsvc.division.governance_grids import likely_counts
from gridsvc.division.quality import compactness, quality
from gridsvc.errors import GeometryError, PartitionError
from tests.factories.towns import ORIGIN, box, boxes, lines, town


def array(*items):
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


def grid_at(division, x, y):
    """Return the governance grid of a place given in metres from ORIGIN."""
    point = shapely.Point(ORIGIN[0] + x, ORIGIN[1] + y)
    return int(np.flatnonzero(shapely.contains(division.governance_grids, point))[0])


def test_a_town_is_divided_within_the_bounds_along_its_streets():
    division = divide_community(town())

    numbers = quality([division], DivisionRules())
    assert division.governance_households.sum() == town().households.sum()
    assert numbers.household_band_share == 1.0
    assert numbers.unit_target_share == 1.0
    assert numbers.border_on_lines_share > 0.95
    assert numbers.governance_compactness > 0.5 and numbers.unit_compactness > 0.6
    assert division.notes == ()


def test_two_neighbourhoods_with_a_street_between_them_are_two_grids_bordered_by_it():
    buildings = boxes(*[(x, y, x + 40, y + 12) for x in (20, 70, 140, 190) for y in (20, 60, 100)])
    community = CommunityInput(
        "420103001001",
        box(0, 0, 250, 130),
        lines([(125, -10), (125, 140)]),
        buildings=buildings,
        households=np.full(12, 66),
    )
    division = divide_community(community)

    assert division.governance_households.tolist() == [396, 396]
    assert division.border_m == pytest.approx(130, abs=0.1) and division.border_on_lines_m == division.border_m
    assert division.governance_grids[0].equals(box(0, 0, 125, 130)) or division.governance_grids[
        0
    ].area == pytest.approx(125 * 130)


def test_a_wall_with_a_gate_is_a_border():
    buildings = boxes(*[(x, y, x + 40, y + 12) for x in (20, 70, 140, 190) for y in (20, 60, 100)])
    community = CommunityInput(
        "420103001001", box(0, 0, 250, 130), lines([(0, 50), (250, 50)])[:0], lines([(125, -10), (125, 60)], [(125, 66), (125, 140)]),
        buildings=buildings, households=np.full(12, 66),
    )  # fmt: skip
    division = divide_community(community)

    assert division.border_on_lines_m == pytest.approx(124, abs=0.5)


def test_a_line_through_a_building_goes_around_it():
    buildings = boxes((110, 40, 140, 70), *[(x, y, x + 40, y + 12) for x in (20, 60, 150, 200) for y in (10, 90)])
    community = CommunityInput(
        "420103001001",
        box(0, 0, 250, 130),
        lines([(125, -10), (125, 140)]),
        buildings=buildings,
        households=np.full(9, 90),
    )
    division = divide_community(community)

    assert len(division.governance_grids) == 2
    assert len(buildings_cut(division.unit_grids, buildings)) == 0
    assert (division.unit_of_building >= 0).all()


def test_a_compound_of_50_000_m2_without_a_street_inside_is_cut_between_its_buildings():
    buildings = boxes(*[(x, y, x + 40, y + 13) for x in (15, 75, 135, 190) for y in range(10, 200, 30)])
    community = CommunityInput(
        "420103001001", box(0, 0, 245, 205), buildings=buildings, households=np.full(len(buildings), 40)
    )
    division = divide_community(community)

    assert len(division.governance_grids) == 3 and 4 <= len(division.unit_grids) <= 6
    assert (np.abs(shapely.area(division.unit_grids) / 10_000 - 1) <= 0.5).all()
    assert ((division.governance_households >= 300) & (division.governance_households <= 500)).all()
    assert "no streets are known here" in division.notes


def test_streets_that_cross_without_a_node_and_miss_by_a_metre_still_enclose():
    ends_short = lines([(125, 1.5), (125, 63.5)], [(125, 66.5), (125, 129)], [(-5, 65), (255, 65)])
    division = divide_community(
        CommunityInput(
            "420103001001",
            box(0, 0, 250, 130),
            ends_short,
            buildings=boxes(*[(x, y, x + 50, y + 20) for x in (20, 160) for y in (20, 90)]),
            households=np.full(4, 400),
        )
    )

    assert len(division.governance_grids) == 4
    assert division.border_on_lines_m == pytest.approx(250 + 130, abs=8)


def test_a_dual_carriageway_leaves_no_grid_between_its_lanes():
    community = town(streets=lines([(200, -10), (200, 500)], [(212, -10), (212, 500)], [(-10, 240), (530, 240)]))
    division = divide_community(community)

    assert compactness(division.unit_grids).min() > 0.2


def test_a_cul_de_sac_and_a_dangling_street_leave_no_trace():
    plain = divide_community(town())
    dangling = divide_community(
        town(streets=np.concatenate([town().streets, lines([(60, 20), (60, 90)], [(300, 300), (310, 305)])]))
    )

    assert len(dangling.unit_grids) == pytest.approx(len(plain.unit_grids), abs=2)


def test_a_hole_in_the_community_stays_a_hole():
    boundary = shapely.difference(box(0, 0, 520, 480), box(200, 200, 300, 280))
    buildings = town().buildings[~shapely.intersects(town().buildings, boundary.interiors[0])]
    buildings = buildings[shapely.covers(boundary, buildings)]
    division = divide_community(town(boundary=boundary, buildings=buildings))

    assert shapely.area(division.unit_grids).sum() == pytest.approx(boundary.area)


def test_a_community_in_two_parts_keeps_each_unit_grid_in_one_part():
    boundary = shapely.MultiPolygon([box(0, 0, 260, 240), box(400, 0, 420, 30)])
    division = divide_community(town(boundary=boundary, buildings=boxes((30, 30, 90, 60)), households=np.array([350])))

    assert len(division.governance_grids) == 1 and division.governance_grids[0].geom_type == "MultiPolygon"
    assert (shapely.get_type_id(division.unit_grids) == shapely.GeometryType.POLYGON).all()
    assert shapely.intersects(division.unit_grids, box(400, 0, 420, 30)).sum() == 1


def test_a_river_is_not_cut_into_squares():
    river = affinity.rotate(box(-100, 200, 620, 290), 5)
    buildings = town().buildings[~shapely.intersects(town().buildings, river)]
    division = divide_community(town(water=array(river), buildings=buildings))

    edges = EdgeTable.of(division.unit_grids)
    borders = shapely.union_all(shapely.linestrings(edges.ends[edges.right >= 0]))
    in_river = shapely.intersection(borders, river.buffer(-1.0))
    # only the bridges divide it
    assert in_river.difference(shapely.union_all(town().streets).buffer(0.1)).length == 0.0


def test_open_land_has_larger_unit_grids():
    open_land = divide_community(CommunityInput("420103001001", box(0, 0, 600, 600)))

    assert len(open_land.unit_grids) == 9
    assert open_land.unit_target_m2 == pytest.approx([40_000] * 9)
    assert (np.abs(shapely.area(open_land.unit_grids) / 40_000 - 1) <= 0.3).all()


def test_a_vast_community_has_fewer_larger_unit_grids_than_its_code_has_serials():
    vast = divide_community(CommunityInput("420114001201", box(0, 0, 6_000, 5_500)))

    assert 500 < len(vast.unit_grids) <= 650
    assert vast.unit_target_m2 == pytest.approx([55_000] * len(vast.unit_grids))


def test_a_community_without_households_is_one_governance_grid():
    division = divide_community(town(households=np.zeros(88, dtype=int)))

    assert len(division.governance_grids) == 1 and len(division.unit_grids) > 15


def test_a_community_smaller_than_a_unit_grid_is_one():
    division = divide_community(CommunityInput("420103001001", box(0, 0, 40, 60), lines([(20, -5), (20, 65)])))

    assert len(division.unit_grids) == 1
    assert division.unit_grids[0].equals(box(0, 0, 40, 60))


def test_a_tower_of_600_households_is_a_grid_above_the_bounds_and_said_so():
    buildings = boxes((20, 20, 50, 50))
    division = divide_community(
        CommunityInput("420103001001", box(0, 0, 90, 90), buildings=buildings, households=np.array([600]))
    )

    assert division.governance_households.tolist() == [600]
    assert division.notes[0] == "1 of 1 governance grids are outside 300-500 households"


def test_a_building_across_the_boundary_counts_where_most_of_it_stands():
    buildings = boxes((-20, 100, 10, 130), (-8, 200, 40, 230))
    division = divide_community(
        town(buildings=buildings, households=np.array([100, 70]), population=np.array([200, 140]))
    )

    assert division.unit_of_building[0] == -1 and division.unit_of_building[1] >= 0
    assert division.governance_households.sum() == 70


def test_overlapping_and_touching_buildings_are_kept_whole():
    buildings = boxes((100, 100, 160, 140), (150, 120, 220, 170), (220, 120, 260, 150), (300, 100, 420, 380))
    division = divide_community(town(buildings=buildings, households=np.full(4, 200)))

    assert len(buildings_cut(division.unit_grids, buildings)) == 0
    assert len(set(division.unit_of_building[:3])) == 1


def test_a_street_along_the_boundary_makes_no_slivers():
    ring = [(0.3, 0.2), (519.8, 0.4), (519.7, 479.6), (0.1, 479.9), (0.3, 0.2)]
    division = divide_community(town(streets=np.concatenate([town().streets, lines(ring)])))

    assert shapely.area(division.unit_grids).min() > 5_000


def test_no_vertex_of_the_boundary_moves():
    wavy = shapely.segmentize(affinity.rotate(box(0, 0, 520, 480), 13.7), 17.3)
    division = divide_community(town(boundary=wavy, buildings=town().buildings[:0], households=np.zeros(0, dtype=int)))

    given = {tuple(c) for c in shapely.get_coordinates(wavy)}
    assert given <= {tuple(c) for c in shapely.get_coordinates(division.unit_grids)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"boundary": shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])},
            "invalid boundary: Self-intersection",
        ),
        ({"boundary": shapely.Polygon()}, "no polygon as boundary"),
        ({"boundary": shapely.LineString([(0, 0), (1, 1)])}, "no polygon as boundary"),
        ({"boundary": shapely.Polygon([(0, 0), (np.inf, 0), (1, 1)])}, "not finite"),
        ({"households": np.array([1, 2])}, "88 buildings but 2 values of households"),
        ({"households": np.full(88, -1)}, "households below zero"),
        (
            {"buildings": array(shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])), "households": np.array([1])},
            "1 invalid buildings",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_input_that_cannot_be_divided_is_refused(change, message):
    with pytest.raises(GeometryError, match=message):
        divide_community(town(**change))


class TestBrokenDivisionsAreNeverHandedOut:
    """Break each invariant on purpose; the check must see it."""

    def broken(self, **changes):
        community = town()
        return community, replace(divide_community(community), **changes)

    def test_a_gap(self):
        community, division = self.broken()
        division = replace(
            division, unit_grids=division.unit_grids[1:], governance_of_unit=division.governance_of_unit[1:]
        )
        with pytest.raises(PartitionError, match="outer edges"):
            check_division(community, division)

    def test_an_overlap(self):
        community, division = self.broken()
        grown = division.unit_grids.copy()
        grown[0] = grown[0].buffer(0.001)
        with pytest.raises(PartitionError, match=r"overlap|outer edges"):
            check_division(community, replace(division, unit_grids=grown))

    def test_a_vertex_moved(self):
        community, division = self.broken()
        moved = shapely.transform(division.unit_grids, lambda xy: xy + 0.01)
        with pytest.raises(PartitionError, match="outer edges"):
            check_division(community, replace(division, unit_grids=moved))

    def test_a_vertex_on_one_side_only(self):
        community, division = self.broken()
        one_sided = division.unit_grids.copy()
        one_sided[0] = shapely.segmentize(one_sided[0], 3.0)
        with pytest.raises(PartitionError):
            check_division(community, replace(division, unit_grids=one_sided))

    def test_a_unit_grid_in_the_wrong_governance_grid(self):
        community, division = self.broken()
        swapped = division.governance_of_unit.copy()
        swapped[0] = (swapped[0] + 1) % len(division.governance_grids)
        with pytest.raises(PartitionError, match="union of its unit grids"):
            check_division(community, replace(division, governance_of_unit=swapped))

    def test_a_governance_grid_in_two_pieces(self):
        community, division = self.broken()
        of_unit = division.governance_of_unit
        far = int(np.argmax([shapely.distance(division.governance_grids[0], g) for g in division.governance_grids]))
        merged = np.where(of_unit == far, 0, of_unit)
        grids = division.governance_grids.copy()
        grids[0] = shapely.coverage_union_all(division.unit_grids[merged == 0])
        keep = np.arange(len(grids)) != far
        renumbered = np.cumsum(keep) - 1
        with pytest.raises(PartitionError, match="falls apart"):
            check_division(
                community, replace(division, governance_of_unit=renumbered[merged], governance_grids=grids[keep])
            )

    def test_a_building_cut(self):
        community, division = self.broken()
        edges = EdgeTable.of(division.unit_grids)
        on_border = shapely.Point(edges.ends[edges.right >= 0][0].mean(axis=0))
        house = array(*community.buildings[:-1], on_border.buffer(3))
        with pytest.raises(PartitionError, match="cut by unit grids"):
            check_division(replace(community, buildings=house), division)

    def test_households_lost(self):
        community, division = self.broken()
        with pytest.raises(PartitionError, match="households"):
            check_division(community, replace(division, unit_households=division.unit_households * 0))


@pytest.mark.parametrize(
    ("households", "counts"),
    [(0, [1]), (120, [1]), (300, [1]), (550, [2]), (620, [2]), (900, [2, 3]), (4000, [10, 9, 11])],
)
def test_likely_numbers_of_governance_grids(households, counts):
    assert likely_counts(households, DivisionRules()) == counts
