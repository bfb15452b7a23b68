"""The service circle of Porto Alegre from real open data: streets, people, schools and health posts, by gridsvc's own commands.

The setting GRIDSVC_REAL_DATA names the folder with ``porto_alegre/walk_osm.pbf`` and ``hexgrid.csv`` (population, schools and health
posts by hexagon, without outlines). Makes the files to import, then imports, builds, computes and draws, each by one command; the
database is that of the settings, so give it a GRIDSVC_VAR of its own. The table printed is the share of the people within 15 minutes of a
school and of a health post, at 1.1 and at 0.8 m/s.

    GRIDSVC_REAL_DATA=... GRIDSVC_VAR=/tmp/poa python benchmarks/circle_porto_alegre.py --out /tmp/poa_out
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gridsvc.geo.projections import to_metric, to_storage, zone_of
from gridsvc.settings import read_settings

DISTRICT = "999901"
SINCE = "2020-01-01"
KINDS = {"schools": "G1001", "healthcare": "G1504"}
LIST = {
    "id": "porto-alegre",
    "name_zh": "学校与卫生站",
    "name_en": "Schools and health posts",
    "source": "hexgrid.csv of r5r",
    "kinds": [{"code": code, "minutes": 15} for code in KINDS.values()],
}
CREDIT = "Porto Alegre hexagons: ipeaGIT/r5r (MIT)"


def hexagons(table: pd.DataFrame) -> np.ndarray:
    """Return the outline of each hexagon of a regular net from its centre: nearest to it, and no wider than the net. EPSG:4490."""
    points = shapely.points(table["lon"], table["lat"])
    epsg = zone_of(points)
    centres = to_metric(points, epsg)
    tree = shapely.STRtree(centres)
    near = tree.query(shapely.buffer(centres, 500.0), predicate="contains")
    apart = shapely.distance(centres[near[0]], centres[near[1]])
    step = float(np.median(apart[(apart > 1.0) & (apart < 1.2 * apart[apart > 1.0].min())]))
    cells = shapely.get_parts(
        shapely.voronoi_polygons(
            shapely.multipoints(centres), extend_to=shapely.buffer(shapely.multipoints(centres), 2 * step)
        )
    )
    cell, centre = shapely.STRtree(centres).query(cells, predicate="contains")
    found = np.empty(len(centres), dtype=object)
    found[centre] = cells[cell]
    return to_storage(shapely.intersection(found, shapely.buffer(centres, 0.6 * step, quad_segs=8)), epsg)


def write_files(folder: Path, out: Path) -> dict[str, Path]:
    """Write district, hexagons as residences, and facilities at the centres of their hexagons; return the files by command."""
    table = pd.read_csv(folder / "hexgrid.csv").fillna(0)
    shapes = hexagons(table)
    whole = shapely.buffer(shapely.union_all(shapely.buffer(shapes, 0.0005)), 0.0005)
    # people are counted in communities; the data know of none, so the whole is one
    codes = [DISTRICT, f"{DISTRICT}001", f"{DISTRICT}001001"]
    district = gpd.GeoDataFrame({"code": codes, "name": "Porto Alegre"}, geometry=[whole] * 3, crs=4490)
    homes = gpd.GeoDataFrame(
        {
            "residence_code": table["id"],
            "name": "",
            "population": table["population"].astype(int),
            "entrance_lon": table["lon"],
            "entrance_lat": table["lat"],
        },
        geometry=shapes,
        crs=4490,
    )
    rows = [
        (f"{hexagon}-{kind}-{n}", kind, lon, lat)
        for column, kind in KINDS.items()
        for hexagon, lon, lat, count in table[["id", "lon", "lat", column]].itertuples(index=False)
        for n in range(int(count))
    ]
    facilities = pd.DataFrame(rows, columns=["facility_code", "kind_code", "lon", "lat"])
    files = {name: out / f"{name}.geojson" for name in ("divisions", "residences")}
    district.to_file(files["divisions"], driver="GeoJSON")
    homes[homes["population"] > 0].to_file(files["residences"], driver="GeoJSON")
    files["facilities"] = out / "facilities.csv"
    facilities.to_csv(files["facilities"], index=False)
    return files


def gridsvc(*arguments: object) -> str:
    """Run a command, print it with its seconds, and return what it printed."""
    began = time.perf_counter()
    words = [str(argument) for argument in arguments]
    program = Path(sys.executable).with_name("gridsvc")
    done = subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, text=True)
    print(f"$ gridsvc {' '.join(words)}   # {time.perf_counter() - began:.1f} s", flush=True)
    return done.stdout


def main() -> None:
    """Run all and print the table."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--out", type=Path, required=True)
    out: Path = reader.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    folder = read_settings().real_data_dir
    if folder is None:
        sys.exit("GRIDSVC_REAL_DATA names no folder.")
    files = write_files(folder / "porto_alegre", out)
    since = ("--valid-from", SINCE, "--no-gazetteer")
    gridsvc("import", "divisions", files["divisions"], "--datum", "cgcs2000", *since)
    gridsvc("import", "osm", folder / "porto_alegre" / "walk_osm.pbf", *since)
    for name in ("residences", "facilities"):
        gridsvc("import", name, files[name], "--datum", "wgs84", *since)
    own = out / "porto-alegre.json"
    own.write_text(json.dumps(LIST, ensure_ascii=False), encoding="utf-8")
    print(gridsvc("circle", "build", DISTRICT))
    for profile in ("planning", "elderly"):
        asked = (DISTRICT, "--standard-file", own, "--profile", profile)
        print(gridsvc("circle", "coverage", *asked))
        gridsvc("circle", "gaps", *asked, "--out", out / f"gaps_{profile}.geojson")
        print(gridsvc("map", "circle", "--division", *asked, "--source", CREDIT, "--out", out / f"{profile}.html"))


if __name__ == "__main__":
    main()
