"""The gazetteer: every name and number that an address may mean, derived from what the database holds.

Divisions, streets, buildings, facilities and imported addresses become *places* (what has a name) and *plates* (a number
at a place). It is built whole, in one transaction, and is never edited; decision 0016 says why.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridsvc.errors import ForbiddenError
from gridsvc.geo import projections
from gridsvc.geo.addresses import Address, fold_name, normalise, parse_below_divisions
from gridsvc.progress import SILENT, Progress
from gridsvc.store.gazetteer import LONG_AGO, GazetteerState
from gridsvc.store.unit_of_work import UnitOfWork

# kinds of import after which the gazetteer is behind
SOURCES = frozenset({"divisions", "streets", "residences", "facilities", "addresses", "osm"})
# pieces of one name this near to each other are one street. Unit: m
SAME_STREET_M = 300.0
# a plate belongs to a street of its name at most this far away; a house may lie deep in its block. Unit: m
PLATE_REACH_M = 1_000.0
# how well a plate's point says where its door is, by where it comes from. Unit: m. Our choice
PLATE_ACCURACY_M = {"addresses": 10.0, "residences": 20.0, "facilities": 25.0}
SMALLEST_RADIUS_M = 15.0
# plates of one number that lie further from their middle contradict one another, and none is kept. Unit: m
MOST_SPREAD_M = 150.0

_COMPOUND_TAIL = re.compile(r"(?:小区|花园|公寓|家园|新村|新城|苑|园|庭|府|里|坊|宿舍|大院)$")
_PLATE_TEXT = re.compile(r"(?P<before>\D*)(?P<figures>\d{0,9})(?P<after>.*)")
_PLACE_COLUMNS = (
    "place_id", "division_code", "kind", "name", "label", "road", "number", "radius_m", "line", "valid_from", "valid_to", "geometry",
)  # fmt: skip
_PLATE_COLUMNS = ("place_id", "number", "suffix", "division_code", "accuracy_m", "valid_from", "valid_to", "geometry")


@dataclass(frozen=True, slots=True)
class GazetteerBuilt:
    """What a build holds: places by kind, plates, districts read; streets and rows outside every district are in none."""

    build_id: str
    districts: int
    places: dict[str, int]
    plates: int


def gazetteer_state(uow: UnitOfWork) -> GazetteerState:
    """Return the latest build and whether a source changed after it."""
    return uow.gazetteer.state()


def refresh_gazetteer(uow: UnitOfWork, *, at: datetime, progress: Progress = SILENT) -> GazetteerBuilt | None:
    """Build the gazetteer when a source changed since the last build or there is none; return None when it is up to date."""
    state = uow.gazetteer.state()
    if state.build_id is not None and not state.is_behind:
        return None
    return build_gazetteer(uow, at=at, progress=progress)


def build_gazetteer(uow: UnitOfWork, *, at: datetime, progress: Progress = SILENT) -> GazetteerBuilt:
    """Build the gazetteer anew from its sources, all instants they are dated for. The caller commits.

    Readers see the former gazetteer until then. The same sources give the same rows.

    Parameters
    ----------
    at
        The present instant, noted with the build.

    Raises
    ------
    ForbiddenError
        When the unit of work is limited to a part of the city.
    """
    if uow.scope:
        raise ForbiddenError("The gazetteer is built for all divisions at once.", hint="Use a scope of everything.")
    uow.gazetteer.begin_build()
    ever = uow.gazetteer.divisions_ever()
    counts: dict[str, int] = defaultdict(int, division=store_divisions(uow, ever))
    drawn = _drawn_districts(ever)
    uow.gazetteer.drop_districts_except([code for code, _ in drawn])
    progress.start("build gazetteer", len(drawn))
    for code, boundary in drawn:
        district = DistrictNames(code, boundary, frozenset(fold_name(name) for name in ever["name"]))
        district.add_streets(uow.streets.list(boundary=boundary))
        sources = uow.gazetteer.sources(code, boundary)
        district.add_addresses(sources["addresses"])
        district.add_residences(sources["residences"])
        district.add_facilities(sources["facilities"])
        for kind, count in district.store(uow).items():
            counts[kind] += count
        progress.advance()
    progress.start("index gazetteer")
    plates = counts.pop("plate", 0)
    totals = {"places": dict(sorted(counts.items())), "plates": plates, "districts": len(drawn)}
    build_id = uow.gazetteer.finish_build(at, totals)
    return GazetteerBuilt(build_id, len(drawn), dict(sorted(counts.items())), plates)


def store_divisions(uow: UnitOfWork, ever: gpd.GeoDataFrame) -> int:
    """Put every version of every division into the gazetteer and return how many there are."""
    rows = _regions(ever)
    uow.gazetteer.replace("", _frame(_PLACE_COLUMNS, rows), _frame(_PLATE_COLUMNS, []))
    return len(rows)


def _regions(ever: gpd.GeoDataFrame) -> list[tuple[Any, ...]]:
    drawn = ~(shapely.is_missing(ever.geometry.to_numpy()) | shapely.is_empty(ever.geometry.to_numpy()))
    points = np.full(len(ever), None, dtype=object)
    points[drawn] = projections.quantise(shapely.point_on_surface(ever.geometry.to_numpy()[drawn]))
    areas = np.zeros(len(ever))
    areas[drawn] = projections.area_m2(ever.geometry.to_numpy()[drawn])
    rows = []
    for i, one in enumerate(ever.itertuples(index=False)):
        name = fold_name(one.name)
        key = _place_id("division", one.code, name, one.valid_from)
        rows.append((key, one.code, "division", name, one.name, "", None, float(np.sqrt(areas[i] / np.pi)), None,
                     one.valid_from, _end(one.valid_to), points[i]))  # fmt: skip
    return rows


def _drawn_districts(ever: gpd.GeoDataFrame) -> list[tuple[str, shapely.Geometry]]:
    """Return the newest boundary of every district that has one, by code."""
    districts = ever[(ever["level"] == "district") & ~shapely.is_missing(ever.geometry.to_numpy())]
    newest = districts.drop_duplicates("code", keep="last")
    return list(zip(newest["code"], newest.geometry, strict=True))


def _end(value: Any) -> Any:
    return None if value is pd.NaT or value is None else value


def _place_id(kind: str, division: str, name: str, since: Any, where: str = "") -> int:
    """Return a number for a place made of what it is, so that it is the same in the next build; 63 bits."""
    text = "\x1f".join((kind, division, name, str(since), where))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def _frame(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> gpd.GeoDataFrame:
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    data: dict[str, Any] = {}
    for name, column in zip(columns, values, strict=True):
        if name in ("geometry", "line"):
            shapes = np.empty(len(column), dtype=object)
            shapes[:] = column
            data[name] = shapes
        elif name == "number":
            data[name] = pd.array(column, dtype="Int64")
        elif name in ("valid_from", "valid_to"):
            data[name] = pd.to_datetime(pd.Series(column, dtype=object), utc=True)
        else:
            data[name] = list(column)
    return gpd.GeoDataFrame(data, geometry="geometry", crs="EPSG:4490")


@dataclass(slots=True)
class _Street:
    """A street of a district: its pieces in metres where it is drawn, and the plates named after it."""

    name: str
    label: str
    line: shapely.MultiLineString | None
    key: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A position (metres), the community it is in ("": unknown), how well it is known, and since when until when."""

    xy: tuple[float, float]
    community: str
    accuracy_m: float
    since: Any = LONG_AGO
    until: Any = None


