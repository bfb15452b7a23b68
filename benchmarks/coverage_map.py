"""The coverage map of a district: time of every step and size of the file, against 10 s and 8 MB.

    ./run bench coverage_map [--parcels 1600] [--runs 5] [--seed 1]

A made-up district (``synth.drawn_nets``): one true net, three copies with shifted, missing, merged and split grids, the first of them as fine as
parcels, and the true net as the merged one; a home in every parcel. CPU-seconds, medians.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from _measuring import goal, machine_noise, timed

from gridsvc.geo.projections import to_storage
from gridsvc.maps.chinese_font import _cut
from gridsvc.maps.coverage import CoverageContent, write_coverage_map
from gridsvc.networks.nets import Net
from gridsvc.services.laid_networks import laid_networks
from gridsvc.synth.drawn_nets import Distortion, copies, grouped, parcel_city

EPSG = 4547
WANTED_S, WANTED_MB = 10.0, 8.0


def frame(net: Net) -> gpd.GeoDataFrame:
    """Return a net as the store gives it."""
    columns = {"code": net.code, "name": net.title, "households": 400, "area_m2": shapely.area(net.geometry)}
    made = gpd.GeoDataFrame(columns, geometry=to_storage(net.geometry, EPSG), crs=4490)
    return made.sort_values("code", ignore_index=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=1600)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if min(options.parcels, options.runs) < 1:
        sys.exit("--parcels and --runs must be at least 1.")
    city = parcel_city(options.parcels, seed=options.seed)
    changed = Distortion(jitter_m=2.0, shifted=0.03, missing=0.02, merged=0.04, split=0.03)
    labels = [grouped(city, max(1, options.parcels // n), seed=options.seed) for n in (1, 3, 8)]
    drawn = [copies(city, label, [changed], seed=options.seed + k)[0].net for k, label in enumerate(labels)]
    true = copies(city, labels[1], [Distortion()], seed=options.seed)[0].net
    nets = dict(zip(("urban", "social", "security", "unified"), [*drawn, true], strict=True))
    grids = {name: frame(net) for name, net in nets.items()}
    homes = to_storage(shapely.point_on_surface(drawn[0].geometry), EPSG)
    none = gpd.GeoDataFrame({"code": [], "name": [], "level": []}, geometry=[], crs=4490)

    def lay():
        return laid_networks(grids, points=(homes, np.full(len(homes), 130.0)))

    lay()  # compiles
    laid = timed(lay, runs=options.runs)
    content = CoverageContent(
        name_zh="试验区",
        code="420103",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        divisions=none,
        grids=grids,
        laid=laid.answer,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "map.html"
        write_coverage_map(content, out)

        def write():
            # as in a process of its own: no font is cut yet
            _cut.cache_clear()
            return write_coverage_map(content, out)

        written = timed(write, runs=options.runs)
        size_mb = written.answer.bytes / 1e6
    print(
        f"{', '.join(f'{len(frame):,} {name}' for name, frame in grids.items())}; {len(laid.answer.atoms.area_m2):,} atoms"
    )
    print(machine_noise())
    print(f"laid over each other: {laid}\npage written: {written}\nsize: {size_mb:.2f} MB")
    print(goal("goal / CPU-seconds", WANTED_S / (laid.median_s + written.median_s), 1.0, "{:.2f}"))
    print(goal("goal / size", WANTED_MB / size_mb, 1.0, "{:.2f}"))


if __name__ == "__main__":
    main()
