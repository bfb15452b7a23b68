import numpy as np
import pytest
import shapely

from gridsvc.circle.gap_areas import gap_areas
from gridsvc.errors import RequestInvalidError


def block(x, y, size=10.0):
    return shapely.box(x, y, x + size, y + size)


HOMES = np.array([block(0, 0), block(40, 0), block(400, 0), block(440, 40)], dtype=object)
PEOPLE = [30, 20, 70, 0]


def areas_of(lacking, homes=HOMES, people=PEOPLE, **options):
    is_lacking = np.asarray(lacking, dtype=bool).reshape(len(homes), -1)
    return gap_areas(homes, is_lacking, population=people, households=[p // 10 for p in people], **options)


def test_neighbours_make_one_area_and_most_people_come_first():
    found = areas_of([1, 1, 1, 0])

    assert [(area.population, area.households, area.residences) for area in found] == [(70, 7, 1), (50, 5, 2)]
    assert [area.members.tolist() for area in found] == [[2], [0, 1]]


def test_area_holds_the_ground_of_its_residences_and_no_more_than_a_rim_around_one():
    alone, together = areas_of([1, 1, 1, 0])

    assert together.area.is_valid and together.area.covers(HOMES[0]) and together.area.covers(HOMES[1])
    assert alone.area.covers(HOMES[2])
    assert alone.area.area < 21 * 21


def test_residences_without_people_and_those_that_reach_the_kind_make_no_area():
    assert areas_of([0, 0, 0, 1]) == []
    assert areas_of([0, 0, 0, 0]) == []


def test_each_kind_has_its_own_areas():
    found = areas_of([[1, 0], [0, 0], [0, 1], [0, 0]])

    assert [(area.kind, area.members.tolist()) for area in found] == [(0, [0]), (1, [2])]


def test_people_in_areas_are_the_people_who_lack_the_kind():
    rng = np.random.default_rng(5)
    homes = np.array([block(x, y) for x, y in rng.uniform(0, 900, (120, 2))], dtype=object)
    people = rng.integers(0, 40, 120)
    lacking = rng.random((120, 2)) < 0.5

    found = areas_of(lacking, homes, people)

    for kind in range(2):
        members = np.concatenate([area.members for area in found if area.kind == kind])
        assert sorted(members.tolist()) == np.flatnonzero(lacking[:, kind] & (people > 0)).tolist()
        assert sum(area.population for area in found if area.kind == kind) == people[members].sum()
    for area in found:
        assert all(area.area.covers(homes[number]) for number in area.members)


def test_order_of_residences_does_not_matter():
    turned = areas_of([0, 1, 1, 1], HOMES[::-1], PEOPLE[::-1])

    assert [(a.population, a.area.normalize()) for a in turned] == [
        (a.population, a.area.normalize()) for a in areas_of([1, 1, 1, 0])
    ]


def test_areas_with_few_people_can_be_left_out():
    assert [area.population for area in areas_of([1, 1, 1, 0], least_people=60)] == [70]


@pytest.mark.parametrize("reach_m", [5.0, 501.0, float("nan")])
def test_impossible_reach_is_refused(reach_m):
    with pytest.raises(RequestInvalidError, match="reach"):
        areas_of([1, 1, 1, 0], reach_m=reach_m)