@dataclass(frozen=True, slots=True)
class _Plate:
    number: int
    suffix: str
    spot: Spot


@dataclass(slots=True)
class _Compound:
    label: str
    is_compound: bool
    xy: list[tuple[float, float]] = field(default_factory=list)
    plates: list[_Plate] = field(default_factory=list)
    road: str = ""
    number: int | None = None


class DistrictNames:
    """What is gathered of one district. Positions are kept in metres of the district's Gauss-Kruger zone."""

    def __init__(self, code: str, boundary: shapely.Geometry, division_names: frozenset[str]) -> None:
        self.code = code
        self.boundary = boundary
        self.epsg = projections.zone_of([boundary])
        self.division_names = division_names
        self.longest_name = max(map(len, division_names), default=0)
        self.streets: dict[str, list[_Street]] = defaultdict(list)
        self.street_plates: dict[str, list[_Plate]] = defaultdict(list)
        self.compounds: dict[tuple[str, str], _Compound] = {}
        self.points: dict[int, tuple[str, str, str, int | None, Spot]] = {}
        # positions of the plates of streets that are not drawn, by street
        self.unlined: dict[int, np.ndarray] = {}
        self._parsed: dict[str, Address] = {}

    # -- gathering -----------------------------------------------------------------------------------------------------

    def add_streets(self, streets: gpd.GeoDataFrame) -> None:
        """Take the named streets whose middle lies in the district, joined by name and nearness."""
        named = streets[streets["name"].notna() & (streets["name"] != "")]
        if named.empty:
            return
        middle = shapely.line_interpolate_point(named.geometry.to_numpy(), 0.5, normalized=True)
        shapely.prepare(self.boundary)
        named = named[shapely.intersects(self.boundary, middle)]
        lines = projections.to_metric(named.geometry.to_numpy(), self.epsg)
        by_name: dict[str, list[int]] = defaultdict(list)
        labels = named["name"].tolist()
        for i, label in enumerate(labels):
            by_name[fold_name(label)].append(i)
        for name, members in sorted(by_name.items()):
            if not name:
                continue
            for part in _near_parts(lines[members]):
                own = np.array(members)[part]
                merged = shapely.line_merge(shapely.multilinestrings(lines[own]))
                line = shapely.MultiLineString(shapely.get_parts(merged).tolist())
                where = "{:.0f} {:.0f}".format(*line.bounds[:2])
                key = _place_id("street", self.code, name, LONG_AGO, where)
                self.streets[name].append(_Street(name, labels[own[0]], line, key))

    def add_addresses(self, frame: gpd.GeoDataFrame) -> None:
        """Take imported addresses: door plates, building plates, named places."""
        for row, spot in zip(frame.itertuples(index=False), self._spots(frame, "addresses"), strict=True):
            address = self._parse(row.address)
            street = street_name(address)
            if street and address.number:
                self.add_door(street, int(address.number), address.number_suffix, spot)
            for label in dict.fromkeys(filter(None, (row.name, address.place))):
                place = address if label == address.place else self._parse(label)
                if place.building and place.place:
                    self._building(place.place, place.building, spot, address)
                elif label == address.place and _COMPOUND_TAIL.search(fold_name(label)):
                    self._building(label, "", spot, address)
                else:
                    self._point(label, spot, address)

    def add_residences(self, frame: gpd.GeoDataFrame) -> None:
        """Take named buildings: plates of the compound in their name, else buildings of that name."""
        for row, spot in zip(frame.itertuples(index=False), self._spots(frame, "residences"), strict=True):
            if not isinstance(row.name, str) or not row.name:
                continue
            address = self._parse(row.name)
            street = street_name(address)
            if street and address.number and not address.place:
                self.add_door(street, int(address.number), address.number_suffix, spot)
            else:
                self._building(street + address.place or row.name, address.building, spot, None)

    def add_facilities(self, frame: gpd.GeoDataFrame) -> None:
        """Take facilities: points of interest by name, and the door plate of their address where that is one."""
        for row, spot in zip(frame.itertuples(index=False), self._spots(frame, "facilities"), strict=True):
            address = self._parse(row.address) if isinstance(row.address, str) else Address("")
            street = street_name(address)
            if street and address.number:
                self.add_door(street, int(address.number), address.number_suffix, spot)
            if isinstance(row.name, str) and row.name:
                self._point(row.name, spot, address)

    def add_door(self, street: str, number: int, suffix: str, spot: Spot) -> None:
        """Take one door plate of a street (folded name)."""
        self.street_plates[street].append(_Plate(number, suffix, spot))

    def _building(self, label: str, building: str, spot: Spot, address: Address | None) -> None:
        name = fold_name(label)
        if not name:
            return
        key = (name, spot.community or self.code)
        compound = self.compounds.setdefault(key, _Compound(label, bool(building)))
        compound.is_compound |= bool(building) or bool(_COMPOUND_TAIL.search(name))
        compound.xy.append(spot.xy)
        if address is not None and not compound.road:
            compound.road, compound.number = street_name(address), int(address.number) if address.number else None
        if building:
            compound.plates.append(_Plate(*plate_key(building), spot))

    def _point(self, label: str, spot: Spot, address: Address) -> None:
        name = fold_name(label)
        if not name:
            return
        where = f"{spot.xy[0]:.0f} {spot.xy[1]:.0f}"
        key = _place_id("poi", self.code, name, spot.since, where)
        number = int(address.number) if address.number else None
        self.points.setdefault(key, (name, label, street_name(address), number, spot))

    def _parse(self, text: str) -> Address:
        """Return a register's address without the divisions it begins with; each text once."""
        known = self._parsed.get(text)
        if known is None:
            left = normalise(text)
            while beginning := self._division_at_front(left):
                left = left[len(beginning) :]
            known = self._parsed[text] = parse_below_divisions(left)
        return known

    def _division_at_front(self, text: str) -> str:
        for length in range(min(self.longest_name, len(text) - 1), 1, -1):
            if text[:length] in self.division_names:
                return text[:length]
        return ""

    def _spots(self, frame: gpd.GeoDataFrame, source: str) -> list[Spot]:
        if frame.empty:
            return []
        xy = shapely.get_coordinates(projections.to_metric(frame.geometry.to_numpy(), self.epsg))
        positions = list(map(tuple, xy.tolist()))
        communities = [code if isinstance(code, str) else "" for code in frame["community_code"]]
        accuracy = PLATE_ACCURACY_M[source]
        if "valid_from" not in frame.columns:
            return [Spot(*known, accuracy) for known in zip(positions, communities, strict=True)]
        dates = zip(positions, communities, frame["valid_from"], frame["valid_to"], strict=True)
        return [Spot(where, code, accuracy, since, _end(until)) for where, code, since, until in dates]

    # -- rows ----------------------------------------------------------------------------------------------------------

    def store(self, uow: UnitOfWork) -> dict[str, int]:
        """Put what was gathered in place of what the gazetteer had of the district; return rows by kind, plates as ``plate``."""
        places, plates = self.rows()
        uow.gazetteer.replace(self.code, _frame(_PLACE_COLUMNS, places), _frame(_PLATE_COLUMNS, plates))
        counts: dict[str, int] = defaultdict(int, plate=len(plates))
        for row in places:
            counts[row[2]] += 1
        return dict(counts)

    def rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return the rows of places and of plates, ordered, in EPSG:4490."""
        places, plates = self._street_rows()
        more, more_plates = self._compound_rows()
        places += more
        plates += more_plates
        for key, (name, label, road, number, spot) in self.points.items():
            division = spot.community or self.code
            places.append(
                (
                    key,
                    division,
                    "poi",
                    name,
                    label,
                    road,
                    number,
                    SMALLEST_RADIUS_M,
                    None,
                    spot.since,
                    spot.until,
                    spot.xy,
                )
            )
        unique = {row[0]: row for row in places}
        return self._in_storage(sorted(unique.values(), key=lambda row: row[0])), self._in_storage(_one_each(plates))

    def _street_rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        plates: list[tuple[Any, ...]] = []
        for name, found in sorted(self.street_plates.items()):
            owners = self._owners(name, found)
            plates += [self._plate_row(key, plate) for plate, key in zip(found, owners, strict=True)]
        places = []
        for name, streets in sorted(self.streets.items()):
            for street in streets:
                places.append(self._street_row(name, street))
        return places, plates

    def _plate_row(self, key: int, plate: _Plate) -> tuple[Any, ...]:
        spot = plate.spot
        division = spot.community or self.code
        return (key, plate.number, plate.suffix, division, spot.accuracy_m, spot.since, spot.until, spot.xy)

    def _owners(self, name: str, plates: list[_Plate]) -> list[int]:
        """Return the street of each plate: the nearest of its name; where none is near, one made of its plates."""
        points = shapely.points([plate.spot.xy for plate in plates])
        drawn = [street for street in self.streets.get(name, []) if street.line is not None]
        owners = np.zeros(len(plates), dtype=np.int64)
        far = np.ones(len(plates), dtype=bool)
        if drawn:
            away = np.stack([shapely.distance(street.line, points) for street in drawn])
            far = away.min(axis=0) > PLATE_REACH_M
            owners = np.array([street.key for street in drawn])[away.argmin(axis=0)]
        if far.any():
            key = _place_id("street", self.code, name, LONG_AGO, "plates")
            owners[far] = key
            self.streets[name].append(_Street(name, name, None, key))
            self.unlined[key] = shapely.get_coordinates(points[far])
        return owners.tolist()

    def _street_row(self, name: str, street: _Street) -> tuple[Any, ...]:
        if street.line is None:
            xy = self.unlined[street.key]
            middle = np.median(xy, axis=0)
            point, radius = _nearest(xy, middle), float(np.hypot(*(xy - middle).T).max())
        else:
            near = shapely.shortest_line(street.line, street.line.centroid)
            point = shapely.get_coordinates(near)[0]
            low_x, low_y, high_x, high_y = street.line.bounds
            radius = float(np.hypot(high_x - low_x, high_y - low_y)) / 2
        return (street.key, self.code, "street", name, street.label, "", None, max(radius, SMALLEST_RADIUS_M), street.line,
                LONG_AGO, None, tuple(point))  # fmt: skip

    def _compound_rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        places, plates = [], []
        for (name, division), compound in sorted(self.compounds.items()):
            xy = np.array(compound.xy)
            middle = np.median(xy, axis=0)
            radius = max(float(np.hypot(*(xy - middle).T).max()) + SMALLEST_RADIUS_M, SMALLEST_RADIUS_M)
            kind = "compound" if compound.is_compound else "building"
            key = _place_id(kind, division, name, LONG_AGO)
            places.append((key, division, kind, name, compound.label, compound.road, compound.number, radius, None,
                           LONG_AGO, None, tuple(_nearest(xy, middle))))  # fmt: skip
            plates += [self._plate_row(key, plate) for plate in compound.plates]
        return places, plates

    def _in_storage(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return rows whose last value, (x, y) in metres, is a point in EPSG:4490, and whose lines are there, too."""
        if not rows:
            return []
        points = projections.to_storage(shapely.points([row[-1] for row in rows]), self.epsg)
        moved = [(*row[:-1], point) for row, point in zip(rows, points, strict=True)]
        if len(rows[0]) != len(_PLACE_COLUMNS):
            return moved
        at = _PLACE_COLUMNS.index("line")
        lined = [i for i, row in enumerate(moved) if row[at] is not None]
        if lined:
            drawn = np.array([moved[i][at] for i in lined], dtype=object)
            for i, line in zip(lined, projections.to_storage(drawn, self.epsg), strict=True):
                moved[i] = (*moved[i][:at], line, *moved[i][at + 1 :])
        return moved


