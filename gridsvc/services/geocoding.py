"""Text address to point, from the gazetteer held here; no other host is ever asked.

A candidate's ``score`` (0 to 1) estimates the chance that the place meant lies where the candidate says, as exactly as its
``accuracy_m``. It is the product of two parts: *agreement*, how much of what the address names the candidate has (each part with
its weight, `WEIGHTS`; misspelt names count in part), and its *share* among rivals, places elsewhere that agree as well. Decision
0016 shows how often candidates of each score were right.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

import numpy as np
import shapely

from gridsvc.geo.addresses import Address, fold_name, name_similarity, parse_address, region_stem
from gridsvc.geo.datums import STORAGE_DECIMALS
from gridsvc.geo.division_codes import level_of
from gridsvc.geo.division_names import DivisionNames, Region
from gridsvc.geo.place_phrases import distance_m, moved
from gridsvc.services.gazetteer import plate_key, street_name
from gridsvc.store.unit_of_work import UnitOfWork

MOST_CANDIDATES = 20

# kinds of place of GB/T 30428.3 (region 区域, quarter 区片, street 街巷, plate 门（楼）牌, point of interest 兴趣点), by match kind
PLACE_KINDS = {
    "door": "plate",
    "door_interpolated": "plate",
    "door_extrapolated": "plate",
    "building": "plate",
    "compound": "quarter",
    "poi": "poi",
    "crossing": "street",
    "street": "street",
    "community": "region",
    "street_office": "region",
    "district": "region",
    "city": "region",
    "province": "region",
}

# how much each part of an address counts. Our choice, tuned on made-up addresses; see decision 0016
WEIGHTS = {
    "city": 0.5,
    "district": 0.25,
    "street": 0.15,
    "community": 0.2,
    "road": 0.35,
    "number": 0.2,
    "place": 0.4,
    "building": 0.15,
}
_DIVISION_MATCH = {"street": "street_office"}

_LEAST_ALIKE = 0.55
# rivals: what agrees less by 0.1 counts a sixth
_RIVALRY = 18.0
_SAME_PLACE_M = 60.0
_NEAR_SCALE_M = 2_000.0
_CROSSING_REACH_DEG = 0.0004
_CROSSING_ACCURACY_M = 20.0
_MOST_NUMBERS_BEYOND = 60
_MOST_METRES_BEYOND = 300.0
_METRES_PER_NUMBER = 5.0
# candidates looked at, of which those outside the scope are left out
_MOST_TRIED = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place an address may mean.

    Attributes
    ----------
    lon, lat
        CRS: EPSG:4490. Unit: degrees.
    score
        Estimated chance that the place meant is here, 0 to 1; see the module.
    accuracy_m
        Radius that holds the true place in about two of three cases, given that the match is right. Unit: m.
    match_kind
        What was found, a key of `PLACE_KINDS`: door, door_interpolated, building, poi, crossing, street, community ...
    place_kind
        Its kind of GB/T 30428.3.
    address
        The place in words, with its divisions.
    parts
        Agreement by part of the address, 0 to 1.
    """

    lon: float
    lat: float
    score: float
    accuracy_m: float
    match_kind: str
    place_kind: str
    address: str
    district_code: str | None
    community_code: str | None
    parts: dict[str, float]


_lexicons: OrderedDict[str, DivisionNames] = OrderedDict()
_lexicons_lock = Lock()
_LEXICONS_KEPT = 4


def _lexicon(uow: UnitOfWork, build_id: str) -> DivisionNames:
    """Return the divisions of a build, read once per process: a build never changes."""
    with _lexicons_lock:
        if build_id in _lexicons:
            _lexicons.move_to_end(build_id)
            return _lexicons[build_id]
    made = DivisionNames(uow.gazetteer.regions())
    with _lexicons_lock:
        _lexicons[build_id] = made
        while len(_lexicons) > _LEXICONS_KEPT:
            _lexicons.popitem(last=False)
    return made


# -- address to point --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Hit:
    """A place in the running: agreement by part, with the weight each part has for it."""

    match_kind: str
    lon: float
    lat: float
    accuracy_m: float
    label: str
    division: str
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)
    # plates a number is to be read between: lon, lat, number of each, and the street
    between: tuple[dict[str, Any], dict[str, Any], int, int] | None = None

    @property
    def agreement(self) -> float:
        total = sum(weight for _, weight in self.parts.values())
        return sum(value * weight for value, weight in self.parts.values()) / total if total else 1.0


