"""Divisions small enough to judge by eye; what is refused; checks that see every broken invariant. Odd shapes: ``test_odd_shapes.py``."""

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
from gridsvc.division.quality import quality
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


def test_open_land_has_larger_unit_grids():
    open_land = divide_community(CommunityInput("420103001001", box(0, 0, 600, 600)))

    assert len(open_land.unit_grids) == 9
    assert open_land.unit_target_m2 == pytest.approx([40_000] * 9)
    assert (np.abs(shapely.area(open_land.unit_grids) / 40_000 - 1) <= 0.3).all()


def test_a_vast_community_has_fewer_larger_unit_grids_than_its_code_has_serials():
    vast = divide_community(CommunityInput("420114001201", box(0, 0, 6_000, 5_500)))

    assert 500 < len(vast.unit_grids) <= 650
    assert vast.unit_target_m2 == pytest.approx([55_000] * len(vast.unit_grids))


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
