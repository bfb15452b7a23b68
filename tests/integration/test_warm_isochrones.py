"""A process that was warmed compiles nothing when the first planner asks; without a database."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import shapely

from gridsvc.circle.gates import Compounds, WallPassages
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.services.compiled_network import CompiledNetwork, save_network

ASK = """
import gc, sys
from pathlib import Path
import numpy as np
from numba.core.dispatcher import Dispatcher
from gridsvc.circle.attachments import attach_points
from gridsvc.circle.isochrones import IsochroneWalk, isochrones_from
from gridsvc.circle.travel_times import CompiledWalk
from gridsvc.services.circles import warm_isochrones
from gridsvc.services.compiled_network import load_network

def compiled():
    kernels = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    return {(each.__module__, each.__name__, str(signature)) for each in kernels for signature in each.signatures}

if sys.argv[2] == "warm":
    warm_isochrones()
before = compiled()
held = load_network(Path(sys.argv[1]))
xy = np.array([[330.0, 420.0]])
origin = attach_points(held.network, xy, compound=held.compounds_of(xy))
areas = isochrones_from(IsochroneWalk(CompiledWalk(held.network, 1.1, 3600.0)), origin, (5, 10, 15))
assert all(area.area > 0 for area in areas)
print(len(compiled() - before))
"""


def compiled_at_the_first_question(path, how: str) -> int:
    done = subprocess.run([sys.executable, "-c", ASK, str(path), how], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_the_first_isochrone_of_a_warmed_process_compiles_nothing(tmp_path):
    ticks = np.arange(0.0, 1001.0, 100.0)
    lines = [[(0, t), (1000, t)] for t in ticks] + [[(t, 0), (t, 1000)] for t in ticks]
    streets = shapely.get_parts(shapely.node(shapely.multilinestrings(lines)))
    nobody = WallPassages((), np.empty(0, np.int32), np.empty((0, 2)), np.empty(0, bool), ())
    compound = Compounds(("C1",), np.array([shapely.box(210, 210, 290, 290)], dtype=object))
    path = tmp_path / "town.walk"
    save_network(path, CompiledNetwork(build_walk_network(streets), 4547, compound, nobody))

    assert compiled_at_the_first_question(path, "cold") > 0
    assert compiled_at_the_first_question(path, "warm") == 0