def geocode(
    uow: UnitOfWork, text: str, *, limit: int = 5, near: tuple[float, float] | None = None, at: datetime
) -> list[Candidate]:
    """Return the places an address may mean, the likeliest first; empty when nothing of it is known here.

    Parameters
    ----------
    text
        As typed; see `gridsvc.geo.addresses.parse_address` for what is understood.
    limit
        At most so many, up to `MOST_CANDIDATES`.
    near
        lon, lat in EPSG:4490: of places that agree alike, nearer ones are likelier.
    at
        The instant whose divisions, facilities and addresses are meant.
    """
    build_id = uow.gazetteer.build_id()
    if build_id is None:
        return []
    lexicon = _lexicon(uow, build_id)
    address = parse_address(text, lexicon.lookup)
    search = _Search(uow, lexicon, address, at)
    hits = search.hits()
    if not hits:
        return []
    limit = max(1, min(limit, MOST_CANDIDATES))
    found: list[Candidate] = []
    for hit, score in _ranked(hits, near)[:_MOST_TRIED]:
        candidate = _candidate(uow, lexicon, address, hit, score, at)
        if candidate is not None:
            found.append(candidate)
        if len(found) == limit:
            break
    return found


class _Search:
    """One address against the gazetteer."""

    def __init__(self, uow: UnitOfWork, lexicon: DivisionNames, address: Address, at: datetime) -> None:
        self.uow = uow
        self.lexicon = lexicon
        self.address = address
        self.at = at
        self.regions = self._regions()
        # where to look first: the smallest division named, and the district, to which streets are given
        smallest = next((found for found in reversed(list(self.regions.values())) if found), [])
        self.smallest = smallest[0].code if len({region.code for region in smallest}) == 1 else ""
        self.district = self.smallest[:6] if len(self.smallest) >= 6 else ""

    def hits(self) -> list[_Hit]:
        """Return everything that agrees in some part."""
        if self.address.roads:
            found = self._crossings()
        elif self.address.has_location:
            found = self._places_and_streets()
        else:
            found = []
        # the divisions named are the answer where nothing below them is found
        return found + self._region_hits()

    # -- divisions -----------------------------------------------------------------------------------------------------

    def _regions(self) -> dict[str, list[Region]]:
        """Return the divisions named, level by level, those kept that lie in what was named above them."""
        found: dict[str, list[Region]] = {}
        above: list[Region] = []
        for level in ("province", "city", "district", "street", "community"):
            name = getattr(self.address, level)
            if not name:
                continue
            regions = self.lexicon.regions(level, name, self.at)
            inside = [r for r in regions if any(r.code.startswith(a.code) for a in above)] if above else regions
            found[level] = inside or ([] if above else regions)
            above = found[level] or above
        return found

    def _region_parts(self, division: str) -> dict[str, tuple[float, float]]:
        """Return agreement in divisions of a place in ``division`` (a code, perhaps only of its district)."""
        parts: dict[str, tuple[float, float]] = {}
        for level in ("city", "district", "street", "community"):
            if level not in self.regions:
                continue
            regions, weight = self.regions[level], WEIGHTS[level]
            if not regions:
                # a district, street office or community that is not held (there) says little; another city says all
                if level == "city" and "city" in self.lexicon.levels:
                    parts[level] = (0.0, weight)
                continue
            if any(division.startswith(region.code) for region in regions):
                parts[level] = (1.0, weight)
            elif any(region.code.startswith(division) for region in regions):
                parts[level] = (0.8, weight / 2)
            else:
                parts[level] = (0.0, weight)
        return parts

    def _region_hits(self) -> list[_Hit]:
        smallest = next((found for found in reversed(list(self.regions.values())) if found), [])
        hits = []
        for region in smallest:
            if region.lon is None or region.lat is None:
                continue
            level = level_of(region.code)
            parts = self._region_parts(region.code)
            for part in ("road", "number", "place", "building"):
                if getattr(self.address, part) or (part == "road" and self.address.roads):
                    parts[part] = (0.0, WEIGHTS[part])
            kind = _DIVISION_MATCH.get(level, level)
            hits.append(_Hit(kind, region.lon, region.lat, max(50.0, 0.68 * region.radius_m), "", region.code, parts))
        return hits

    # -- names ---------------------------------------------------------------------------------------------------------

    def _streets(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """Return streets of a name, or of one like it, with how alike they are."""
        exact = self.uow.gazetteer.named([name], at=self.at, within=self.district)
        streets = [row for row in exact if row["kind"] == "street"]
        return self._with_likeness(name, streets) or self._alike(name, ["street"], self.district)

    def _with_likeness(self, name: str, rows: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
        return [(row, name_similarity(name, row["name"])) for row in rows]

    def _alike(self, name: str, kinds: Sequence[str], within: str) -> list[tuple[dict[str, Any], float]]:
        if len(name) < 2:
            return []
        rows = self.uow.gazetteer.alike(name, kinds, at=self.at, within=within)
        found = [(row, alike) for row, alike in self._with_likeness(name, rows) if alike >= _LEAST_ALIKE]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]["place_id"]))[:20]

    def _place_names(self) -> list[str]:
        """Return the names a compound, building or point of interest may go by in this address, the longest first."""
        a = self.address
        names = [a.road + a.lane + a.named, a.road + a.lane + a.place] if not a.number else []
        names += [a.named, a.place]
        if a.community and not a.road and (a.place or a.named):
            names += [a.community + a.named, a.community + a.place, region_stem(a.community) + a.place]
        return list(dict.fromkeys(fold_name(name) for name in names if len(name) >= 2))

    def _places_and_streets(self) -> list[_Hit]:
        a = self.address
        place_names = self._place_names()
        road = street_name(a)
        wanted = list(dict.fromkeys([*filter(None, (road, fold_name(a.road))), *place_names]))
        exact = self.uow.gazetteer.named(wanted, at=self.at, within=self.smallest)
        if not exact and self.smallest:
            exact = self.uow.gazetteer.named(wanted, at=self.at)
        streets = [(row, 1.0) for row in exact if row["kind"] == "street" and row["name"] == road]
        if road and not streets:
            streets = [(row, 0.8) for row in exact if row["kind"] == "street" and row["name"] == fold_name(a.road)]
        if road and not streets:
            streets = self._alike(road, ["street"], self.district)
        places = [(row, 1.0) for row in exact if row["kind"] != "street"]
        if not places and (a.place or a.named):
            places = self._places_alike([fold_name(name) for name in dict.fromkeys((a.named, a.place))])
        return self._street_hits(streets) + self._place_hits(places, streets)

    def _places_alike(self, names: list[str]) -> list[tuple[dict[str, Any], float]]:
        """Return places of names like these in the smallest division named; where there is none, in its district."""
        for within in dict.fromkeys((self.smallest, self.district)):
            found = [pair for name in names for pair in self._alike(name, ["compound", "building", "poi"], within)]
            if found:
                return list(
                    {row["place_id"]: (row, alike) for row, alike in sorted(found, key=lambda p: p[1])}.values()
                )
        return []

    # -- streets and doors ---------------------------------------------------------------------------------------------

    def _street_hits(self, streets: list[tuple[dict[str, Any], float]]) -> list[_Hit]:
        a = self.address
        plates: dict[int, list[dict[str, Any]]] = defaultdict(list)
        if a.number and streets:
            ids = [row["place_id"] for row, _ in streets]
            for plate in self.uow.gazetteer.plates_around(ids, int(a.number), at=self.at):
                plates[plate["place_id"]].append(plate)
        hits = []
        for row, alike in streets:
            hits += self._of_street(row, alike, plates[row["place_id"]])
        return hits

    def _of_street(self, row: dict[str, Any], alike: float, plates: list[dict[str, Any]]) -> list[_Hit]:
        a = self.address
        parts = self._region_parts(row["division_code"]) | {"road": (alike, WEIGHTS["road"])}
        unknown_place = {"place": (0.0, WEIGHTS["place"])} if a.place else {}
        unknown_building = {"building": (0.0, WEIGHTS["building"])} if a.building else {}
        hits = []
        if a.number:
            hits = self._doors(row, parts, plates)
            parts = parts | {"number": (0.0, WEIGHTS["number"])}
        if not any(hit.match_kind == "door" for hit in hits) and row["lon"] is not None:
            accuracy = max(30.0, 0.68 * row["radius_m"])
            parts = parts | unknown_place | unknown_building
            hits.append(_Hit("street", row["lon"], row["lat"], accuracy, row["label"], row["division_code"], parts))
        return hits

    def _doors(
        self, row: dict[str, Any], parts: dict[str, tuple[float, float]], plates: list[dict[str, Any]]
    ) -> list[_Hit]:
        a, number = self.address, int(self.address.number)
        # a number pins the place down: a name that is not known here takes little away
        beside = {"place": (0.0, 0.1)} if a.place else {}
        same = [plate for plate in plates if plate["what"] == "same"]
        exact = [plate for plate in same if plate["suffix"] == a.number_suffix]
        hits = []
        for plate in exact or same[:1]:
            value = 1.0 if plate["suffix"] == a.number_suffix else 0.85
            accuracy = plate["accuracy_m"] + (0.0 if value == 1.0 else 20.0)
            label = f"{row['label']}{plate['number']}{plate['suffix']}号"
            own = parts | self._region_parts(plate["division_code"]) | {"number": (value, WEIGHTS["number"])} | beside
            hits.append(_Hit("door", plate["lon"], plate["lat"], accuracy, label, plate["division_code"], own))
        if hits:
            return hits
        below = sorted((p for p in plates if p["what"] == "below"), key=lambda p: -p["number"])
        above = sorted((p for p in plates if p["what"] == "above"), key=lambda p: p["number"])
        label = f"{row['label']}{number}{a.number_suffix}号"
        if below and above:
            first, last = below[0], above[0]
            gap = distance_m(first["lon"], first["lat"], last["lon"], last["lat"])
            share = (number - first["number"]) / (last["number"] - first["number"])
            lon, lat = (first[k] + share * (last[k] - first[k]) for k in ("lon", "lat"))
            own = parts | {"number": (0.9, WEIGHTS["number"])} | beside
            hit = _Hit("door_interpolated", lon, lat, max(15.0, 0.3 * gap), label, row["division_code"], own)
            hit.between = (first, last, number, row["place_id"])
            return [hit]
        beyond = _beyond(below or above, number)
        if beyond is None:
            return []
        lon, lat, accuracy = beyond
        own = parts | {"number": (0.7, WEIGHTS["number"])} | beside
        return [_Hit("door_extrapolated", lon, lat, accuracy, label, row["division_code"], own)]

    def _crossings(self) -> list[_Hit]:
        first, second = (self._streets(fold_name(road)) for road in self.address.roads)
        likeness = {row["place_id"]: alike for row, alike in (*first, *second)}
        rows = {row["place_id"]: row for row, _ in (*first, *second)}
        hits = []
        if first and second:
            found = self.uow.gazetteer.crossings(
                [row["place_id"] for row, _ in first],
                [row["place_id"] for row, _ in second],
                reach_deg=_CROSSING_REACH_DEG,
            )
            for one in found:
                a, b = rows[one["first_id"]], rows[one["second_id"]]
                alike = (likeness[one["first_id"]] + likeness[one["second_id"]]) / 2
                parts = self._region_parts(a["division_code"]) | {"road": (alike, WEIGHTS["road"])}
                label = f"{a['label']}与{b['label']}交叉口"
                accuracy = _CROSSING_ACCURACY_M + one["apart_m"]
                hits.append(_Hit("crossing", one["lon"], one["lat"], accuracy, label, a["division_code"], parts))
        for streets in (first, second):
            for row, alike in streets[:5]:
                if row["lon"] is not None:
                    parts = self._region_parts(row["division_code"]) | {"road": (alike / 2, WEIGHTS["road"])}
                    accuracy = max(30.0, 0.68 * row["radius_m"])
                    hits.append(
                        _Hit("street", row["lon"], row["lat"], accuracy, row["label"], row["division_code"], parts)
                    )
        return hits

    # -- compounds, buildings, points of interest ----------------------------------------------------------------------

    def _place_hits(
        self, places: list[tuple[dict[str, Any], float]], streets: list[tuple[dict[str, Any], float]]
    ) -> list[_Hit]:
        places = [(row, alike) for row, alike in places if row["lon"] is not None]
        if not places:
            return []
        ids = [row["place_id"] for row, _ in places]
        away = self.uow.gazetteer.distances_m(ids, [row["place_id"] for row, _ in streets]) if streets else {}
        plates: dict[int, list[dict[str, Any]]] = defaultdict(list)
        number, suffix = plate_key(self.address.building)
        if self.address.building:
            for plate in self.uow.gazetteer.plates_around(ids, number, at=self.at):
                if plate["what"] == "same" and plate["suffix"] == suffix:
                    plates[plate["place_id"]].append(plate)
        hits = []
        for row, alike in places:
            hits += self._of_place(row, alike, bool(streets), away.get(row["place_id"]), plates[row["place_id"]])
        return hits

    def _of_place(
        self, row: dict[str, Any], alike: float, has_streets: bool, away_m: float | None, plates: list[dict[str, Any]]
    ) -> list[_Hit]:
        a = self.address
        parts = self._region_parts(row["division_code"]) | {"place": (alike, WEIGHTS["place"])}
        whole = fold_name(a.road + a.lane + a.named)
        is_whole = row["name"] == whole or row["name"] == fold_name(a.road + a.lane + a.place)
        if a.road and not is_whole:
            parts["road"] = _road_agreement(street_name(a), row["road"], has_streets, away_m)
        if a.number:
            parts["number"] = _number_agreement(int(a.number), street_name(a), row)
        kind = row["kind"] if row["kind"] != "building" else "building"
        if a.building and plates:
            found = []
            for plate in plates:
                label = f"{row['label']}{a.building}栋"
                own = parts | {"building": (1.0, WEIGHTS["building"])}
                found.append(
                    _Hit(
                        "building", plate["lon"], plate["lat"], plate["accuracy_m"], label, plate["division_code"], own
                    )
                )
            return found
        if a.building and row["name"] not in (fold_name(a.named), whole):
            parts["building"] = (0.2, WEIGHTS["building"])
        accuracy = max(20.0, row["radius_m"])
        return [_Hit(kind, row["lon"], row["lat"], accuracy, row["label"], row["division_code"], parts)]


