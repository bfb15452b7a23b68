"""Nodes at places along streets: times stay, places get nodes, what a street is made of stays."""

import numpy as np
import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.street_splits import split_edges
from gridsvc.circle.travel_times import nearest_times
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import RequestInvalidError
from tests.factories.street_towns import crooked_net


@pytest.fixture
def bent():
    """One street of 100 m with a bend at 60 m, 10 s of penalty, in compound 3, and one across its west end."""
    lines = [shapely.LineString([(0, 0), (60, 0), (60, 40)]), shapely.LineString([(0, -50), (0, 0), (0, 50)])]
    return build_walk_network(lines, penalty_s=[10.0, 0.0], compound=[3, -1])


def street(network):
    return int(np.flatnonzero(network.edge_compound == 3)[0])


def test_a_place_gets_a_node_on_the_bend_and_pieces_add_up(bent):
    edge = street(bent)
    from_u = bent.node_xy[bent.edge_u[edge]].tolist() == [0.0, 0.0]
    split, node = split_edges(bent, [edge, edge], [80.0, 30.0] if from_u else [20.0, 70.0])

    assert split.node_xy[node].tolist() == [[60.0, 20.0], [30.0, 0.0]]
    pieces = np.flatnonzero(split.edge_compound == 3)
    assert sorted(split.edge_length_m[pieces]) == pytest.approx([20.0, 30.0, 50.0])
    assert split.edge_penalty_s[pieces] == pytest.approx(split.edge_length_m[pieces] / 10.0)
    assert (split.edge_u <= split.edge_v).all()
    assert shapely.length(split.edge_lines) == pytest.approx(split.edge_length_m)
    ends = shapely.get_coordinates(shapely.get_point(split.edge_lines, 0))
    assert (ends == split.node_xy[split.edge_u]).all()
    assert (shapely.get_coordinates(shapely.get_point(split.edge_lines, -1)) == split.node_xy[split.edge_v]).all()
    others = np.setdiff1d(np.arange(len(bent.edge_u)), [edge])
    assert (split.edge_v[others] == bent.edge_v[others]).all()


def test_places_at_ends_and_of_one_spot_share_nodes(bent):
    edge = street(bent)
    split, node = split_edges(bent, [edge] * 4, [0.005, 50.0, 50.008, 99.995])

    assert node.tolist() == [bent.edge_u[edge], len(bent.node_xy), len(bent.node_xy), bent.edge_v[edge]]
    assert len(split.edge_u) == len(bent.edge_u) + 1


def test_nothing_to_cut_gives_the_network_back(bent):
    assert split_edges(bent, [street(bent)], [0.0])[0] is bent


@pytest.mark.parametrize("seed", [1, 2])
def test_times_do_not_change(seed):
    rng = np.random.default_rng(seed)
    lines = crooked_net(seed)
    network = build_walk_network(lines, penalty_s=rng.uniform(0, 30, len(lines)))
    edges = rng.choice(len(network.edge_u), 9)
    split, _ = split_edges(network, edges, rng.uniform(0, 1, 9) * network.edge_length_m[edges])
    homes, shops, kind = rng.uniform(0, 700, (60, 2)), rng.uniform(0, 700, (8, 2)), np.arange(8) % 2

    before, after = (
        nearest_times(net, attach_points(net, homes), attach_points(net, shops), kind, 2) for net in (network, split)
    )

    assert len(split.edge_u) > len(network.edge_u)
    assert (np.isfinite(before) == np.isfinite(after)).all()
    assert after[np.isfinite(after)] == pytest.approx(before[np.isfinite(before)], abs=1e-4)


@pytest.mark.parametrize(
    ("edge", "offset_m", "says"),
    [(-1, 0.0, "not there"), (9, 1.0, "not there"), (0, -1.0, "beyond"), (0, 1e3, "beyond")],
)
def test_places_that_are_none_are_refused(bent, edge, offset_m, says):
    with pytest.raises(RequestInvalidError, match=says):
        split_edges(bent, [edge], [offset_m])


def test_a_gate_is_not_cut(bent):
    gated = build_walk_network([shapely.LineString([(0, 0), (9, 0)])], gate=[0], is_closed=[True])

    with pytest.raises(RequestInvalidError, match="gate"):
        split_edges(gated, [0], [4.0])