def street_name(address: Address) -> str:
    """Return the folded name of the street whose numbers an address counts: a named lane itself, 1234弄 with its road."""
    if address.lane and not address.lane[0].isdigit():
        return fold_name(address.lane)
    return fold_name(address.road + address.lane)


def plate_key(text: str) -> tuple[int, str]:
    """Return the number of a plate and what tells its like apart: 3 is (3, ""), A3 is (3, "A"), 东 is (0, "东")."""
    match = _PLATE_TEXT.fullmatch(text)
    assert match is not None, "the pattern takes every text"
    return int(match["figures"] or 0), match["before"] + match["after"]


def _nearest(xy: np.ndarray, middle: np.ndarray) -> np.ndarray:
    return xy[int(np.argmin(np.hypot(*(xy - middle).T)))]


def _near_parts(lines: np.ndarray) -> list[np.ndarray]:
    """Return the groups of lines that hang together within `SAME_STREET_M`, as arrays of positions."""
    if len(lines) == 1:
        return [np.array([0])]
    one, other = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=SAME_STREET_M)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(lines), len(lines)))
    count, group = connected_components(graph, directed=False)
    return [np.flatnonzero(group == k) for k in range(count)]


def _one_each(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return one row per place, number, suffix and beginning: the most accurate; of equals the one in the middle.

    Equals that lie apart by more than `MOST_SPREAD_M` say nothing and are left out.
    """
    grouped: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        grouped[row[0], row[1], row[2], row[5]].append(row)
    chosen = []
    for key in sorted(grouped, key=str):
        best = min(row[4] for row in grouped[key])
        same = [row for row in grouped[key] if row[4] == best]
        if len(same) > 1:
            xy = np.array([row[-1] for row in same])
            middle = np.median(xy, axis=0)
            nearest = int(np.argmin(np.hypot(*(xy - middle).T)))
            spread = float(np.hypot(*(xy - middle).T).max())
            if spread > MOST_SPREAD_M:
                continue
            same = [(*same[nearest][:4], max(best, spread), *same[nearest][5:])]
        chosen.append(same[0])
    return chosen