def _beyond(ends: list[dict[str, Any]], number: int) -> tuple[float, float, float] | None:
    """Return lon, lat and accuracy (m) of a number beyond the last known ones of its side; None where it is too far beyond.

    The street goes on as it does between the last two plates; where there is one only, the place is that plate's.
    """
    if not ends or abs(number - ends[0]["number"]) > _MOST_NUMBERS_BEYOND:
        return None
    end, further = ends[0], abs(number - ends[0]["number"])
    if len(ends) == 1 or ends[1]["number"] == end["number"]:
        return end["lon"], end["lat"], 20.0 + _METRES_PER_NUMBER * further
    share = (number - end["number"]) / (end["number"] - ends[1]["number"])
    lon, lat = (end[k] + share * (end[k] - ends[1][k]) for k in ("lon", "lat"))
    away = distance_m(end["lon"], end["lat"], lon, lat)
    if away > _MOST_METRES_BEYOND:
        return None
    return lon, lat, 20.0 + 0.5 * away


def _road_agreement(road: str, known: str, has_streets: bool, away_m: float | None) -> tuple[float, float]:
    """Return agreement and weight of the street named, for a place whose own street is ``known`` ("": is not)."""
    weight = WEIGHTS["road"] / 2
    if known and name_similarity(road, known) >= _LEAST_ALIKE:
        return name_similarity(road, known), weight
    if away_m is not None:
        return (0.95 if away_m <= 150 else 0.8 if away_m <= 400 else 0.4), weight
    if known or has_streets:
        return 0.0, weight
    return 0.5, weight / 2


