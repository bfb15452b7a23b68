"""Governance grids and unit grids against METIS, spopt and GerryChain, all grouping the same atoms in one run.

    ./run bench divide_communities [--communities 30] [--slow 2] [--runs 5] [--seed 1]

Made-up communities of about 180 atoms in which a division with every grid in the band and every border on a line exists
(``_parcel_communities``). Every engine gets the same atoms, ready in the form it wants; only its grouping is timed: CPU-seconds per
community, medians with the lowest and highest run beside them. Engines that must be told the number of grids are told the planted
one. MaxPHeuristic, at its own settings, takes half a minute a community, so it runs on the first ``--slow`` communities and Skater on
five times as many; their ratios are against gridsvc on those.

Judged by geometry alone, the same for all: share of grids with 300-500 households; share of inner border within 10 cm of a street, wall or
water edge; Polsby-Popper; grids in one piece; communities whose number of grids is not the planted one.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pymetis
import shapely
from _measuring import Timing, goal, machine_noise, table, timed
from _parcel_communities import GRIDS, Geometries, ParcelCommunity, parcel_communities

from gridsvc.division.atoms import Atoms, make_atoms
from gridsvc.division.communities import CommunityInput, DivisionRules, Integers
from gridsvc.division.dividing import divide_community
from gridsvc.division.governance_grids import governance_grids
from gridsvc.division.unit_grids import unit_grids

RULES = DivisionRules()
ON_LINE_M = 0.1


@dataclass(frozen=True, slots=True)
class Town:
    """One community as the engines get it: its atoms, their shapes, and its lines for the judge."""

    made: ParcelCommunity
    atoms: Atoms
    shapes: Geometries

    @classmethod
    def of(cls, made: ParcelCommunity) -> Town:
        """Return the community with its atoms."""
        atoms = make_atoms(made.community, RULES, RULES.border_strip_m)
        return cls(made, atoms, unions(atoms.faces, atoms.atom_of_face))

    @property
    def neighbour_rows(self) -> Integers:
        """The first atom of each entry of ``atoms.linked.ids``."""
        return np.repeat(np.arange(len(self.shapes)), np.diff(self.atoms.linked.start))


def unions(shapes: Geometries, labels: Integers) -> Geometries:
    """Return the union of the shapes of each label."""
    made = np.empty(int(labels.max()) + 1, dtype=object)
    made[:] = [shapely.coverage_union_all(shapes[labels == label]) for label in range(len(made))]
    return made


# ---------------------------------------------------------------------------------------------------------- engines


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to group atoms: ``prepare`` makes its input (not timed), ``run`` returns the group of each atom.

    ``slow`` is 0, or how many times ``--slow`` communities it can be given.
    """

    name: str
    prepare: Callable[[Town], Any]
    run: Callable[[Any], Integers]
    needs: tuple[str, ...] = ()
    slow: int = 0


def run_gridsvc(town: Town) -> Integers:
    """Return the governance grids as gridsvc makes them."""
    return governance_grids(town.atoms, RULES, seed=0)


def metis_input(near: Any, weight: np.ndarray, count: int) -> tuple:
    """Return a graph whose cuts cost by length, ten times more off the lines."""
    cost = np.maximum(1, np.rint(0.1 * near.shared_m + near.off_line_m)).astype(np.int64)
    whole = np.rint(weight * 10_000 / max(weight.sum(), 1e-9)).astype(np.int64) + 1
    return count, pymetis.CSRAdjacency(near.start, near.ids), whole, cost


def run_metis(given: tuple) -> Integers:
    """Return the contiguous k-way partition of METIS."""
    count, graph, weight, cost = given
    options = pymetis.Options(seed=0, contig=1, ufactor=100)
    labels = pymetis.part_graph(count, graph, vweights=weight, eweights=cost, options=options, recursive=False)[1]
    return np.unique(labels, return_inverse=True)[1]


def prepare_metis(town: Town) -> tuple:
    """Return the graph of households."""
    return metis_input(town.atoms.linked, town.atoms.households.astype(float), GRIDS)


def prepare_spopt(town: Town) -> tuple:
    """Return a frame of centres and households, and contiguity weights."""
    from libpysal.weights import W

    near = town.atoms.linked
    rows = {i: near.ids[near.start[i] : near.start[i + 1]].tolist() for i in range(len(town.shapes))}
    x, y = shapely.get_coordinates(shapely.centroid(town.shapes)).T
    households = town.atoms.households.astype(float)
    frame = gpd.GeoDataFrame({"x": x, "y": y, "households": households}, geometry=town.shapes, crs=4547)
    return frame, W(rows, silence_warnings=True)


