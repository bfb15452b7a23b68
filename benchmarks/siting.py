"""Siting: greedy over a whole city, exact for a district against spopt with the same solver, and the missing gate.

    python benchmarks/siting.py [--nodes 600000] [--candidates 5000] [--sites 10] [--runs 5]
    python benchmarks/siting.py --part city|district|gates

CPU-seconds, medians with the lowest and highest run beside them. Both sides of the district start from the same times of one
cover table. spopt's models (of pulp) are handed to the same HiGHS, that inside scipy, with the same options; building them counts,
as does building ours, handing them over does not. All parts take about two and a half CPU-minutes, most of it spopt's.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _measuring import Timing, goal, machine_noise, timed
from circle_times import City

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.cover_sets import CoverSets, cover_sets
from gridsvc.circle.exact_siting import exact_covering, exact_median, exact_share
from gridsvc.circle.greedy_siting import greedy_covering, greedy_median, greedy_share
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.missing_gates import rank_missing_gates
from gridsvc.circle.siting import Siting, SitingTask, siting_task
from gridsvc.circle.travel_times import CompiledWalk, nearest_facilities
from gridsvc.circle.walk_network import WalkNetwork

NAMES = ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
LIMIT_S = 900.0


def some(attached: Attachments, chosen: Any) -> Attachments:
    """Return some of several attached points."""
    return Attachments(*(getattr(attached, name)[chosen] for name in NAMES))


class Siteable:
    """A city with candidates, people, and facilities that stand already."""

    def __init__(self, nodes: int, candidates: int, standing: int, seed: int) -> None:
        self.city = City(nodes, 1, candidates + standing, seed)
        rng = np.random.default_rng(seed)
        self.people = rng.integers(20, 400, len(self.city.residences)).astype(np.float64)
        self.walk = CompiledWalk(self.city.network)
        self.candidates = some(self.city.facilities, slice(0, candidates))
        self.standing = some(self.city.facilities, slice(candidates, None))

    def sets(self) -> CoverSets:
        """Return the cover sets of the candidates."""
        return cover_sets(self.walk, self.candidates, self.city.residences, LIMIT_S)

    def task(self, sets: CoverSets) -> SitingTask:
        """Return the task above what stands."""
        kind = np.zeros(len(self.standing), dtype=np.int64)
        served = nearest_facilities(self.walk, self.city.residences, self.standing, kind, 1).times_s[:, 0]
        return siting_task(sets, self.people, served_s=served)


def told(answer: Siting) -> str:
    """Return what an answer says of itself."""
    proven = "proven" if answer.is_proven else f"gap {answer.gap:.3%}"
    return f"{len(answer.sites)} sites, {answer.before:,.0f} -> {answer.after:,.0f}, {proven}"


def whole_city(options: argparse.Namespace) -> None:
    """Measure cover sets and greedy choice for a whole city."""
    place = Siteable(options.nodes, options.candidates, 500, options.seed)
    _ = place.walk.graph
    sets = timed(place.sets, runs=options.runs)
    entries = len(sets.answer.residence)
    print(f"city: {options.nodes:,} nodes, {len(place.people):,} residences, {options.candidates:,} candidates")
    print(f"cover sets                  {sets}   {entries:,} entries")
    task = place.task(sets.answer)
    greedy = timed(lambda: greedy_covering(task, options.sites), runs=options.runs)
    print(f"greedy covering             {greedy}   {told(greedy.answer)}")
    for name, work in (
        ("exact covering", lambda: exact_covering(task, options.sites)),
        ("greedy median", lambda: greedy_median(task, options.sites)),
        ("greedy 50 % of the people", lambda: greedy_share(task, 0.5)),
        (
            "greedy with capacities",
            lambda: greedy_covering(replace(task, capacity=np.full(len(sets.answer), 3000.0)), options.sites),
        ),
    ):
        timing = timed(work, runs=options.runs)
        print(f"{name:27} {timing}   {told(timing.answer)}")
    print(goal("a second over greedy choice", 1.0 / greedy.median_s, 1.0, "{:.0f}"))


def solved_elsewhere(problem: Any, limit_s: float) -> tuple[float, float, float]:
    """Return the CPU-seconds that our solver takes for a model of pulp, the value it finds, and the gap left when its time ran out."""
    variables = problem.variables()
    number = {variable.name: column for column, variable in enumerate(variables)}
    rows, columns, values, low, high = [], [], [], [], []
    for row, constraint in enumerate(problem.constraints.values()):
        for variable, value in constraint.items():
            rows.append(row)
            columns.append(number[variable.name])
            values.append(value)
        low.append(-constraint.constant if constraint.sense >= 0 else -np.inf)
        high.append(-constraint.constant if constraint.sense <= 0 else np.inf)
    cost = np.zeros(len(variables))
    for variable, value in problem.objective.items():
        cost[number[variable.name]] = value * problem.sense
    table = coo_array((values, (rows, columns)), shape=(len(low), len(variables))).tocsr()
    whole = np.array([variable.cat == "Integer" for variable in variables], dtype=float)
    lowest = np.array([-np.inf if variable.lowBound is None else variable.lowBound for variable in variables])
    highest = np.array([np.inf if variable.upBound is None else variable.upBound for variable in variables])
    began = time.process_time()
    answer = milp(
        cost,
        integrality=whole,
        bounds=Bounds(lowest, highest),
        constraints=LinearConstraint(table, low, high),
        options={"mip_rel_gap": 0.0, "time_limit": limit_s},
    )
    return time.process_time() - began, float(answer.fun) * problem.sense, float(answer.mip_gap)


def district(options: argparse.Namespace) -> None:
    """Measure exact choice in a district of 10 km, and spopt with the same solver on the same times."""
    place = Siteable(options.district_nodes, options.district_candidates, 10, options.seed)
    sets = place.sets()
    task = place.task(sets)
    free = replace(task, served_s=np.full(len(place.people), np.inf))
    print(
        f"district: {place.city.lattice.side_m / 1000:.1f} km wide, {len(place.people):,} residences, "
        f"{options.district_candidates} candidates, {len(sets.residence):,} entries"
    )
    found: dict[str, Timing[Siting]] = {}
    for name, work in (
        ("exact covering", lambda: exact_covering(task, options.sites)),
        ("exact covering, none stands", lambda: exact_covering(free, options.sites)),
        ("exact median, none stands", lambda: exact_median(free, options.sites)),
        ("exact 60 % of the people", lambda: exact_share(task, 0.6)),
    ):
        found[name] = timed(work, runs=options.runs)
        print(f"{name:27} {found[name]}   {told(found[name].answer)}", flush=True)
    greedy = greedy_covering(free, options.sites).after / found["exact covering, none stands"].answer.after
    print(f"greedy reaches {greedy:.2%} of the most people")
    if not importlib.util.find_spec("spopt"):
        print("spopt is not installed; left out")
        return
    from spopt.locate import MCLP, PMedian

    times = np.full((len(sets), sets.residences), 2 * LIMIT_S)
    times[sets.candidate, sets.residence] = sets.walk_s
    for name, peer, people in (
        ("covering", lambda: MCLP.from_cost_matrix(times.T, place.people, LIMIT_S, options.sites), True),
        ("median", lambda: PMedian.from_cost_matrix(np.minimum(times.T, LIMIT_S), place.people, options.sites), False),
    ):
        if name == "median" and not options.peer_median:
            continue
        began = time.process_time()
        model = peer()
        built = time.process_time() - began
        print(f"spopt {name}: model built in {built:.2f} s", flush=True)
        seconds, value, gap = solved_elsewhere(model.problem, options.peer_limit)
        ours = found[f"exact {name}, none stands"]
        print(f"spopt {name}: HiGHS {seconds:.2f} s, value {abs(value):,.0f}, gap {gap:.2%}")
        value_of_ours = ours.answer.after if people else ours.answer.value
        print(f"difference of the values: {abs(value) - value_of_ours:,.1f}")
        print(goal(f"{name}: times spopt's whole time", (built + seconds) / ours.median_s, 1.0, "{:.1f}"))
        print(goal(f"{name}: times spopt's solver alone", seconds / ours.median_s, 1.0, "{:.1f}"))


def gated(network: WalkNetwork, gates: int, seed: int) -> WalkNetwork:
    """Return a network in which some edges are closed gates."""
    edges = np.random.default_rng(seed).choice(len(network.edge_u), gates, replace=False)
    number = np.full(len(network.edge_u), -1, dtype=np.int32)
    number[np.sort(edges)] = np.arange(gates)
    return replace(network, edge_gate=number, edge_closed_by=number)


def missing_gates(options: argparse.Namespace) -> None:
    """Measure the ranking of closed gates."""
    place = Siteable(options.nodes, 500, 500, options.seed)
    network = gated(place.city.network, options.gates, options.seed)
    homes = place.city.residences
    on_gate = network.edge_gate[homes.edge] >= 0
    homes = replace(homes, edge=np.where(on_gate, -1, homes.edge))
    open_ = network.edge_gate[place.city.facilities.edge] < 0
    facilities = some(place.city.facilities, open_)
    kind = np.arange(len(facilities)) % options.gate_kinds
    walk = CompiledWalk(network)
    live = LiveTimes(walk, homes, facilities, kind, options.gate_kinds)
    limits = np.full(options.gate_kinds, LIMIT_S)
    ranked = timed(lambda: rank_missing_gates(walk, live, place.people, limits), runs=1)
    best = ranked.answer.people[0].sum()
    print(
        f"gates: {options.gates:,} closed, {options.gate_kinds} kinds, {options.nodes:,} nodes   {ranked}; "
        f"{ranked.median_s / options.gates * 1000:.2f} ms a gate, best brings {best:,.0f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=600_000)
    parser.add_argument("--candidates", type=int, default=5000)
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--district-candidates", type=int, default=500)
    parser.add_argument("--district-nodes", type=int, default=26_000, help="26,000 is 10 km")
    parser.add_argument("--gates", type=int, default=1000)
    parser.add_argument("--gate-kinds", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer-limit", type=float, default=60.0, help="wall seconds for the solver on spopt's model")
    parser.add_argument("--peer-median", action="store_true", help="spopt's p-median, too; it takes minutes")
    parser.add_argument("--part", choices=("city", "district", "gates", "all"), default="all")
    options = parser.parse_args()
    print(machine_noise())
    for name, work in (("city", whole_city), ("district", district), ("gates", missing_gates)):
        if options.part in (name, "all"):
            work(options)


if __name__ == "__main__":
    main()