def _number_agreement(number: int, road: str, row: dict[str, Any]) -> tuple[float, float]:
    if row["number"] is None:
        return 0.5, WEIGHTS["number"] / 4
    same = row["number"] == number and name_similarity(road, row["road"]) >= _LEAST_ALIKE
    return (1.0, WEIGHTS["number"]) if same else (0.2, WEIGHTS["number"] / 2)


def _ranked(hits: list[_Hit], near: tuple[float, float] | None) -> list[tuple[_Hit, float]]:
    """Return the hits with their scores, best first; of hits at one spot the best only.

    The share of a hit among its rivals: exp(18 x agreement) of each, those elsewhere counting against it.
    """
    agreement = np.array([hit.agreement for hit in hits])
    lon, lat = np.array([hit.lon for hit in hits]), np.array([hit.lat for hit in hits])
    accuracy = np.array([hit.accuracy_m for hit in hits])
    weight = np.exp(_RIVALRY * (agreement - agreement.max()))
    if near is not None:
        away = np.array([distance_m(near[0], near[1], x, y) for x, y in zip(lon, lat, strict=True)])
        weight *= 0.02 + np.exp(-away / _NEAR_SCALE_M)
    degree = math.radians(1.0) * 6_371_008.8
    x, y = np.radians(lon) * 6_371_008.8 * math.cos(math.radians(float(lat.mean()))), lat * degree
    apart = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
    elsewhere = apart > np.maximum(_SAME_PLACE_M, np.maximum(accuracy[:, None], accuracy[None, :]))
    with np.errstate(invalid="ignore"):
        share = weight / (weight + elsewhere @ weight)
    score = agreement * np.nan_to_num(share)
    order = sorted(
        range(len(hits)), key=lambda i: (-round(float(score[i]), 6), accuracy[i], hits[i].label, lon[i], lat[i])
    )
    kept: list[int] = []
    for i in order:
        if not any(apart[i, k] <= 5.0 or (apart[i, k] <= accuracy[k] and hits[i].label == hits[k].label) for k in kept):
            kept.append(i)
    return [(hits[i], float(score[i])) for i in kept]


