"""Groups most networks agree on: held against the proven best on small cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix

from gridsvc.networks.agreement import agreed_groups, agreement, votes_of
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import overlay
from gridsvc.networks.unified_ground import UnifiedGround, unified_ground
from gridsvc.synth.drawn_nets import Distortion, copies, grouped, parcel_city


def unlike(parcels: int, grids: int, seed: int, kind: str) -> list[Net]:
    """Return three nets over a few parcels: distorted copies of one net, or three that know nothing of each other."""
    city = parcel_city(parcels, seed=seed)
    if kind == "copies":
        wrong = Distortion(jitter_m=0.0, missing=0.15, merged=0.4, split=0.3)
        return [each.net for each in copies(city, grouped(city, grids, seed=seed), [wrong] * 3, seed=seed)]
    exact = Distortion(jitter_m=0.0)
    return [copies(city, grouped(city, grids, seed=seed + k), [exact], seed=seed)[0].net for k in range(3)]


def ground_of(nets: list[Net]) -> UnifiedGround:
    named = [Net.of(f"n{k}", each.code, each.geometry) for k, each in enumerate(nets)]
    return unified_ground(overlay(named, tolerance_m=0.0), reference=0)


def best_by_trying(ground: UnifiedGround) -> int:
    """Return the most that groups which hang together are worth: every grouping of blocks is tried."""
    votes = votes_of(ground)
    count = ground.blocks
    beside = {frozenset(pair) for pair in zip(ground.first.tolist(), ground.second.tolist(), strict=True)}

    def hangs_together(members: list[int]) -> bool:
        reached, rest = {members[0]}, set(members[1:])
        while more := {b for b in rest if any(frozenset((a, b)) in beside for a in reached)}:
            reached |= more
            rest -= more
        return not rest

    best = None
    # a grouping as numbers that grow by at most one: each comes once
    stack = [[0]]
    while stack:
        group = stack.pop()
        if len(group) < count:
            stack += [[*group, g] for g in range(max(group) + 2)]
            continue
        parts = [[b for b in range(count) if group[b] == g] for g in range(max(group) + 1)]
        if all(hangs_together(part) for part in parts):
            worth = agreement(votes, np.array(group))
            best = worth if best is None else max(best, worth)
    assert best is not None
    return best


def bound_by_solver(ground: UnifiedGround) -> int:
    """Return what the best groups are worth when they need not hang together: no groups are worth more."""
    votes = votes_of(ground)
    count = ground.blocks
    apart = np.arange(count)
    alone = agreement(votes, apart)
    number = {pair: k for k, pair in enumerate(itertools.combinations(range(count), 2))}
    gains = np.zeros(len(number))
    for (a, b), k in number.items():
        group = apart.copy()
        group[b] = a
        gains[k] = agreement(votes, group) - alone
    # who is together with both of two others is so with them
    rows = [[number[pair] for pair in ((x, y), (y, z), (x, z))] for x, y, z in itertools.combinations(range(count), 3)]
    triples = np.array([np.roll(row, k) for row in rows for k in range(3)])
    line = np.repeat(np.arange(len(triples)), 3)
    signs = np.tile([1.0, 1.0, -1.0], len(triples))
    matrix = coo_matrix((signs, (line, triples.ravel())), shape=(len(triples), len(gains))).tocsr()
    scale = np.abs(gains).max()
    found = milp(
        -gains / scale,
        constraints=LinearConstraint(matrix, ub=1.0),
        integrality=np.ones(len(gains)),
        bounds=Bounds(0.0, 1.0),
    )
    assert found.success
    return alone + int(np.ceil(-found.mip_dual_bound * scale)) + 1


@pytest.mark.parametrize("kind", ["copies", "strangers"])
def test_small_cases_are_the_best_of_all_groupings(kind):
    gaps = []
    for seed in range(25):
        ground = ground_of(unlike(9, 4, seed, kind))
        if not 3 <= ground.blocks <= 8:
            continue
        votes = votes_of(ground)
        apart = agreement(votes, np.arange(ground.blocks))
        best = best_by_trying(ground)
        found = agreement(votes, agreed_groups(votes))
        assert found <= best
        gaps.append(0.0 if best == apart else (best - found) / (best - apart))
    assert len(gaps) >= 12
    assert np.mean(np.array(gaps) == 0.0) >= 0.9
    assert np.mean(gaps) <= 0.01


@pytest.mark.parametrize("kind", ["copies", "strangers"])
def test_larger_cases_are_near_what_no_grouping_can_pass(kind):
    gaps = []
    for seed in range(4):
        ground = ground_of(unlike(36, 12, seed, kind))
        votes = votes_of(ground)
        apart = agreement(votes, np.arange(ground.blocks))
        bound = bound_by_solver(ground)
        found = agreement(votes, agreed_groups(votes))
        assert found <= bound
        # the bound is rounded up by one or two
        gaps.append(0.0 if bound - found <= 2 else (bound - found) / (bound - apart))
    assert np.count_nonzero(gaps) <= 2 and max(gaps) <= 0.05
    assert np.mean(gaps) <= 0.02


def test_what_groups_are_worth_is_counted_by_pairs():
    ground = ground_of(unlike(9, 4, 3, "copies"))
    votes = votes_of(ground)
    group = np.arange(ground.blocks) // 2
    weight, label = votes.weight, votes.label
    pairs = 0
    for a, b in itertools.permutations(range(ground.blocks), 2):
        if group[a] != group[b]:
            continue
        for n, vote in enumerate(votes.vote.tolist()):
            one, other = label[a, n], label[b, n]
            said = (
                0 if one < 0 and other < 0 else -vote // 2 if min(one, other) < 0 else vote if one == other else -vote
            )
            pairs += said * int(weight[a]) * int(weight[b])

    assert agreement(votes, group) - agreement(votes, np.arange(ground.blocks)) == pairs
