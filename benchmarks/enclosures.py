"""Blocks found where the ends of streets fail to meet: gridsvc, momepy, shapely and neatnet on the same lines in one run.

    ./run bench enclosures [--communities 60] [--runs 5] [--seed 1]

Streets of made-up communities whose blocks are known (``_parcel_communities``): crossings, T-junctions, superblocks, dead ends. The lines come in
four states: ends exactly noded; every end off by up to 5 mm; ends at junctions and at the boundary drawn back by up to 2 m, in 5 % and in
20 % of the ends. A true block is found when one face differs from it (symmetric difference) by less than 2 % of its area, and no face counts
twice. CPU-seconds per community, medians with the lowest and highest run beside them; what each engine wants as input is made outside the clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from _measuring import Timing, goal, machine_noise, table, timed
from _parcel_communities import Geometries, StreetNet, array, street_nets
from shapely.ops import substring

from gridsvc.division.communities import DivisionRules
from gridsvc.division.enclosures import Ground, enclose

# dead ends drawn on to the next line cut blocks in two on purpose; here only blocks count
RULES = replace(DivisionRules(), dead_end_m=0.0)
CLOSING_M = 2.0
FOUND_WITHIN = 0.02
CRS = 4547


# ------------------------------------------------------------------------------------------------- states of the lines


def off_by_millimetres(net: StreetNet, rng: np.random.Generator) -> Geometries:
    """Return the streets with every end moved by up to 5 mm in each direction."""
    return array([_with_ends(piece, rng.uniform(-0.005, 0.005, (2, 2))) for piece in net.pieces])


def _with_ends(piece: shapely.LineString, moved: np.ndarray) -> shapely.LineString:
    xy = shapely.get_coordinates(piece)
    xy[[0, -1]] += moved
    return shapely.LineString(xy)


def drawn_back(net: StreetNet, share: float, rng: np.random.Generator) -> Geometries:
    """Return the streets with this share of their ends drawn back by up to 2 m."""
    drawn = []
    for piece in net.pieces:
        back = rng.uniform(0, CLOSING_M, 2) * (rng.random(2) < share)
        drawn.append(substring(piece, back[0], piece.length - back[1]))
    return array(drawn)


STATES: dict[str, Callable[[StreetNet, np.random.Generator], Geometries]] = {
    "exactly noded": lambda net, _: net.pieces,
    "off by millimetres": off_by_millimetres,
    "5 % of ends drawn back": lambda net, rng: drawn_back(net, 0.05, rng),
    "20 % of ends drawn back": lambda net, rng: drawn_back(net, 0.20, rng),
}


# ---------------------------------------------------------------------------------------------------------- engines


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to find faces: ``prepare`` makes its input of boundary and lines (not timed), ``run`` returns the faces."""

    name: str
    prepare: Callable[[shapely.Polygon, Geometries], Any]
    run: Callable[[Any], Geometries]
    needs: str = "shapely"


def as_series(boundary: shapely.Polygon, lines: Geometries) -> tuple:
    """Return boundary and lines as GeoSeries."""
    return gpd.GeoSeries([boundary], crs=CRS), gpd.GeoSeries(lines, crs=CRS)


def run_gridsvc(given: tuple) -> Geometries:
    """Return the enclosures of gridsvc."""
    boundary, lines = given
    nothing = lines[:0]
    return enclose(lines, Ground.of(boundary, nothing, nothing, nothing, RULES, RULES.border_strip_m)).faces


def run_momepy(given: tuple) -> Geometries:
    """Return momepy's enclosures."""
    import momepy

    boundary, lines = given
    return momepy.enclosures(lines.to_frame("geometry"), limit=boundary, clip=True).geometry.to_numpy()


def run_shapely(given: tuple) -> Geometries:
    """Return the faces of the union of all lines."""
    boundary, lines = given
    return _faces(np.append(lines, shapely.boundary(boundary)))


