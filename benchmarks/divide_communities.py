"""Divide communities, against METIS without annealing and, where it is installed, spopt's MaxPHeuristic, on the same atoms.

    python benchmarks/divide_communities.py [--communities 30] [--runs 5] [--data FOLDER]

Takes the first communities of a data set (default: a district that ``gridsvc synth`` makes). All engines group the same
atoms into the same number of governance grids; CPU-seconds per community, medians with the lowest and highest run beside
them. Then the whole division, atoms to checked grids, by itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.division.atoms import Atoms, make_atoms
from gridsvc.division.communities import CommunityInput, DivisionRules, Integers
from gridsvc.division.dividing import dissolved, divide_community
from gridsvc.division.governance_grids import governance_grids
from gridsvc.division.grouping import Task, metis_start
from gridsvc.division.quality import compactness, quality
from gridsvc.formats.dataset import Dataset, read_dataset
from gridsvc.geo.location import GridIndex
from gridsvc.geo.projections import zone_of
from gridsvc.services.community_inputs import community_inputs
from gridsvc.services.synthesising import synthesise_to_folder

RULES = DivisionRules()


def read_communities(dataset: Dataset, count: int) -> list[CommunityInput]:
    """Return the first communities of a data set with more than one governance grid's households."""
    frames = {kind: dataset.frame(kind) for kind in ("divisions", "streets", "water", "barriers", "residences")}
    frames = {kind: frame.set_crs(4490, allow_override=True) for kind, frame in frames.items()}
    divisions: gpd.GeoDataFrame = frames.pop("divisions")
    communities = divisions[divisions["level"] == "community"].sort_values("code")
    index = GridIndex(communities["code"].tolist(), communities.geometry.to_numpy())
    inner = shapely.get_coordinates(shapely.point_on_surface(frames["residences"].geometry.to_numpy()))
    frames["residences"] = frames["residences"].assign(community_code=index.locate(inner[:, 0], inner[:, 1]))
    inputs = community_inputs(communities, zone_of(communities.geometry.to_numpy()), **frames)
    return [c for c in inputs if c.households.sum() > RULES.households_max][:count]


def grouped_by_gridsvc(atoms: Atoms, _: int) -> Integers:
    """Return the governance grid of each atom as gridsvc makes them."""
    return governance_grids(atoms, RULES, seed=0)


def grouped_by_metis(atoms: Atoms, count: int) -> Integers:
    """Return a contiguous METIS k-way grouping with the same weights, not annealed."""
    return metis_start(_task(atoms), count, 0)


def grouped_by_maxp(atoms: Atoms, _: int) -> Integers:
    """Return spopt's max-p regions with at least 300 households each; it chooses their number itself."""
    from libpysal.weights import W
    from spopt.region import MaxPHeuristic

    near = atoms.linked
    weights = W(
        {i: near.ids[near.start[i] : near.start[i + 1]].tolist() for i in range(len(atoms.area_m2))},
        silence_warnings=True,
    )
    centres = shapely.get_coordinates(shapely.centroid(dissolved(atoms.faces, atoms.atom_of_face)))
    frame = gpd.GeoDataFrame(
        {"x": centres[:, 0], "y": centres[:, 1], "households": atoms.households},
        geometry=gpd.points_from_xy(*centres.T),
    )
    model = MaxPHeuristic(frame, weights, ["x", "y"], "households", RULES.households_min, top_n=2)
    model.solve()
    _, labels = np.unique(np.asarray(model.labels_), return_inverse=True)
    return labels


def _task(atoms: Atoms) -> Task:
    return Task(
        atoms.linked,
        atoms.households.astype(float),
        atoms.area_m2,
        atoms.perimeter_m,
        RULES.households_min,
        RULES.households_max,
    )


def judged(all_atoms: Sequence[Atoms], labels: Sequence[Integers]) -> str:
    """Return share in the band, border on lines, and compactness, over all communities."""
    in_band, border, off_line, roundness = [], 0.0, 0.0, []
    for atoms, groups in zip(all_atoms, labels, strict=True):
        held = np.bincount(groups, atoms.households)
        in_band.extend((held >= RULES.households_min) & (held <= RULES.households_max))
        near = atoms.neighbours
        rows = np.repeat(np.arange(len(groups)), np.diff(near.start))
        cut = groups[rows] != groups[near.ids]
        border, off_line = border + near.shared_m[cut].sum(), off_line + near.off_line_m[cut].sum()
        roundness.extend(compactness(dissolved(atoms.faces, groups[atoms.atom_of_face])))
    return (
        f"in band {np.mean(in_band):6.1%}  on lines {1 - off_line / border:6.1%}  compactness {np.mean(roundness):.2f}"
    )


def timed(run: Callable[[], list], runs: int, communities: int) -> tuple[float, str, list]:
    """Return median CPU-seconds per community, a line with median, lowest and highest, and the last answer."""
    seconds, answer = [], []
    for _ in range(runs):
        began = time.process_time()
        answer = run()
        seconds.append((time.process_time() - began) / communities)
    median = statistics.median(seconds)
    return median, f"{median * 1000:9.1f} ms  ({min(seconds) * 1000:.1f} - {max(seconds) * 1000:.1f})", answer


def compare(communities: list[CommunityInput], runs: int) -> None:
    """Print the comparison on the same atoms."""
    all_atoms = [make_atoms(c, RULES, RULES.border_strip_m) for c in communities]
    counts = [int(grouped_by_gridsvc(atoms, 0).max()) + 1 for atoms in all_atoms]
    engines: dict[str, tuple[Callable, int]] = {
        "gridsvc": (grouped_by_gridsvc, runs),
        "METIS": (grouped_by_metis, runs),
    }
    if all(importlib.util.find_spec(name) for name in ("spopt", "libpysal")):
        engines["spopt MaxP"] = (grouped_by_maxp, 1)
    else:
        print("spopt is not installed: compared with METIS without annealing only")
    medians = {}
    for name, (engine, times) in engines.items():
        work = [(atoms, count) for atoms, count in zip(all_atoms, counts, strict=True) if count > 1]
        medians[name], line, labels = timed(lambda e=engine, w=work: [e(*item) for item in w], times, len(work))
        print(f"{name:12} {line}  {judged([atoms for atoms, _ in work], labels)}")
    for name in list(medians)[1:]:
        print(f"ratio {name} / gridsvc: {medians[name] / medians['gridsvc']:.2f}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--communities", type=int, default=30)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=Path, help="Data set folder; default a made-up district")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.data
        if folder is None:
            folder = Path(made) / "town"
            synthesise_to_folder(folder, scale="district", seed=1)
        communities = read_communities(read_dataset(folder), options.communities)
    if not communities:
        sys.exit("The data set has no community with more than 500 households.")
    divide_community(communities[0])  # compile
    print(
        f"{len(communities)} communities, {sum(len(c.buildings) for c in communities)} buildings; governance grids from the same atoms:"
    )
    compare(communities, options.runs)
    _, line, divisions = timed(lambda: [divide_community(c) for c in communities], options.runs, len(communities))
    print(f"whole division, checked: {line} per community")
    print(quality(divisions, RULES))


if __name__ == "__main__":
    main()
