"""Find places for addresses, spoilt in the ways people spoil them: how many first candidates are right, how far off, how fast.

    python benchmarks/geocode.py [--data FOLDER] [--queries 150] [--every 12] [--seed 1] [--json]

The made-up district (or the folder that ``gridsvc synth`` wrote; a city has one to two million entries) gets door numbers every
``--every`` metres of each side of its named streets; a fifth of them is held back and asked for all the same. The peer is what one would write first: pg_trgm,
the entry whose full address is most similar, by a GiST index, in the same database and run. A first candidate is right within 50 m.
Where GRIDSVC_REAL_DATA holds them, real names follow: divisions of two Chinese cities told apart, points of interest found.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from _measuring import machine_noise
from sqlalchemy import text

from gridsvc.bootstrap import open_app
from gridsvc.formats.dataset import Dataset, read_dataset
from gridsvc.geo import projections
from gridsvc.geo.addresses import fold_name, parse_address
from gridsvc.geo.division_names import DivisionNames
from gridsvc.geo.location import GridIndex
from gridsvc.geo.place_phrases import distance_m
from gridsvc.services.gazetteer import DistrictNames, Spot, store_divisions
from gridsvc.services.geocoding import geocode
from gridsvc.services.synthesising import synthesise_to_folder
from gridsvc.settings import read_settings
from gridsvc.store.gazetteer import LONG_AGO
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.synth.door_numbers import DoorNumbers
from gridsvc.synth.ground import Streets

AT = datetime(2026, 7, 1, tzinfo=UTC)
RIGHT_M = 50.0
DOOR_OFF_M = 12.0
HELD_BACK = 0.2
BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.01)
NUMERALS = "零一二三四五六七八九"
LETTERS = "江河山水云风林石田木花草东西中大小新老长"


@dataclass(frozen=True, slots=True)
class Question:
    """An address as asked for, what was done to it, and where it is."""

    kind: str
    spoilt: str
    text: str
    lon: float
    lat: float


# -- the gazetteer -----------------------------------------------------------------------------------------------------


def fill(uow: UnitOfWork, dataset: Dataset, every_m: float, rng: np.random.Generator) -> tuple[pd.DataFrame, float]:
    """Fill the gazetteer and return the made doors (held back or not) and the CPU-seconds of this process."""
    divisions = in_storage(dataset.frame("divisions"))
    uow.divisions.put_frame(divisions, LONG_AGO)
    began = time.process_time()
    uow.gazetteer.begin_build()
    ever = uow.gazetteer.divisions_ever()
    store_divisions(uow, ever)
    names = frozenset(fold_name(name) for name in ever["name"])
    streets = in_storage(dataset.frame("streets"))
    placed = {kind: in_storage(dataset.frame(kind)) for kind in ("residences", "facilities")}
    communities = ever[ever["level"] == "community"]
    index = GridIndex(communities["code"].tolist(), communities.geometry.to_numpy())
    for frame in placed.values():
        frame["geometry"] = shapely.point_on_surface(frame.geometry.to_numpy())
        frame["community_code"] = index.locate(shapely.get_x(frame.geometry), shapely.get_y(frame.geometry))
    placed["facilities"] = placed["facilities"].assign(valid_from=LONG_AGO, valid_to=pd.NaT)
    doors = []
    for row in ever[ever["level"] == "district"].itertuples(index=False):
        district = DistrictNames(row.code, row.geometry, names)
        own = streets[streets["street_code"].str.startswith(row.code)]
        district.add_streets(own)
        made = made_doors(own, district.epsg, every_m, rng)
        made["community_code"] = index.locate(made["lon"].to_numpy(), made["lat"].to_numpy())
        made["district_code"] = row.code
        for door in made[~made["held_back"]].itertuples(index=False):
            community = door.community_code if isinstance(door.community_code, str) else ""
            district.add_door(fold_name(door.street), door.number, "", Spot((door.x, door.y), community, 10.0))
        for kind, add in (("residences", district.add_residences), ("facilities", district.add_facilities)):
            frame = placed[kind]
            add(frame[frame["community_code"].astype(str).str.startswith(row.code)])
        district.store(uow)
        doors.append(made)
    uow.gazetteer.finish_build(AT, {})
    return pd.concat(doors, ignore_index=True), time.process_time() - began


def in_storage(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a frame of the data set (WGS 84) as the store has it."""
    return frame.set_crs(4490, allow_override=True)


