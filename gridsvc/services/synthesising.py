"""Use case: make a town, or complete a real one, and write it as a data set folder."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from gridsvc.formats.dataset import write_dataset
from gridsvc.progress import SILENT, Progress
from gridsvc.resources import content_dir
from gridsvc.synth.fictitious import PLACE_EPSG, made_up_district
from gridsvc.synth.town import TownRecipe, build_district

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
    ground, tree = made_up_district(scale, seed, progress)
    recipe = read_recipe()
    pieces = build_district(ground, tree, recipe, epsg=PLACE_EPSG, as_of=as_of, seed=seed, progress=progress)
    info = _info(
        tree.district.name, "Made-up town", tree.city.code, [tree.district.code], as_of, seed, scale, [MADE_UP_SOURCE]
    )
    return write_dataset(folder, [pieces], info)


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
def read_recipe(mean_households: float = 1900.0) -> TownRecipe:
    """Return the recipes of ``data/synth`` and the names of the categories."""
    folder = content_dir("data")
    with (folder / "catalogue" / "categories.csv").open(encoding="utf-8", newline="") as file:
        names = {row["code"]: row["name_zh"] for row in csv.DictReader(file)}
    return TownRecipe(
        json.loads((folder / "synth" / "facilities.json").read_text(encoding="utf-8"))["types"],
        json.loads((folder / "synth" / "reports.json").read_text(encoding="utf-8")),
        names,
        mean_households,
    )
