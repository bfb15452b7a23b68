"""The service circle of the inner districts of Wuhan on its whole street network, homes and facilities made up, by gridsvc's own commands.

The setting GRIDSVC_REAL_DATA names the folder with ``wuhan/streets_osm.parquet`` (92,667 edges), ``districts_gcj02.geojson.gz`` and
``divisions_2023.csv.gz``. ``gridsvc synth`` completes each of the eight districts that the streets cover; their streets are left
aside for the real ones, so that the network is what OpenStreetMap has (vehicle streets). The database is that of the settings, so
give it a GRIDSVC_VAR of its own.

    GRIDSVC_REAL_DATA=... GRIDSVC_VAR=/tmp/wuhan python benchmarks/circle_wuhan.py --out /tmp/wuhan_out
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import pandas as pd
import shapely

from gridsvc.settings import read_settings

CITY = "4201"
DISTRICTS = ("420102", "420103", "420104", "420105", "420106", "420107", "420111", "420112")
SINCE = "2026-01-01"
CREDIT = "Streets: OpenStreetMap contributors (ODbL); homes and facilities made by gridsvc synth"


def gridsvc(*arguments: object) -> str:
    """Run a command, print it with its seconds, and return what it printed."""
    began = time.perf_counter()
    words = [str(argument) for argument in arguments]
    program = Path(sys.executable).with_name("gridsvc")
    done = subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, text=True)
    print(f"$ gridsvc {' '.join(words)}   # {time.perf_counter() - began:.1f} s", flush=True)
    return done.stdout


def complete(folder: Path, out: Path) -> None:
    """Make homes and facilities of each district; one already there is kept."""
    for district in DISTRICTS:
        if (out / district / "facilities.parquet").is_file():
            continue
        gridsvc(
            *(
                "synth",
                "--streets",
                folder / "streets_osm.parquet",
                "--boundary",
                folder / "districts_gcj02.geojson.gz",
            ),
            *("--datum", "gcj02", "--divisions", folder / "divisions_2023.csv.gz", "--district", district),
            *("--out", out / district),
        )


def joined(out: Path, name: str) -> Path:
    """Write one file of all districts; the city is the union of what they say it is."""
    frames = [gpd.read_parquet(out / district / f"{name}.parquet") for district in DISTRICTS]
    frame = gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=frames[0].crs)
    if name == "divisions":
        city = frame["code"] == CITY
        whole = frame[city].iloc[[0]].set_geometry([shapely.union_all(frame.loc[city, "geometry"].to_numpy())])
        frame = gpd.GeoDataFrame(
            pd.concat([whole.set_crs(frame.crs, allow_override=True), frame[~city]]), crs=frame.crs
        )
    path = out / f"{name}.parquet"
    frame.to_parquet(path)
    return path


def main() -> None:
    """Run all and print the tables."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--out", type=Path, required=True)
    out: Path = reader.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    data = read_settings().real_data_dir
    if data is None:
        sys.exit("GRIDSVC_REAL_DATA names no folder.")
    complete(data / "wuhan", out)
    since = ("--valid-from", SINCE, "--no-gazetteer")
    gridsvc("import", "divisions", joined(out, "divisions"), "--datum", "file", "--repair", *since)
    gridsvc("import", "streets", data / "wuhan" / "streets_osm.parquet", "--datum", "file", *since)
    for name in ("residences", "facilities"):
        gridsvc("import", name, joined(out, name), "--datum", "file", *since)
    print(gridsvc("circle", "build", CITY, "--trunk"))
    print(gridsvc("circle", "coverage", CITY, "--by", "district"))
    print(gridsvc("circle", "coverage", CITY, "--by", "community", "--out", out / "communities.xlsx"))
    print(gridsvc("circle", "gaps", CITY, "--kind", "G1504", "--out", out / "gaps.gpkg"))
    print(gridsvc("map", "circle", "--division", CITY, "--source", CREDIT, "--out", out / "city.html"))
    print(gridsvc("map", "circle", "--division", DISTRICTS[1], "--source", CREDIT, "--out", out / "district.html"))


if __name__ == "__main__":
    main()
