"""Use case: make a town, or complete a real one, and write it as a data set folder."""

from __future__ import annotations

import csv
import json
import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import shapely

from gridsvc.errors import GeometryError, PartitionError
from gridsvc.formats.dataset import table_of, write_dataset
from gridsvc.geo.datums import parse_datum
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.progress import SILENT, Progress
from gridsvc.resources import content_dir
from gridsvc.services.real_places import read_boundary, read_division_tree, read_streets
from gridsvc.synth.fictitious import (
    CITY,
    CITY_MEAN_HOUSEHOLDS,
    PLACE_EPSG,
    city_districts,
    made_up_city_district,
    made_up_district,
)
from gridsvc.synth.ground import Streets
from gridsvc.synth.real_ground import real_ground
from gridsvc.synth.town import DivisionTree, TownRecipe, build_district

DEFAULT_AS_OF = datetime.fromisoformat("2026-01-01T00:00:00+08:00")


def synthesise_to_folder(
    folder: Path,
    *,
    scale: str,
    seed: int = 1,
    as_of: datetime = DEFAULT_AS_OF,
    processes: int = 2,
    progress: Progress = SILENT,
) -> dict[str, int]:
    """Write a made-up town of a scale (``street``, ``district``, ``city``) and return the rows per kind.

    The same scale, seed and ``as_of`` give the same bytes.
    """
    if scale == "city":
        return _synthesise_city(Path(folder), seed, as_of, processes, progress)
    ground, tree = made_up_district(scale, seed, progress)
    pieces = build_district(ground, tree, read_recipe(), epsg=PLACE_EPSG, as_of=as_of, seed=seed, progress=progress)
    info = _info(
        tree.district.name, "Made-up town", CITY.code, [tree.district.code], as_of, seed, scale, [MADE_UP_SOURCE]
    )
    return write_dataset(folder, [pieces], info)


def _synthesise_city(folder: Path, seed: int, as_of: datetime, processes: int, progress: Progress) -> dict[str, int]:
    """Write the made-up city, district by district; no more than ``processes`` + 1 districts are in memory."""
    districts = city_districts()
    codes = [d.code for d in districts]
    info = _info(CITY.name, "Made-up city", CITY.code, codes, as_of, seed, "city", [MADE_UP_SOURCE])
    progress.start("districts", len(districts))
    return write_dataset(folder, _city_parts(len(districts), seed, as_of, processes, progress), info)


def _city_parts(
    count: int, seed: int, as_of: datetime, processes: int, progress: Progress
) -> Iterator[dict[str, pyarrow.Table]]:
    divisions: list[pyarrow.Table] = []
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = deque(pool.submit(_city_district, k, seed, as_of) for k in range(min(processes + 1, count)))
        submitted = len(waiting)
        while waiting:
            part = waiting.popleft().result()
            if submitted < count:
                waiting.append(pool.submit(_city_district, submitted, seed, as_of))
                submitted += 1
            # kept to the end: the city's own row comes first and is the union of all
            divisions.append(part.pop("divisions"))
            yield part
            progress.advance()
    yield {"divisions": pyarrow.concat_tables([_city_row(divisions), *divisions])}


def _city_district(number: int, seed: int, as_of: datetime) -> dict[str, pyarrow.Table]:
    """Return one district of the made-up city as tables; runs in a process of its own."""
    ground, tree = made_up_city_district(number, seed)
    pieces = build_district(
        ground,
        tree,
        read_recipe(CITY_MEAN_HOUSEHOLDS, is_roster_lean=True),
        epsg=PLACE_EPSG,
        as_of=as_of,
        seed=seed * 1000 + number,
        with_city_row=False,
    )
    return {kind: table_of(kind, columns) for kind, columns in pieces.items()}


def _city_row(divisions: list[pyarrow.Table]) -> pyarrow.Table:
    rows = [row for table in divisions for row in table.slice(0, 1).to_pylist()]
    whole = shapely.coverage_union_all(shapely.from_wkb([row["geometry"] for row in rows]))
    shape = whole if isinstance(whole, shapely.MultiPolygon) else shapely.MultiPolygon([whole])
    columns = {
        "code": [CITY.code],
        "name": [CITY.name],
        "level": ["city"],
        "parent_code": [None],
        "urban_rural_class": [None],
    }
    return table_of("divisions", columns | {"geometry": [shape]})


MADE_UP_SOURCE = {
    "what": "everything: streets, divisions, buildings, people, reports",
    "source": "made up by gridsvc synth; no real place, person or event. Division codes begin with 99, which GB/T 2260 gives to no province.",
    "licence": "CC0-1.0",
}


