import numpy as np
import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.cover_sets import cover_sets
from gridsvc.circle.travel_times import CompiledWalk, time_matrix
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import RequestInvalidError
from tests.factories.street_towns import crooked_net, net_network


@pytest.mark.parametrize(("seed", "limit_s"), [(1, 600.0), (2, 250.0), (3, 40.0), (4, 0.0)])
def test_sets_hold_the_times_of_the_matrix(seed, limit_s):
    rng = np.random.default_rng(seed)
    # a loop and a parallel street, too
    extra = [shapely.LineString([(90, 90), (120, 90), (120, 120), (90, 90)])]
    network = build_walk_network(crooked_net(seed) + extra)
    homes = attach_points(network, np.vstack((rng.uniform(0, 700, (150, 2)), [(9000, 9000), (120, 105)])))
    sites = attach_points(network, np.vstack((rng.uniform(0, 700, (25, 2)), [(-9000, 0), (118, 115)])))
    walk = CompiledWalk(network, limit_s=600.0)

    sets = cover_sets(walk, sites, homes, limit_s)

    times_s = np.full((27, 152), np.inf)
    times_s[sets.candidate, sets.residence] = sets.walk_s
    expected = time_matrix(walk, sites, homes)
    expected[expected > limit_s] = np.inf
    assert (times_s == expected).all()
    assert (np.diff(sets.residence)[np.diff(sets.candidate) == 0] > 0).all()
    assert len(sets) == 27
    assert (sets.residences, sets.limit_s) == (152, limit_s)


def test_a_walk_of_exactly_the_limit_is_within():
    walk = CompiledWalk(net_network())
    sites, homes = attach_points(walk.network, [(50, 0)]), attach_points(walk.network, [(130, 200), (50, 100)])
    walk_s = cover_sets(walk, sites, homes).walk_s

    assert cover_sets(walk, sites, homes, float(walk_s.max())).walk_s.tolist() == walk_s.tolist()
    assert len(cover_sets(walk, sites, homes, float(walk_s.max()) - 0.1).walk_s) == 1


def test_no_candidates_and_no_residences_give_empty_sets():
    walk = CompiledWalk(net_network())
    place, none = attach_points(walk.network, [(50, 0)]), attach_points(walk.network, np.empty((0, 2)))

    assert len(cover_sets(walk, none, place)) == 0
    assert cover_sets(walk, place, none).first.tolist() == [0, 0]


@pytest.mark.parametrize("limit_s", [-1.0, 901.0, np.nan])
def test_limit_beyond_the_walk_is_refused(limit_s):
    walk = CompiledWalk(net_network())
    place = attach_points(walk.network, [(50, 0)])

    with pytest.raises(RequestInvalidError, match="not within 0 to 900 s"):
        cover_sets(walk, place, place, limit_s)