def run_extended(given: tuple) -> Geometries:
    """Return the faces of the lines that neatnet extends to each other and to the boundary, snap-rounded to 1 cm."""
    import neatnet

    boundary, lines = given
    frame = lines.to_frame("geometry")
    extended = neatnet.extend_lines(frame, CLOSING_M)
    extended = neatnet.extend_lines(extended, CLOSING_M, target=boundary.boundary)
    return _faces(np.append(extended.geometry.to_numpy(), boundary.boundary.to_numpy()), grid_size=0.01)


def run_closed(given: tuple) -> Geometries:
    """Return the faces of the lines whose gaps neatnet closes, snap-rounded to 1 cm."""
    import neatnet

    boundary, lines = given
    closed = neatnet.close_gaps(lines, CLOSING_M)
    return _faces(np.append(closed.to_numpy(), boundary.boundary.to_numpy()), grid_size=0.01)


def _faces(lines: Geometries, **union: float) -> Geometries:
    return shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all(lines, **union))))


ENGINES = (
    Engine("gridsvc", lambda *given: given, run_gridsvc),
    Engine("momepy.enclosures", as_series, run_momepy, "momepy"),
    Engine("shapely union + polygonize", lambda *given: given, run_shapely),
    Engine("neatnet.extend_lines + polygonize", as_series, run_extended, "neatnet"),
    Engine("neatnet.close_gaps + polygonize", as_series, run_closed, "neatnet"),
)


# ------------------------------------------------------------------------------------------------------------ judge


def found(blocks: Geometries, faces: Geometries) -> np.ndarray:
    """Return which true blocks are found among the faces."""
    block, face = shapely.STRtree(faces).query(shapely.point_on_surface(blocks), predicate="within")
    apart = shapely.area(shapely.symmetric_difference(blocks[block], faces[face]))
    close = apart < FOUND_WITHIN * shapely.area(blocks[block])
    hit = np.zeros(len(blocks), dtype=bool)
    hit[block[close]] = True
    return hit


def compare(nets: list[StreetNet], state: str, runs: int, seed: int) -> dict[str, tuple[Timing, float]]:
    """Print the comparison in one state of the lines; return timing and share found by engine."""
    rng = np.random.default_rng(seed)
    drawn = [(net.boundary, STATES[state](net, rng)) for net in nets]
    answers: dict[str, tuple[Timing, float]] = {}
    rows = []
    for engine in ENGINES:
        if not importlib.util.find_spec(engine.needs):
            print(f"{engine.name} is not installed; ./run bench brings it")
            continue
        ready = [engine.prepare(*given) for given in drawn]
        engine.run(ready[0])  # imports
        timing = timed(lambda e=engine, r=ready: [e.run(item) for item in r], runs=runs, items=len(nets))
        hits = np.concatenate([found(net.blocks, faces) for net, faces in zip(nets, timing.answer, strict=True)])
        answers[engine.name] = timing, float(hits.mean())
        ratio = timing.median_s / answers["gridsvc"][0].median_s
        rows.append([engine.name, f"{hits.mean():.1%}", str(timing), f"{ratio:.2f}"])
    print(table([state, "blocks found", "CPU time a community", "x gridsvc"], rows))
    print()
    return answers


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--communities", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if min(options.communities, options.runs) < 1:
        sys.exit("--communities and --runs must be at least 1.")
    warnings.filterwarnings("ignore", module=r"(momepy|neatnet|geopandas|libpysal)")
    nets = street_nets(options.communities, seed=options.seed)
    print(
        f"{len(nets)} communities, {sum(len(net.blocks) for net in nets)} true blocks, {sum(len(net.pieces) for net in nets)} "
        f"pieces of street; medians of {options.runs} runs (lowest - highest)"
    )
    print(machine_noise())
    print()
    answers = {state: compare(nets, state, options.runs, options.seed) for state in STATES}
    for state in STATES:
        print(goal(f"true blocks found, {state}", answers[state]["gridsvc"][1], 0.99))
    print(machine_noise())


if __name__ == "__main__":
    main()
