"""What a district asks of a division besides the rules: dedicated areas, seeds, natural villages, micro-grids, borders by kind."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from gridsvc.division.atoms import make_atoms
from gridsvc.division.borders import BORDER_KINDS
from gridsvc.division.communities import CommunityInput, DivisionRules
from gridsvc.division.dividing import divide_community
from gridsvc.division.hamlets import natural_villages
from gridsvc.errors import GeometryError
from tests.factories.towns import ORIGIN, box, boxes, lines, town

RULES = DivisionRules()


def array(*items):
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


def point(x, y):
    return shapely.Point(ORIGIN[0] + x, ORIGIN[1] + y)


def test_a_campus_is_a_governance_grid_of_its_own_whatever_it_holds():
    campus = box(140, 140, 380, 250)
    division = divide_community(town(dedicated=array(campus)))

    assert division.is_dedicated.sum() == 1
    grid = division.governance_grids[division.is_dedicated][0]
    # within the snapping of lines; the same place, not a place like it
    assert grid.symmetric_difference(campus).area < 0.02 * campus.area
    inside = (division.governance_households >= 300) & (division.governance_households <= 500)
    assert inside[~division.is_dedicated].all()
    assert not any("outside" in note for note in division.notes)


def test_two_dedicated_areas_side_by_side_do_not_flow_together():
    west, east = box(140, 140, 200, 160), box(200, 140, 260, 160)
    division = divide_community(town(buildings=boxes(), households=np.zeros(0, int), dedicated=array(west, east)))

    areas = np.sort(shapely.area(division.governance_grids[division.is_dedicated]))
    assert areas == pytest.approx([1200.0, 1200.0], rel=0.02)


def test_every_seed_has_a_grid_to_itself():
    seeds = array(point(60, 60), point(70, 200), point(460, 60), point(460, 430))
    division = divide_community(town(seeds=seeds))

    holders = shapely.STRtree(division.governance_grids).query(seeds, predicate="intersects")[1]
    assert len(np.unique(holders)) == len(seeds)
    assert shapely.coverage_is_valid(division.governance_grids)


def test_more_seeds_than_the_households_ask_for_make_more_grids():
    seeds = array(*[point(x, y) for x in (60, 190, 320, 450) for y in (60, 190, 320, 430)])
    division = divide_community(town(households_each=8, seeds=seeds))

    assert len(division.governance_grids) >= len(seeds)


def village(**changes):
    """Return a village of three hamlets of 20 farmhouses each in fields, without any street."""
    houses = [
        (hx + 22 * i, hy + 22 * j) for hx, hy in ((60, 60), (700, 80), (380, 620)) for i in range(5) for j in range(4)
    ]
    fields = {
        "code": "420103001201",
        "boundary": box(0, 0, 1000, 900),
        "buildings": boxes(*[(x, y, x + 12, y + 10) for x, y in houses]),
        "households": np.full(len(houses), 8),
    }
    return CommunityInput(**(fields | changes))


def grids_of(division, buildings):
    inner = shapely.point_on_surface(buildings)
    return shapely.STRtree(division.governance_grids).query(inner, predicate="within")[1]


def test_a_natural_village_is_not_divided():
    community = village(households=np.full(60, 12))
    division = divide_community(community)

    grids = grids_of(division, community.buildings).reshape(3, 20)
    assert (grids == grids[:, :1]).all()
    assert len(np.unique(natural_villages(community.buildings, 40.0))) == 3


def test_a_hamlet_with_more_households_than_a_grid_may_hold_is_divided():
    community = village(households=np.repeat([45, 4, 4], 20))
    division = divide_community(community)

    assert len(np.unique(grids_of(division, community.buildings)[:20])) > 1


def test_villager_groups_hold_together_where_they_are_known():
    # the first hamlet is two villager groups, west and east; each group of 330 households is a grid
    groups = np.repeat([0, 0, 0, 1, 1], 4)
    community = village(
        households=np.concatenate([np.repeat([28, 28, 28, 41, 41], 4), np.full(40, 17)]),
        villager_groups=np.concatenate([groups, np.full(20, 2), np.full(20, 3)]),
    )
    division = divide_community(community)

    grids = grids_of(division, community.buildings)
    for number in range(4):
        assert len(np.unique(grids[community.villager_groups == number])) == 1
    assert ((division.governance_households >= 300) & (division.governance_households <= 500)).all()


def test_micro_grids_have_50_to_80_households():
    division = divide_community(town(households_each=12), DivisionRules.micro())

    held = division.governance_households
    assert ((held >= 50) & (held <= 80)).mean() > 0.95
    assert len(held) >= 10


def test_governance_grids_alone_are_the_same_ones():
    both = divide_community(town())
    alone = divide_community(town(), kinds=("governance",))

    assert len(alone.unit_grids) == len(alone.governance_grids) == len(both.governance_grids)
    assert shapely.equals(alone.governance_grids, both.governance_grids).all()
    assert (alone.governance_households == both.governance_households).all()


def test_borders_say_what_they_follow():
    community = CommunityInput(
        "420103001001", box(0, 0, 300, 120), lines([(75, -10), (75, 130)]),
        barriers=lines([(150, -10), (150, 130)], [(225, -10), (225, 130)]), barrier_kinds=np.array(["wall", "rail"], dtype=object),
    )  # fmt: skip
    first, second, kind, length = make_atoms(community, RULES, RULES.border_strip_m).borders()

    by_kind = {BORDER_KINDS[k]: length[kind == k].sum() for k in np.unique(kind)}
    assert by_kind == {name: pytest.approx(120.0, abs=0.1) for name in ("street", "wall", "rail")}
    assert (first < second).all()


def test_components_and_events_are_counted_in_their_grids():
    components = array(*[point(20 + 7 * i, 8) for i in range(40)])
    events = array(point(60, 60), point(460, 430))
    division = divide_community(town(components=components, events=events, event_counts=np.array([5.0, 2.0])))

    assert division.governance_components.sum() == 40
    holders = shapely.STRtree(division.governance_grids).query(events, predicate="intersects")[1]
    assert division.governance_events[holders].tolist() == [5.0, 2.0]


def test_work_is_spread_where_households_allow_it():
    rng = np.random.default_rng(3)
    events = shapely.points(ORIGIN + rng.uniform([0, 0], [260, 480], (600, 2)))
    plain, spread = divide_community(town()), divide_community(town(events=events))

    held = shapely.STRtree(plain.governance_grids).query(events, predicate="intersects")[1]
    before = np.bincount(held, minlength=len(plain.governance_grids))
    assert spread.governance_events.std() / spread.governance_events.mean() <= before.std() / before.mean()
    assert ((spread.governance_households >= 300) & (spread.governance_households <= 500)).all()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dedicated": array(shapely.LineString([(0, 0), (1, 1)]))}, "number 1 of its dedicated"),
        (
            {"dedicated": array(box(0, 0, 9, 9), shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)]))},
            "number 2 of its dedicated",
        ),
        ({"seeds": array(box(0, 0, 9, 9))}, "number 1 of its seeds"),
        ({"villager_groups": np.zeros(1, int)}, "villager groups"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(changes, what):
    with pytest.raises(GeometryError, match=what):
        divide_community(replace(town(), **changes))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"households": np.full(88, np.nan)}, "no whole number"),
        ({"households": np.full(88, 30.5)}, "no whole number"),
        ({"boundary": None}, "no boundary"),
        (
            {"barriers": lines([(0, 100), (520, 100)]), "barrier_kinds": np.array(["wall", "rail"], dtype=object)},
            "2 kinds of barriers",
        ),
        ({"barriers": lines([(0, 100), (520, 100)]), "barrier_kinds": np.array(["fence"], dtype=object)}, "'fence'"),
        ({"streets": array(shapely.LineString([(0, 0), (np.inf, 0)]))}, "number 1 of its streets"),
        ({"streets": boxes((0, 0, 9, 9))}, "number 1 of its streets"),
    ],
)
def test_input_that_means_nothing_is_refused_by_the_name_of_its_field(changes, what):
    with pytest.raises(GeometryError, match=what):
        divide_community(town(**changes))


@pytest.mark.parametrize(("each", "held"), [(40, [480] * 4), (45, [360] * 6)])
def test_two_banks_with_grids_enough_are_divided_each_by_itself(each, held):
    west, east = box(0, 0, 260, 240), box(400, 0, 660, 240)
    rows = [
        (x0 + x, y, x0 + x + 45, y + 14)
        for x0 in (0, 400)
        for x in (20, 90, 160)
        for y in (20, 50, 80, 110, 140, 170, 200, 218)
    ]
    community = CommunityInput(
        "420103001001", shapely.MultiPolygon([west, east]), buildings=boxes(*rows), households=np.full(len(rows), each)
    )
    division = divide_community(community)

    assert division.governance_households.tolist() == held
    assert (shapely.get_type_id(division.governance_grids) == shapely.GeometryType.POLYGON).all()
