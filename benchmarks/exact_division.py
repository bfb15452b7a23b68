"""How far METIS and annealing are from the best grouping, with proof, on whole communities and on pieces of 30 to 60 atoms.

    python benchmarks/exact_division.py [--communities 30] [--seconds 30] [--data FOLDER]

Takes the first communities of a data set (default: a district that ``gridsvc synth`` makes), whole and cut down to their first
30, 45 and 60 atoms. For each size: share proven optimal, seconds to the proof, gap where there is none, and how much more than
the best the heuristic costs, all under the annealing's own cost; medians with the lowest and highest beside them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from divide_communities import read_communities

from gridsvc.division.atoms import make_atoms
from gridsvc.division.communities import DivisionRules, Integers
from gridsvc.division.exact_grouping import MOST_ATOMS, ExactGrouping, grouping_cost, solve_exactly
from gridsvc.division.governance_grids import governance_grids
from gridsvc.division.grouping import Task, group
from gridsvc.formats.dataset import read_dataset
from gridsvc.services.synthesising import synthesise_to_folder

RULES = DivisionRules()


def whole_tasks(communities: list) -> Iterator[tuple[Task, Integers]]:
    """Yield the task of each community with more than one grid, and the grouping the heuristic makes."""
    for community in communities:
        found: list[tuple[Task, Integers]] = []

        def keep(task: Task, labels: Integers, found: list = found) -> Integers:
            found.append((task, labels))
            return labels

        governance_grids(make_atoms(community, RULES, RULES.border_strip_m), RULES, seed=0, improve=keep)
        yield from ((task, labels) for task, labels in found if labels.max() > 0)


def cut_down(task: Task, size: int, count: int) -> tuple[Task, Integers]:
    """Return the first ``size`` atoms in breadth-first order as a task of ``count`` groups, and its heuristic grouping."""
    near = task.neighbours
    reached = [0]
    for i in reached:
        reached.extend(int(j) for j in near.ids[near.start[i] : near.start[i + 1]] if int(j) not in reached)
    chosen = np.sort(reached[:size])
    weight = task.weight[chosen]
    middle = max(float(weight.sum()) / count, 4.0)
    piece = replace(
        task,
        neighbours=near.among(chosen),
        weight=weight,
        area_m2=task.area_m2[chosen],
        perimeter_m=task.perimeter_m[chosen],
        low=np.rint(0.75 * middle),
        high=np.rint(1.25 * middle),
        load=None if task.load is None else task.load[chosen],
    )
    return piece, group(piece, count, seed=0, starts=RULES.starts, moves_per_atom=RULES.moves_per_atom)[0]


def spread(values: list[float], form: str) -> str:
    """Return median, lowest and highest."""
    low, middle, high = (format(v, form) for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} - {high})"


def report(name: str, tasks: list[tuple[Task, Integers]], seconds: float) -> None:
    """Solve the tasks and print one line."""
    found: list[ExactGrouping] = []
    dearer = []
    for task, labels in tasks:
        found.append(solve_exactly(task, int(labels.max()) + 1, hint=labels, seconds=seconds))
        dearer.append(max(0.0, grouping_cost(task, labels) / found[-1].objective - 1))
    atoms = [float(len(task.weight)) for task, _ in tasks]
    counts = [float(labels.max() + 1) for _, labels in tasks]
    proven = [f.seconds for f in found if f.proven]
    gaps = [f.gap for f in found if not f.proven]
    print(
        f"{name:10} {len(tasks):3} tasks, atoms {spread(atoms, '.0f')}, groups {spread(counts, '.0f')}: "
        f"proven {len(proven) / len(tasks):.1%}"
        + (f" in {spread(proven, '.2f')} s" if proven else "")
        + (f", gap of the others {spread(gaps, '.1%')}" if gaps else "")
        + f"; heuristic dearer by {spread(dearer, '.1%')}, mean {np.mean(dearer):.1%}, the best itself in {np.mean(np.array(dearer) < 1e-6):.0%}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--communities", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--data", type=Path, help="Data set folder; default a made-up district")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.data
        if folder is None:
            folder = Path(made) / "town"
            synthesise_to_folder(folder, scale="district", seed=1)
        communities = read_communities(read_dataset(folder), options.communities)
    tasks = list(whole_tasks(communities))
    small = [(task, labels) for task, labels in tasks if len(task.weight) <= MOST_ATOMS]
    if not small:
        sys.exit(f"The data set has no community with more than one grid and at most {MOST_ATOMS} atoms.")
    print(f"{len(tasks)} communities, {len(tasks) - len(small)} of them too large (more than {MOST_ATOMS} atoms)")
    for size, count in ((30, 3), (45, 4), (60, 5)):
        pieces = [cut_down(task, size, count) for task, _ in small if len(task.weight) >= size]
        if pieces:
            report(f"{size} atoms", [piece for piece in pieces if piece[1].max() + 1 == count], options.seconds)
    report("whole", small, options.seconds)


if __name__ == "__main__":
    main()
