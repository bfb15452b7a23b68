"""Two networks drawn over one city compared: relations, matches and faults of all grids.

    ./run bench network_compare [--grids 2000] [--runs 1] [--jitter 2.0] [--seed 1]

Two copies of one true net (``synth.drawn_nets``), every vertex drawn up to the jitter away from its true place, the same for neighbours; of each copy
3 % of the corners are moved by 9 m, 2 % of the grids forgotten, 4 % merged with a neighbour and 3 % split. Precision and recall of the
matches by shape against what truly is one grid. 41795 grids are a city like Beijing. The reading of faults is held against what
``shapely.coverage_invalid_edges`` and a union take on the same net, which find that something is wrong, not what.
"""

from __future__ import annotations

import argparse
import sys

import shapely
from _measuring import goal, machine_noise, timed

from gridsvc.networks.comparison import RELATIONS, compare
from gridsvc.networks.nets import Net
from gridsvc.synth.drawn_nets import Distortion, copies, grouped, parcel_city, true_matches

PARCELS_A_GRID = 3.12


def checked_by_shapely(nets: list[Net]) -> float:
    """Return the area of the gaps that a union shows, after the check of every border."""
    gaps = 0.0
    for net in nets:
        shapely.coverage_invalid_edges(net.geometry)
        merged = shapely.union_all(net.geometry)
        shells = shapely.polygons(shapely.get_exterior_ring(shapely.get_parts(merged)))
        gaps += float(shapely.area(shells).sum() - merged.area)
    return gaps


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", type=int, default=2000, help="grids of each net; 41795 for a whole city")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--jitter", type=float, default=2.0, help="m")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if min(options.grids, options.runs) < 1:
        sys.exit("--grids and --runs must be at least 1.")
    city = parcel_city(round(options.grids * PARCELS_A_GRID), seed=options.seed)
    changed = Distortion(jitter_m=options.jitter, shifted=0.03, missing=0.02, merged=0.04, split=0.03)
    one, other = copies(city, grouped(city, options.grids, seed=options.seed), [changed, changed], seed=options.seed)
    nets = [one.net, other.net]
    compare([Net.of(net.name, net.code[:50], net.geometry[:50]) for net in nets])  # compiles
    ours = timed(lambda: compare(nets), runs=options.runs)
    simple = timed(lambda: checked_by_shapely(nets), runs=options.runs)
    found = ours.answer.pairs[0]
    truth = true_matches(city, one, other)
    matched = found.pairs.by_shape
    pairs = set(zip(found.pairs.first[matched].tolist(), found.pairs.second[matched].tolist(), strict=True))
    print(f"{len(one.net):,} and {len(other.net):,} grids, {len(truth):,} pairs truly are one grid")
    print(machine_noise())
    print(
        f"compared and judged in {ours} CPU; shapely's check and union of both nets {simple}, x {simple.median_s / ours.median_s:.2f}"
    )
    for side in (0, 1):
        counts = found.counts(side)
        print(f"net {side + 1}: " + ", ".join(f"{counts[name]:,} {name}" for name in RELATIONS))
    print(goal("precision of matches by shape", len(pairs & truth) / max(len(pairs), 1), 0.99, "{:.3%}"))
    print(goal("recall of matches by shape", len(pairs & truth) / max(len(truth), 1), 0.99, "{:.3%}"))
    word = "PASS " if ours.median_s < 60.0 else "SHORT"
    print(f"{word}  CPU time of a comparison: {ours.median_s:.1f} s, wanted under 60 s")


if __name__ == "__main__":
    main()
