"""Atoms of three networks drawn over one city: gridsvc and geopandas.overlay on the same nets in one run.

    ./run bench network_atoms [--grids 2000] [--runs 1] [--jitter 2.0] [--tolerance 4.0] [--seed 1]

Three nets, each of so many grids that group the parcels of one made-up city (``synth.drawn_nets``), every vertex drawn up to the jitter away
from its true place, the same for neighbours. The truth is known. An atom is right when it has the grids of a true one and shares over half
of the land of both; the others are spurious, true ones without a right atom are missing. "Wrongly labelled" is land farther than the
jitter from every true border that is given to a wrong grid. geopandas overlays by ``identity`` twice (``union`` gives the
same faces later) and absorbs nothing. 41795 grids are a city like Beijing; geopandas then takes several minutes (``--no-peer`` leaves it out).
"""

from __future__ import annotations

import argparse
import resource
import sys

import geopandas as gpd
import numpy as np
from _measuring import Timing, machine_noise, table, timed

from gridsvc.networks.overlay import overlay
from gridsvc.synth.drawn_nets import (
    AtomJudgement,
    Distortion,
    DrawnNet,
    ParcelCity,
    drawn,
    grouped,
    judge_atoms,
    parcel_city,
)

# parcels for each grid of a net: three nets then have 2.9 atoms a grid, as in methods.md
PARCELS_A_GRID = 3.12
CRS = 4547


def city_of(grids: int, jitter_m: float, seed: int) -> tuple[ParcelCity, list[DrawnNet]]:
    """Return a city and three nets of so many grids over it."""
    city = parcel_city(round(grids * PARCELS_A_GRID), seed=seed)
    distortion = Distortion(jitter_m=jitter_m)
    labels = [grouped(city, grids, seed=seed + k) for k in range(3)]
    return city, [drawn(city, f"net{k}", label, distortion, seed=seed + k) for k, label in enumerate(labels)]


def overlaid_by_geopandas(frames: list[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Return the faces that geopandas makes of three nets, one polygon each."""
    laid = frames[0]
    for frame in frames[1:]:
        laid = gpd.overlay(laid, frame, how="identity", keep_geom_type=True)
    return laid.explode(ignore_index=True)


def row(name: str, timing: Timing, judged: AtomJudgement, ours: Timing) -> list[str]:
    """Return a row of the table."""
    return [
        name,
        f"{timing.median_s:.1f} s",
        f"{timing.median_s / ours.median_s:.2f}",
        f"{judged.found:,}",
        f"{judged.spurious:,} ({judged.spurious / judged.true:.2%})",
        f"{judged.missing:,} ({judged.missing / judged.true:.2%})",
        f"{judged.mislabelled:.4%}",
    ]


def at_most(what: str, figure: float, wanted: float, form: str) -> str:
    """Return a line that says whether a figure stays under what is wanted of it."""
    word = "PASS " if figure <= wanted else "SHORT"
    return f"{word}  {what}: {form.format(figure)}, wanted at most {form.format(wanted)}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", type=int, default=2000, help="grids of each net; 41795 for a whole city")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--jitter", type=float, default=2.0, help="m")
    parser.add_argument("--tolerance", type=float, default=4.0, help="m")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peer", action="store_true", help="leave geopandas out")
    options = parser.parse_args()
    if min(options.grids, options.runs) < 1:
        sys.exit("--grids and --runs must be at least 1.")
    city, nets = city_of(options.grids, options.jitter, options.seed)
    overlay([each.net for each in city_of(50, 1.0, 1)[1]])  # compiles
    given = [each.net for each in nets]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = timed(lambda: overlay(given, tolerance_m=options.tolerance), runs=options.runs)
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    judged = judge_atoms(city, nets, ours.answer.geometry, ours.answer.owner, clear_m=options.jitter + 0.02)
    print(
        f"{len(nets)} nets of {options.grids:,} grids, {judged.true:,} true atoms, {ours.answer.faces:,} faces before absorption"
    )
    print(machine_noise())
    rows = [row("gridsvc", ours, judged, ours)]
    if not options.no_peer:
        frames = [
            gpd.GeoDataFrame({f"n{k}": np.arange(len(net))}, geometry=net.geometry, crs=CRS)
            for k, net in enumerate(given)
        ]
        peer = timed(lambda: overlaid_by_geopandas(frames), runs=options.runs)
        owner = peer.answer[["n0", "n1", "n2"]].fillna(-1).to_numpy(dtype=np.int64)
        theirs = judge_atoms(city, nets, peer.answer.geometry.to_numpy(), owner, clear_m=options.jitter + 0.02)
        rows.append(row("geopandas.overlay", peer, theirs, ours))
    print(table(["", "CPU time", "x gridsvc", "atoms", "spurious", "missing", "wrongly labelled"], rows))
    print(f"memory of the process: {memory_gib:.2f} GiB at most, {before / 2**20:.2f} GiB before the first overlay")
    print(at_most("CPU time of a run", ours.median_s, 180.0, "{:.0f} s"))
    print(at_most("spurious atoms", judged.spurious / judged.true, 0.005, "{:.3%}"))
    print(at_most("missing atoms", judged.missing / judged.true, 0.005, "{:.3%}"))
    print(at_most("land wrongly labelled", judged.mislabelled, 0.001, "{:.4%}"))
    print(at_most("memory", memory_gib, 4.0, "{:.2f} GiB"))


if __name__ == "__main__":
    main()
