import numpy as np
import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.scenarios import (
    AddFacility,
    AddPath,
    CloseFacility,
    CloseGate,
    MoveFacility,
    OpenGate,
    scenario_outcome,
)
from gridsvc.circle.travel_times import CompiledWalk, nearest_times
from gridsvc.circle.walk_network import add_edges, build_walk_network, with_gates
from gridsvc.errors import GeometryError, NotFoundError, RequestInvalidError
from tests.factories.street_towns import crooked_net

LIMITS = np.array([300.0, 500.0])


class Town:
    """A crooked town with an open gate 0 and a closed gate 1, homes of three communities, facilities of two kinds."""

    def __init__(self):
        rng = np.random.default_rng(11)
        lines = crooked_net(4)
        corners = np.array([line.coords[0] for line in lines])
        south_west, north_east, east = (
            corners[np.hypot(*(corners - place).T).argmin()] for place in ((150, 150), (450, 400), (500, 200))
        )
        gates = [shapely.LineString([south_west, north_east]), shapely.LineString([south_west, east])]
        number = np.concatenate((np.full(len(lines), -1), [0, 1]))
        self.network = build_walk_network(lines + gates, gate=number, is_closed=number == 1)
        self.homes = attach_points(self.network, rng.uniform(0, 700, (50, 2)))
        # all in the south-west, so that gates and paths to there are short cuts
        self.place_xy = rng.uniform(0, 250, (8, 2))
        self.kinds = np.arange(8) % 2
        self.people, self.codes = rng.integers(1, 90, 50), np.array([f"C{i % 3}" for i in range(50)])
        self.walk = CompiledWalk(self.network, limit_s=700.0)
        self.live = LiveTimes(self.walk, self.homes, self.at(self.place_xy), self.kinds, 2)

    def at(self, xy):
        return attach_points(self.network, xy)

    def outcome(self, changes, **options):
        given = {"people": self.people, "community_codes": self.codes, "limits_s": LIMITS} | options
        return scenario_outcome(self.walk, self.live, changes, **given)

    def times_with(self, network, xy, kinds):
        return nearest_times(network, self.homes, self.at(xy), kinds, 2, limit_s=700.0)


@pytest.fixture
def town():
    return Town()


def assert_outcome(town, outcome, after):
    before = town.times_with(town.network, town.place_xy, town.kinds)
    changed = np.nonzero(before != after)
    assert (outcome.residence.tolist(), outcome.kind.tolist()) == tuple(part.tolist() for part in changed)
    assert outcome.before_s.tolist() == before[changed].tolist()
    assert outcome.after_s.tolist() == after[changed].tolist()
    assert outcome.communities == ("C0", "C1", "C2")
    for row, code in enumerate(outcome.communities):
        own = town.people * (town.codes == code)
        assert outcome.people[row] == own.sum()
        for times, covered, complete in (
            (before, outcome.covered_before, outcome.complete_before),
            (after, outcome.covered_after, outcome.complete_after),
        ):
            assert covered[row].tolist() == (own @ (times <= LIMITS)).tolist()
            assert complete[row] == own @ (times <= LIMITS).all(axis=1)
    assert town.live.changes == 0
    assert (town.live.nearest.times_s == before).all()


def test_facilities_added_moved_and_closed_together_equal_computing_anew(town):
    new, there = [350.0, 350.0], [100.0, 600.0]

    outcome = town.outcome(
        [
            AddFacility(1, town.at([new])),
            MoveFacility(2, town.at([there])),
            CloseFacility(5),
            MoveFacility(8, town.at([there])),
        ]
    )

    xy = np.vstack((town.place_xy, [there]))
    xy[2], kinds = there, np.append(town.kinds, 1)
    keep = np.arange(9) != 5
    assert outcome.added == (8,)
    assert len(outcome.residence) > 10
    assert_outcome(town, outcome, town.times_with(town.network, xy[keep], kinds[keep]))


def test_gates_and_a_path_together_equal_computing_anew(town):
    u, v = (np.hypot(*(town.network.node_xy - place).T).argmin() for place in ((200, 200), (200, 450)))
    path = shapely.LineString(town.network.node_xy[[u, v]])

    outcome = town.outcome([OpenGate(1), CloseGate(0), AddPath(u, v, path, penalty_s=7.0)])

    changed = add_edges(with_gates(town.network, opened=[1], closed=[0]), [u], [v], [path], penalty_s=7.0)
    assert outcome.added == ()
    assert (outcome.after_s < outcome.before_s).any() and (outcome.after_s > outcome.before_s).any()
    assert_outcome(town, outcome, town.times_with(changed, town.place_xy, town.kinds))


def test_a_gate_that_closes_and_opens_again_is_as_it_was(town):
    assert len(town.outcome([CloseGate(0)]).residence) > 0
    assert len(town.outcome([CloseGate(0), OpenGate(0)]).residence) == 0


def test_a_path_must_begin_and_end_at_its_nodes(town):
    begin, end = town.network.node_xy[[2, 30]]

    for line in ([begin, end + 5.0], [begin - 5.0, end]):
        with pytest.raises(GeometryError, match="from its nodes 2 and 30"):
            town.outcome([AddPath(2, 30, shapely.LineString(line))])


def test_a_walk_of_exactly_the_limit_is_within(town):
    before = town.live.nearest.times_s
    home = int(np.argmax(np.where(np.isfinite(before[:, 0]), before[:, 0], -1.0)))

    outcome = town.outcome([], limits_s=[before[home, 0], 700.0])

    assert outcome.covered_before[:, 0].sum() == town.people[np.isfinite(before[:, 0])].sum()


def test_no_change_changes_nothing(town):
    outcome = town.outcome([])

    assert len(outcome.residence) == 0
    assert (outcome.covered_before == outcome.covered_after).all()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (AddPath(0, 1, shapely.Point(0, 0)), "drawn as POINT"),
        (AddPath(0, 1, None), "drawn as None"),
        (AddPath(0, 1, shapely.LineString([(0, 0), (1, 1)])), "m from its nodes 0 and 1"),
        (CloseFacility(99), "no facility 99"),
        (OpenGate(7), "no gate 7"),
        (CloseGate(-1), "no gate -1"),
        (AddPath(-1, 1, shapely.LineString([(0, 0), (1, 1)])), "ends at node -1"),
        (AddPath(0, 10_000, shapely.LineString([(0, 0), (1, 1)])), "ends at node 0 or 10000"),
    ],
)
def test_impossible_change_is_refused_and_takes_back_those_before_it(town, change, what):
    before = town.live.nearest.times_s

    with pytest.raises((NotFoundError, GeometryError), match=what):
        town.outcome([CloseFacility(0), change])

    assert town.live.changes == 0
    assert (town.live.nearest.times_s == before).all()


@pytest.mark.parametrize("penalty_s", [-1.0, np.inf, np.nan])
def test_path_with_a_penalty_that_is_no_time_is_refused(town, penalty_s):
    path = AddPath(2, 30, shapely.LineString(town.network.node_xy[[2, 30]]), penalty_s)

    with pytest.raises(RequestInvalidError, match="no time"):
        town.outcome([path])


@pytest.mark.parametrize(
    "options", [{"people": [1]}, {"community_codes": ["C0"]}, {"limits_s": [100.0]}, {"limits_s": [100.0, 701.0]}]
)
def test_what_does_not_fit_the_residences_is_refused(town, options):
    with pytest.raises(RequestInvalidError):
        town.outcome([], **options)