def _info(
    name_zh: str,
    name_en: str,
    city_code: str | None,
    districts: list[str],
    as_of: datetime,
    seed: int,
    scale: str,
    sources: list[dict],
) -> dict[str, Any]:
    return {
        "name_zh": name_zh,
        "name_en": name_en,
        "datum": "wgs84",
        "city_code": city_code,
        "district_codes": districts,
        "as_of": as_of.isoformat(),
        "seed": seed,
        "scale": scale,
        "sources": sources,
    }


@lru_cache(maxsize=1)
def read_recipe(mean_households: float = 1900.0, *, is_roster_lean: bool = False) -> TownRecipe:
    """Return the recipes of ``data/synth`` and the names of the categories."""
    folder = content_dir("data")
    with (folder / "catalogue" / "categories.csv").open(encoding="utf-8", newline="") as file:
        names = {row["code"]: row["name_zh"] for row in csv.DictReader(file)}
    return TownRecipe(
        json.loads((folder / "synth" / "facilities.json").read_text(encoding="utf-8"))["types"],
        json.loads((folder / "synth" / "reports.json").read_text(encoding="utf-8")),
        names,
        mean_households,
        is_roster_lean,
    )


def complete_real_district(
    folder: Path,
    *,
    streets: Path,
    boundary: Path,
    divisions: Path,
    district: str,
    datum: str | None,
    streets_datum: str | None = None,
    seed: int = 1,
    as_of: datetime = DEFAULT_AS_OF,
    progress: Progress = SILENT,
) -> dict[str, int]:
    """Write the data set of a real district and return the rows per kind.

    Streets, boundary, codes and names are taken from the files; what is missing (polygons of street offices and
    communities, buildings, footways, facilities, workers, reports) is made.

    Parameters
    ----------
    datum
        Of the boundary file; must be given.
    streets_datum
        Of the street file; None takes the CRS the file carries.

    Raises
    ------
    GridsvcError
        When a file cannot be read, the district is not in it, or boundary and streets do not overlap.
    """
    parse_datum(datum, field="--datum")
    progress.start("reading files", 3)
    tree = read_division_tree(divisions, district)
    progress.advance()
    outline = read_boundary(boundary, datum, tree.district)
    progress.advance()
    read = read_streets(streets, streets_datum)
    progress.advance()
    near = shapely.box(*(np.array(outline.bounds) + np.array([-0.02, -0.02, 0.02, 0.02])))
    keep = np.flatnonzero(shapely.intersects(near, read[0]))
    if len(keep) == 0:
        raise GeometryError(
            f"No street of {streets} lies near the boundary of {district}.",
            hint="Check that both files show the same place and that --datum and --streets-datum are right.",
        )
    epsg = zone_of([outline])
    roads = Streets(
        to_metric(read[0][keep], epsg), [read[1][i] for i in keep], [read[2][i] for i in keep], read[3][keep]
    )
    progress.start("cleaning streets")
    ground = real_ground(to_metric([outline], epsg)[0], roads, communities=sum(map(len, tree.communities)))
    pieces = build_district(ground, tree, read_recipe(), epsg=epsg, as_of=as_of, seed=seed, progress=progress)
    _check_counts(pieces["divisions"], tree)
    sources = [
        {"what": "streets", "source": Path(streets).name, "licence": "许可见来源 see source"},
        {"what": "boundary", "source": Path(boundary).name, "licence": "许可见来源 see source"},
        {
            "what": "codes and names of divisions",
            "source": Path(divisions).name,
            "licence": "许可见来源 see source",
        },
        {
            "what": "polygons of street offices and communities, lanes, footways, buildings, walls, facilities, workers, reports",
            "source": "made by gridsvc synth; they say nothing about the real place",
            "licence": "CC0-1.0",
        },
    ]
    city_code = tree.city.code if tree.city else None
    info = _info(
        tree.district.name, f"District {district}, completed", city_code, [district], as_of, seed, "real", sources
    )
    return write_dataset(folder, [pieces], info)


def _check_counts(divisions: dict[str, Any], tree: DivisionTree) -> None:
    """Refuse a result that has not exactly the divisions of the file; a safeguard, since downstream counts rest on it."""
    wanted = {d.code for members in tree.communities for d in members}
    made = {code for code, level in zip(divisions["code"], divisions["level"], strict=True) if level == "community"}
    if wanted != made:
        raise PartitionError(
            f"{len(wanted)} communities were to be drawn, {len(made)} were.", hint="Report this as a defect."
        )