def run_maxp(given: tuple) -> Integers:
    """Return spopt's max-p regions of at least 300 households; it chooses their number itself."""
    from spopt.region import MaxPHeuristic

    np.random.seed(0)  # noqa: NPY002 (the peer draws from numpy's global generator)
    model = MaxPHeuristic(*given, ["x", "y"], "households", RULES.households_min, top_n=2)
    model.solve()
    return np.unique(np.asarray(model.labels_), return_inverse=True)[1]


def run_skater(given: tuple) -> Integers:
    """Return spopt's SKATER regions, each of at least four atoms."""
    from spopt.region import Skater

    model = Skater(*given, ["x", "y", "households"], n_clusters=GRIDS, floor=4)
    model.solve()
    return np.unique(np.asarray(model.labels_), return_inverse=True)[1]


def run_ward(given: tuple) -> Integers:
    """Return spopt's spatially constrained Ward regions."""
    from spopt.region import WardSpatial

    model = WardSpatial(*given, ["x", "y"], n_clusters=GRIDS)
    model.solve()
    return np.unique(np.asarray(model.labels_), return_inverse=True)[1]


def prepare_gerrychain(town: Town) -> Any:
    """Return a dual graph whose nodes carry households."""
    import networkx
    from gerrychain import Graph

    graph = networkx.Graph()
    graph.add_nodes_from((i, {"households": float(h)}) for i, h in enumerate(town.atoms.households))
    graph.add_edges_from(zip(town.neighbour_rows.tolist(), town.atoms.linked.ids.tolist(), strict=True))
    return Graph.from_networkx(graph)


def run_gerrychain(graph: Any) -> Integers:
    """Return a recursive tree partition with grids up to a fifth off the mean; one grid where it finds none."""
    from gerrychain.partition import recursive_tree_part

    size = len(graph.nodes)
    total = sum(graph.node_data(i)["households"] for i in graph.nodes)
    try:
        found = recursive_tree_part(graph, range(GRIDS), total / GRIDS, "households", 0.2, rng=0)
    except RuntimeError:
        return np.zeros(size, dtype=np.int64)
    return np.array([found[i] for i in range(size)])


ENGINES = (
    Engine("gridsvc", lambda town: town, run_gridsvc),
    Engine("METIS k-way, street-weighted", prepare_metis, run_metis),
    Engine("spopt MaxPHeuristic", prepare_spopt, run_maxp, ("spopt", "libpysal"), slow=1),
    Engine("spopt Skater", prepare_spopt, run_skater, ("spopt", "libpysal"), slow=5),
    Engine("spopt WardSpatial", prepare_spopt, run_ward, ("spopt", "libpysal")),
    Engine("GerryChain recursive tree", prepare_gerrychain, run_gerrychain, ("gerrychain",)),
)