def made_doors(streets: gpd.GeoDataFrame, epsg: int, every_m: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return door numbers along both sides of the named streets; a number once per street."""
    named = streets[(streets["name"] != "") & (streets["street_class"] != "service")]
    lines = projections.to_metric(named.geometry.to_numpy(), epsg)
    whole = Streets(lines, named["street_class"].tolist(), named["name"].tolist(), named["layer"].to_numpy())
    numbering = DoorNumbers.of(whole)
    piece, xy = [], []
    for i, line in enumerate(numbering.lines):
        for side, first in ((1.0, 0.3), (-1.0, 0.8)):
            at = np.arange(first * every_m, line.length, every_m)
            foot = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
            ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, np.minimum(at + 0.5, line.length)))
            way = ahead - foot
            off = np.column_stack([-way[:, 1], way[:, 0]]) / np.maximum(np.hypot(*way.T), 1e-9)[:, None]
            xy.append(foot + side * DOOR_OFF_M * off)
            piece.append(np.full(len(at), i))
    pieces, places = np.concatenate(piece), np.concatenate(xy)
    points = shapely.points(places)
    lonlat = shapely.get_coordinates(projections.to_storage(points, epsg))
    made = pd.DataFrame(
        {
            "street": numbering.names[pieces],
            "number": numbering.numbers(pieces, points),
            "x": places[:, 0],
            "y": places[:, 1],
            "lon": lonlat[:, 0],
            "lat": lonlat[:, 1],
        }
    ).drop_duplicates(["street", "number"])
    return made.assign(held_back=rng.random(len(made)) < HELD_BACK).reset_index(drop=True)


# -- the questions -----------------------------------------------------------------------------------------------------


def questions(
    uow: UnitOfWork, dataset: Dataset, doors: pd.DataFrame, count: int, rng: np.random.Generator
) -> list[Question]:
    """Return addresses of every kind, spoilt in every way that applies."""
    labels = {row["code"]: row["label"] for row in uow.gazetteer.regions()}

    def divisions(code: str, *digits: int) -> str:
        return "".join(labels.get(code[:d], "") for d in digits)

    found: list[Question] = []
    for kind, held in (("door", False), ("door held back", True)):
        for one in sample(doors[(doors["held_back"] == held) & doors["community_code"].notna()], count, rng):
            before = divisions(one.community_code, 6, 9)
            found += spoilt(kind, before, one.street, str(one.number), "号", one.lon, one.lat, rng)
    plates = pd.read_sql(
        "SELECT p.label, q.number, q.division_code AS community_code, ST_X(q.geom) AS lon, ST_Y(q.geom) AS lat FROM gazetteer_plates q"
        " JOIN gazetteer_places p USING (place_id) WHERE p.kind = 'compound' AND p.name LIKE '%%小区%%' AND length(q.division_code) = 12"
        " ORDER BY q.place_id, q.number",
        uow.connection,
    )
    for one in sample(plates, count, rng):
        found += spoilt(
            "building", divisions(one.community_code, 6, 9, 12), one.label, str(one.number), "栋", one.lon, one.lat, rng
        )
    facilities = pd.read_sql(
        "SELECT label, division_code AS community_code, ST_X(geom) AS lon, ST_Y(geom) AS lat FROM gazetteer_places WHERE kind = 'poi'"
        " AND length(division_code) = 12 ORDER BY place_id",
        uow.connection,
    )
    for one in sample(facilities, count, rng):
        found += spoilt(
            "point of interest", divisions(one.community_code, 6, 9, 12), one.label, "", "", one.lon, one.lat, rng
        )
    return found + crossings(dataset, divisions, count, rng)


def sample(frame: pd.DataFrame, count: int, rng: np.random.Generator) -> list[Any]:
    """Return some rows of a frame."""
    return list(
        frame.iloc[np.sort(rng.choice(len(frame), min(count, len(frame)), replace=False))].itertuples(index=False)
    )


def spoilt(
    kind: str, before: str, name: str, number: str, word: str, lon: float, lat: float, rng: np.random.Generator
) -> list[Question]:
    """Return an address as it should be and as people write it."""
    ways = {"as it should be": before + name + number + word, "misspelt": before + misspelt(name, rng) + number + word}
    if number:
        ways["full-width"] = before + name + "".join(chr(ord(c) + 0xFEE0) for c in number) + word
        ways["numerals"] = before + name + numeral(int(number)) + word
        ways["with a tail"] = (
            f"{before}{name}{number}{word}（靠路边）3单元502室"
            if word == "号"
            else f"{before}{name}{number}{word}2单元502"
        )
    if kind.startswith("door"):
        ways["no street office"] = before[: before.index("区") + 1] + name + number + word
        ways["no word after the number"] = before + name + number
    else:
        ways["nearby"] = before + name + number + word + "附近"
    return [Question(kind, way, asked, lon, lat) for way, asked in ways.items()]


def misspelt(name: str, rng: np.random.Generator) -> str:
    """Return a name with one of its characters (not the last, not a figure) another."""
    at = int(rng.integers(0, max(1, len(name) - 1)))
    if name[at].isdigit():
        at = 0
    other = [c for c in LETTERS if c != name[at]]
    return name[:at] + other[int(rng.integers(len(other)))] + name[at + 1 :]


def numeral(number: int) -> str:
    """Return a number up to 9,999 in Chinese numerals, spelt digit by digit from a thousand on."""
    if number >= 1000:
        return "".join(NUMERALS[int(c)] for c in str(number))
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    said = f"{NUMERALS[hundreds]}百" if hundreds else ""
    if tens:
        said += ("" if tens == 1 and not hundreds else NUMERALS[tens]) + "十"
    elif hundreds and ones:
        said += "零"
    return said + (NUMERALS[ones] if ones else "")


def crossings(dataset: Dataset, divisions: Any, count: int, rng: np.random.Generator) -> list[Question]:
    """Return places where exactly one pair of streets of two names meets in a district."""
    streets = in_storage(dataset.frame("streets"))
    streets = streets[(streets["name"] != "") & (streets["street_class"] != "service") & (streets["layer"] == 0)]
    ends: dict[tuple[str, float, float], set[str]] = defaultdict(set)
    for code, name, line in zip(streets["street_code"], streets["name"], streets.geometry, strict=True):
        for x, y in (line.coords[0], line.coords[-1]):
            ends[code[:6], x, y].add(name)
    met: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for (district, x, y), names in ends.items():
        if len(names) == 2:
            first, second = sorted(names)
            met[district, first, second].append((x, y))
    single = sorted((key, places[0]) for key, places in met.items() if len(places) == 1)
    found = []
    for i in np.sort(rng.choice(len(single), min(count, len(single)), replace=False)):
        (district, first, second), (lon, lat) = single[i]
        before = divisions(district, 6)
        ways = {
            "as it should be": f"{before}{first}与{second}交叉口",
            "run together": f"{before}{first}{second}口",
            "other way round": f"{second}和{first}路口" if before else f"{second}/{first}",
            "misspelt": f"{before}{misspelt(first, rng)}与{second}交汇处",
        }
        found += [Question("crossing", way, asked, lon, lat) for way, asked in ways.items()]
    return found


# -- asking ------------------------------------------------------------------------------------------------------------


def ask_gridsvc(uow: UnitOfWork, asked: list[Question]) -> tuple[list[Any], list[float]]:
    """Return the first candidate (or None) and the seconds of each question."""
    answers, seconds = [], []
    for question in asked[:20]:
        geocode(uow, question.text, at=AT)  # the first call of a process reads the divisions
    for question in asked:
        began = time.perf_counter()
        found = geocode(uow, question.text, at=AT)
        seconds.append(time.perf_counter() - began)
        answers.append(found[0] if found else None)
    return answers, seconds


def make_peer(uow: UnitOfWork) -> int:
    """Make the peer's table of full addresses with its trigram index; return its rows."""
    run = uow.connection.execute
    run(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    words = "concat((SELECT label FROM names WHERE code = left({0}, 6)), (SELECT label FROM names WHERE code = left({0}, 9)), (SELECT label FROM names WHERE code = {0}))"
    run(
        text(
            "CREATE TEMP TABLE names AS SELECT DISTINCT ON (division_code) division_code AS code, label FROM gazetteer_places WHERE kind = 'division'"
        )
    )
    run(text("CREATE UNIQUE INDEX ON names (code)"))
    run(text(
        f"CREATE TABLE peer AS SELECT {words.format('q.division_code')} || p.label || q.number || q.suffix || CASE p.kind WHEN 'street' THEN '号' ELSE '栋' END AS label,"
        f" q.geom FROM gazetteer_plates q JOIN gazetteer_places p USING (place_id) UNION ALL SELECT {words.format('p.division_code')} || p.label, p.geom"
        " FROM gazetteer_places p WHERE p.kind <> 'division' AND p.geom IS NOT NULL"
    ))  # fmt: skip
    run(text("CREATE INDEX ON peer USING gist (label gist_trgm_ops (siglen = 64))"))
    run(text("ANALYZE peer"))
    return int(uow.connection.scalar(text("SELECT count(*) FROM peer")))


def ask_peer(uow: UnitOfWork, asked: list[Question]) -> tuple[list[Any], list[float]]:
    """Return the most similar entry and the seconds of each question."""
    statement = text("SELECT ST_X(geom) AS lon, ST_Y(geom) AS lat FROM peer ORDER BY label <-> :q LIMIT 1")
    answers, seconds = [], []
    for question in asked:
        began = time.perf_counter()
        answers.append(uow.connection.execute(statement, {"q": question.text}).first())
        seconds.append(time.perf_counter() - began)
    return answers, seconds


def errors_m(asked: list[Question], answers: list[Any]) -> np.ndarray:
    """Return how far each answer is off, infinite without one. Unit: m."""
    return np.array(
        [np.inf if a is None else distance_m(q.lon, q.lat, a.lon, a.lat) for q, a in zip(asked, answers, strict=True)]
    )


# -- telling -----------------------------------------------------------------------------------------------------------


def summary(asked: list[Question], errors: np.ndarray, seconds: list[float]) -> dict[str, Any]:
    """Return shares right in all, by kind and by what was done, errors and times."""
    right = errors <= RIGHT_M
    by: dict[str, dict[str, float]] = {"kind": {}, "spoilt": {}}
    for part in by:
        for name in dict.fromkeys(getattr(q, part) for q in asked):
            by[part][name] = round(float(right[[getattr(q, part) == name for q in asked]].mean()), 3)
    ms = np.array(seconds) * 1000
    return {
        "questions": len(asked),
        "right": round(float(right.mean()), 3),
        "error_m": {"median": finite(np.median(errors)), "p90": finite(np.quantile(errors, 0.9))},
        "ms": {
            name: round(float(np.quantile(ms, q)), 2) for name, q in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
        },
        **by,
    }


def finite(value: float) -> float | None:
    """Return a number rounded, None for infinity."""
    return round(float(value), 1) if np.isfinite(value) else None


def calibration(asked: list[Question], answers: list[Any], errors: np.ndarray) -> dict[str, Any]:
    """Return how often candidates of each score were right (within their own accuracy or 50 m), and how honest accuracy_m is."""
    score = np.array([0.0 if a is None else a.score for a in answers])
    accuracy = np.array([0.0 if a is None else a.accuracy_m for a in answers])
    right = errors <= np.maximum(RIGHT_M, accuracy)
    bands = {}
    for low, high in itertools.pairwise(BANDS):
        inside = (score >= low) & (score < high)
        if inside.any():
            bands[f"{low:g}-{min(high, 1):g}"] = {
                "asked": int(inside.sum()),
                "right": round(float(right[inside].mean()), 3),
            }
    kinds = {}
    for kind in sorted({a.match_kind for a in answers if a is not None}):
        of = np.array([a is not None and a.match_kind == kind for a in answers]) & (errors < 1000.0) & (score >= 0.6)
        if of.sum() >= 20:
            kinds[kind] = {"asked": int(of.sum()), "median_accuracy_m": round(float(np.median(accuracy[of])), 1), "within": round(float((errors <= accuracy)[of].mean()), 3)}  # fmt: skip
    return {"right by score": bands, "within accuracy_m by match": kinds}


def real_divisions(folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Return how many addresses in communities of two cities have all their divisions recognised, as they are and with one wrong character."""
    told = {}
    for city in ("wuhan", "beijing"):
        path = folder / city / "divisions_2023.csv.gz"
        if not path.is_file():
            continue
        table = pd.read_csv(path, dtype=str)
        name = dict(zip(table["code"], table["name"], strict=True))
        rows = [{"code": c, "name": fold_name(n), "label": n, "radius_m": 0.0, "lon": None, "lat": None, "valid_from": LONG_AGO, "valid_to": None} for c, n in name.items()]  # fmt: skip
        known = DivisionNames(rows)
        communities = [c for c in name if len(c) == 12]
        right = {"as it should be": 0, "one character wrong": 0}
        for code in communities:
            parts = {"district": name[code[:6]], "street": name[code[:9]], "community": name[code]}
            at = list(parts)[int(rng.integers(3))]
            for way, given in (
                ("as it should be", parts),
                ("one character wrong", parts | {at: misspelt(parts[at], rng)}),
            ):
                city_name = name[code[:4]] if name[code[:4]] != "市辖区" else name[code[:2]]
                address = parse_address(city_name + "".join(given.values()) + "中山大道12号", known.lookup)
                same = all(getattr(address, level) == fold_name(label) for level, label in parts.items())
                right[way] += same and address.number == "12"
        told[city] = {"communities": len(communities)} | {
            way: round(n / len(communities), 3) for way, n in right.items()
        }
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--queries", type=int, default=150, help="addresses of each kind")
    parser.add_argument("--every", type=float, default=12.0, help="metres between doors of a side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridsvc-geocode-") as folder:
        data = options.data or Path(folder) / "district"
        if options.data is None:
            synthesise_to_folder(data, scale="district", seed=options.seed)
        settings = replace(read_settings(), database_url="", var_dir=Path(folder) / "var")
        with open_app(settings) as app, app.unit_of_work() as uow:
            told = measure(uow, read_dataset(data), options)
    if settings.real_data_dir:
        told["real divisions recognised"] = real_divisions(settings.real_data_dir, np.random.default_rng(options.seed))
    print(json.dumps(told, ensure_ascii=False, indent=None if options.json else 2))


def measure(uow: UnitOfWork, dataset: Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of one data set."""
    rng = np.random.default_rng(options.seed)
    doors, build_s = fill(uow, dataset, options.every, rng)
    uow.commit()
    asked = questions(uow, dataset, doors, options.queries, rng)
    peer_rows = make_peer(uow)
    uow.commit()
    answers, seconds = ask_gridsvc(uow, asked)
    peer_answers, peer_seconds = ask_peer(uow, asked)
    errors, peer_errors = errors_m(asked, answers), errors_m(asked, peer_answers)
    return {
        "machine": machine_noise(),
        "entries": peer_rows,
        "build_cpu_s": round(build_s, 1),
        "gridsvc": summary(asked, errors, seconds),
        "pg_trgm": summary(asked, peer_errors, peer_seconds),
        "times as fast": round(statistics.median(peer_seconds) / statistics.median(seconds), 1),
        **calibration(asked, answers, errors),
    }


if __name__ == "__main__":
    main()