def _candidate(
    uow: UnitOfWork, lexicon: DivisionNames, address: Address, hit: _Hit, score: float, at: datetime
) -> Candidate | None:
    """Return a hit as a candidate, moved as the address says; None where it lies outside the scope."""
    lon, lat, accuracy = hit.lon, hit.lat, hit.accuracy_m
    if hit.between is not None:
        lon, lat = _along_street(uow, hit)
    if address.side and address.offset_m:
        lon, lat = moved(lon, lat, address.side, address.offset_m)
        accuracy += 0.3 * address.offset_m
    elif address.offset_m:
        accuracy += address.offset_m
    elif address.side or address.relation in ("near", "opposite"):
        accuracy += 30.0
    lon, lat = round(lon, STORAGE_DECIMALS), round(lat, STORAGE_DECIMALS)
    community = hit.division if len(hit.division) == 12 and not address.offset_m else None
    if community is None and hit.match_kind not in ("street_office", "district", "city", "province"):
        community = uow.divisions.at(lon, lat, at, "community")
    code = community or hit.division
    if uow.scope and not code.startswith(uow.scope) and not (len(code) < 12 and uow.scope.startswith(code)):
        return None
    parts = {name: round(value, 3) for name, (value, _) in hit.parts.items()}
    words = "".join(lexicon.labels(code, at)) + hit.label
    return Candidate(
        lon=lon,
        lat=lat,
        score=round(score, 4),
        accuracy_m=round(accuracy, 1),
        match_kind=hit.match_kind,
        place_kind=PLACE_KINDS[hit.match_kind],
        address=words,
        district_code=code[:6] if len(code) >= 6 else None,
        community_code=community,
        parts=parts,
    )