# ------------------------------------------------------------------------------------------------------------ judge


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a grouping is worth, over all communities; shares are 0 to 1."""

    in_band: float
    on_lines: float
    compactness: float
    contiguous: float
    wrong_number: float


def roundness(shapes: Geometries) -> np.ndarray:
    """Return the Polsby-Popper compactness of each shape."""
    return 4 * np.pi * shapely.area(shapes) / shapely.length(shapes) ** 2


def inner_border(grids: Geometries, community: CommunityInput) -> tuple[float, float]:
    """Return the length of border between grids, and how much of it lies along a street, wall or water edge."""
    everything = np.concatenate([community.streets, community.barriers, shapely.boundary(community.water)])
    along = shapely.union_all(shapely.buffer(everything, ON_LINE_M))
    outer = shapely.buffer(shapely.boundary(community.boundary), 0.001)
    border = shapely.difference(shapely.union_all(shapely.boundary(grids)), outer)
    return float(shapely.length(border)), float(shapely.length(shapely.intersection(border, along)))


def verdict(communities: Sequence[ParcelCommunity], grids: list[Geometries], households: list[Integers]) -> Verdict:
    """Return the verdict on the governance grids of several communities."""
    held = np.concatenate(households)
    borders = np.array([inner_border(g, made.community) for made, g in zip(communities, grids, strict=True)])
    shapes = np.concatenate(grids)
    return Verdict(
        float(np.mean((held >= RULES.households_min) & (held <= RULES.households_max))),
        float(borders[:, 1].sum() / max(borders[:, 0].sum(), 1e-9)),
        float(roundness(shapes).mean()),
        float(np.mean(shapely.get_num_geometries(shapes) == 1)),
        float(np.mean([len(g) != GRIDS for g in grids])),
    )


def verdict_on_labels(towns: Sequence[Town], labels: Sequence[Integers]) -> Verdict:
    """Return the verdict on groupings of atoms."""
    return verdict(
        [town.made for town in towns],
        [unions(town.shapes, groups) for town, groups in zip(towns, labels, strict=True)],
        [np.bincount(groups, town.atoms.households) for town, groups in zip(towns, labels, strict=True)],
    )


def planted_verdict(communities: Sequence[ParcelCommunity]) -> Verdict:
    """Return the verdict on the planted division: what an engine could reach."""
    households = []
    for made in communities:
        inner = shapely.point_on_surface(made.community.buildings)
        building, grid = shapely.STRtree(made.planted_grids).query(inner, predicate="within")
        households.append(np.bincount(grid, made.community.households[building], GRIDS))
    return verdict(communities, [made.planted_grids for made in communities], households)


# ----------------------------------------------------------------------------------------------------- what is run


def installed(engine: Engine) -> bool:
    """Return whether the packages an engine needs are there."""
    return all(importlib.util.find_spec(name) for name in engine.needs)


def compare_governance(towns: list[Town], slow: int, runs: int) -> None:
    """Print the comparison of governance grids."""
    rows, timings = [], {}
    planted = planted_verdict([town.made for town in towns])
    rows.append(["(planted)", str(len(towns)), "", "", *_cells(planted)])
    for engine in ENGINES:
        if not installed(engine):
            print(f"{engine.name} is not installed; ./run bench brings it")
            continue
        mine = towns[: slow * engine.slow] if engine.slow else towns
        if not mine:
            print(f"{engine.name} is left out: --slow 0")
            continue
        ready = [engine.prepare(town) for town in mine]
        if not engine.slow:
            engine.run(ready[0])  # compile
        timing = timed(lambda e=engine, r=ready: [e.run(item) for item in r], runs=runs, items=len(mine))
        timings[engine.name] = timing
        reference: Timing = timings["gridsvc"]
        if engine.slow:
            reference = timed(lambda m=mine: [run_gridsvc(town) for town in m], runs=runs, items=len(mine))
        judged = verdict_on_labels(mine, timing.answer)
        rows.append([engine.name, str(len(mine)), str(timing), f"{timing.median_s / reference.median_s:,.2f}"])
        rows[-1] += _cells(judged)
        if engine.name == "gridsvc":
            ours = judged
        if engine.name == "spopt MaxPHeuristic":
            faster = timing.median_s / reference.median_s
    heads = ["governance grids", "communities", "CPU time a community", "x gridsvc", "in band", "on lines"]
    print(table([*heads, "compactness", "one piece", "wrong number"], rows))
    print(goal("governance grids in 300-500 households", ours.in_band, 0.995))
    print(goal("inner border on streets, walls, water", ours.on_lines, 0.95))
    print(goal("compactness of governance grids", ours.compactness, 0.65, "{:.3f}"))
    print(goal("governance grids in one piece", ours.contiguous, 1.0))
    if "spopt MaxPHeuristic" in timings:
        print(goal("times faster than spopt MaxPHeuristic", faster, 100, "{:,.0f}"))


def _cells(judged: Verdict) -> list[str]:
    return [
        f"{judged.in_band:.1%}",
        f"{judged.on_lines:.1%}",
        f"{judged.compactness:.3f}",
        f"{judged.contiguous:.1%}",
        f"{judged.wrong_number:.0%}",
    ]


def metis_units(given: tuple[Town, list[tuple[Integers, tuple]]]) -> Integers:
    """Return unit grids that METIS makes inside each governance grid."""
    town, parts = given
    units, first = np.zeros(len(town.shapes), dtype=np.int64), 0
    for members, graph in parts:
        labels = run_metis(graph) if graph[0] > 1 else np.zeros(len(members), dtype=np.int64)
        units[members] = first + labels
        first += int(labels.max()) + 1
    return units


def prepare_metis_units(town: Town, governance: Integers) -> tuple[Town, list[tuple[Integers, tuple]]]:
    """Return a graph of areas for each governance grid."""
    parts = []
    for grid in range(int(governance.max()) + 1):
        members = np.flatnonzero(governance == grid)
        size = town.atoms.size_m2[members]
        count = min(max(1, round(size.sum() / RULES.unit_area_m2)), len(members))
        parts.append((members, metis_input(town.atoms.neighbours.among(members), size, count)))
    return town, parts


def compare_units(towns: list[Town], runs: int) -> None:
    """Print the comparison of unit grids, all nested in the governance grids that gridsvc makes."""
    governance = [run_gridsvc(town) for town in towns]
    work = list(zip(towns, governance, strict=True))
    ready = [prepare_metis_units(town, grids) for town, grids in work]
    timings = {
        "gridsvc": timed(lambda: [unit_grids(t.atoms, g, RULES, seed=0) for t, g in work], runs=runs, items=len(towns)),
        "METIS k-way, street-weighted": timed(
            lambda: [metis_units(item) for item in ready], runs=runs, items=len(towns)
        ),
    }
    rows, figures = [], {}
    for name, timing in timings.items():
        size = np.concatenate(
            [np.bincount(units, town.atoms.size_m2) for town, units in zip(towns, timing.answer, strict=True)]
        )
        shapes = np.concatenate([unions(town.shapes, units) for town, units in zip(towns, timing.answer, strict=True)])
        nested = np.mean(
            [
                len(np.unique(np.stack([units, grids]), axis=1).T) == units.max() + 1
                for units, grids in zip(timing.answer, governance, strict=True)
            ]
        )
        sized = float(np.mean(np.abs(size / RULES.unit_area_m2 - 1) <= RULES.unit_area_spread))
        figures[name] = (sized, float(roundness(shapes).mean()))
        ratio = timing.median_s / timings["gridsvc"].median_s
        row = [name, str(len(towns)), str(timing), f"{ratio:,.2f}", str(len(shapes)), f"{sized:.1%}"]
        whole = np.mean(shapely.get_num_geometries(shapes) == 1)
        rows.append([*row, f"{figures[name][1]:.3f}", f"{whole:.1%}", f"{nested:.0%}"])
    heads = ["unit grids inside them", "communities", "CPU time a community", "x gridsvc", "grids", "within 30 %"]
    print(table([*heads, "compactness", "one piece", "nested"], rows))
    print(goal("unit grids within 30 % of the target area", figures["gridsvc"][0], 0.97))
    print(goal("compactness of unit grids", figures["gridsvc"][1], 0.65, "{:.3f}"))


def whole_division(communities: list[ParcelCommunity], runs: int) -> None:
    """Print the time of the whole way: lines and buildings to checked grids."""
    inputs = [made.community for made in communities]
    timing = timed(lambda: [divide_community(community) for community in inputs], runs=runs, items=len(inputs))
    judged = verdict(
        communities, [d.governance_grids for d in timing.answer], [d.governance_households for d in timing.answer]
    )
    longest = max(timed(lambda c=c: divide_community(c), runs=1).median_s for c in inputs)
    row = ["gridsvc", str(len(inputs)), str(timing), f"{longest * 1000:,.0f} ms", *_cells(judged)]
    heads = ["lines and buildings to checked grids", "communities", "CPU time a community", "longest"]
    print(table([*heads, "in band", "on lines", "compactness", "one piece", "wrong number"], [row]))
    print(goal("of a second left by the longest community", 1 - longest, 0.0, "{:.2f} s"))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--communities", type=int, default=30)
    parser.add_argument(
        "--slow", type=int, default=2, help="communities for the slowest engine; 0 leaves slow ones out"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if min(options.communities, options.runs) < 1 or options.slow < 0:
        sys.exit("--communities and --runs must be at least 1, --slow at least 0.")
    warnings.filterwarnings("ignore", module=r"(spopt|libpysal|gerrychain|sklearn|pandas)")
    communities = parcel_communities(options.communities, seed=options.seed)
    towns = [Town.of(made) for made in communities]
    print(
        f"{len(towns)} communities of {np.mean([len(t.shapes) for t in towns]):.0f} atoms and "
        f"{np.mean([len(t.made.community.buildings) for t in towns]):.0f} buildings on average, {GRIDS} grids planted in each; "
        f"medians of {options.runs} runs (lowest - highest)"
    )
    print(machine_noise())
    print()
    compare_governance(towns, options.slow, options.runs)
    print()
    compare_units(towns, options.runs)
    print()
    whole_division(communities, options.runs)
    print(machine_noise())


if __name__ == "__main__":
    main()