def _along_street(uow: UnitOfWork, hit: _Hit) -> tuple[float, float]:
    """Return where a number between two known plates should be: along the street, as far off it as they are.

    Where the street is not drawn, or its pieces do not join between the plates, it is on the straight line.
    """
    assert hit.between is not None
    below, above, number, place_id = hit.between
    share = (number - below["number"]) / (above["number"] - below["number"])
    line = uow.gazetteer.street_line(place_id)
    if line is None:
        return hit.lon, hit.lat
    squeeze = math.cos(math.radians(hit.lat))
    doors = [shapely.Point(p["lon"] * squeeze, p["lat"]) for p in (below, above)]
    pieces = shapely.get_parts(shapely.transform(line, lambda xy: xy * [squeeze, 1.0]))
    nearest = [int(np.argmin(shapely.distance(pieces, door))) for door in doors]
    if nearest[0] != nearest[1]:
        return hit.lon, hit.lat
    piece = pieces[nearest[0]]
    first, last = (piece.project(door) for door in doors)
    spot = piece.interpolate(first + share * (last - first))
    feet = [piece.interpolate(at) for at in (first, last)]
    off_x, off_y = ([door.x - foot.x, door.y - foot.y] for door, foot in zip(doors, feet, strict=True))
    x = spot.x + off_x[0] * (1 - share) + off_y[0] * share
    y = spot.y + off_x[1] * (1 - share) + off_y[1] * share
    return x / squeeze, y
