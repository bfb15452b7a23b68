"""Streets, buildings and facilities out of an OpenStreetMap extract (PBF).

Streets are split wherever two of them share a node, so that lines which meet share an end point; ways that cross without
sharing a node (bridges, tunnels) stay apart. Positions are WGS 84, longitude latitude.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import osmium
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridsvc.circle.walk_rules import (
    OVERPASS,
    SIGNAL_CROSSING,
    UNDERPASS,
    is_foot_way,
    is_signal_crossing,
    is_way_walkable,
    passage_of_way,
)
from gridsvc.errors import FileUnreadableError
from gridsvc.progress import SILENT, Progress
from gridsvc.resources import content_dir

# building value -> use of a residence; every other building is "public" when it serves the public, else "residential"
_USES: dict[str, str] = {
    **dict.fromkeys(("apartments", "residential", "house", "detached", "terrace", "dormitory", "semidetached_house", "bungalow", "yes"), "residential"),
    **dict.fromkeys(("commercial", "retail", "office", "supermarket", "kiosk", "hotel"), "commercial"),
    **dict.fromkeys(("school", "kindergarten", "college", "university"), "school"),
    **dict.fromkeys(("industrial", "warehouse", "factory", "manufacture"), "industrial"),
}  # fmt: skip
_M_PER_DEGREE = 111_195.0  # of latitude, on a sphere
_ONE_CROSSING_M = 30.0  # our choice: the width of a great street
# a roof without walls may span a street; a grid border may pass under it
_NOT_HOUSES = frozenset({"roof", "entrance"})


@dataclass(slots=True)
class OsmExtract:
    """What was found in an extract.

    Attributes
    ----------
    streets
        street_code, name, street_class, layer, is_walkable, passage and passage_share (``circle.walk_rules``: what a walk passes and
        which share of it lies on this piece), geometry (LineString).
    residences
        residence_code, name, use, floors, households, population, geometry (Polygon).
    facilities
        facility_code, kind_code, name, address, geometry (Point).
    counts
        ``highway_ways``, ``street_pieces``, ``building_ways``, ``building_relations``, ``buildings``, ``buildings_incomplete`` (their nodes lie
        beyond the extract), ``facilities``.
    """

    streets: pd.DataFrame
    residences: pd.DataFrame
    facilities: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def read_osm(path: Path | str, progress: Progress = SILENT) -> OsmExtract:
    """Return streets, buildings and facilities of an OSM file (``.osm.pbf``, ``.osm``).

    Raises
    ------
    FileUnreadableError
        When the file is missing, empty or not an OSM file, or holds nothing of the three.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size == 0:
        raise FileUnreadableError(f"{path} is missing or empty.", path=str(path))
    counts: Counter[str] = Counter()
    try:
        progress.start("reading streets")
        streets = _streets(path, counts)
        progress.start("reading buildings and facilities")
        residences, facilities = _buildings_and_facilities(path, counts)
    except (RuntimeError, ValueError) as wrong:
        raise FileUnreadableError(f"{path.name} is not a readable OSM file: {wrong}.", path=str(path)) from wrong
    counts.update(street_pieces=len(streets), buildings=len(residences), facilities=len(facilities))
    if not counts.total():
        raise FileUnreadableError(f"{path.name} holds no street, building or facility.", path=str(path))
    return OsmExtract(streets, residences, facilities, dict(counts))


def _name(tags: Any) -> str:
    return tags.get("name:zh") or tags.get("name") or ""


def _layer(tags: Any) -> int:
    try:
        return int(tags.get("layer", "0"))
    except ValueError:
        return 0


@dataclass(frozen=True, slots=True)
class _Way:
    """A way with what its tags say, its nodes and their positions (longitude, latitude)."""

    code: str
    name: str
    street_class: str
    layer: int
    is_walkable: bool
    passage: str
    is_foot_way: bool
    node_ids: np.ndarray
    xy: np.ndarray


def _streets(path: Path, counts: Counter[str]) -> pd.DataFrame:
    ways: list[_Way] = []
    signals: list[int] = []
    reader = osmium.FileProcessor(path).with_locations().with_filter(osmium.filter.KeyFilter("highway"))
    item: Any  # a node, way, relation or area; which one it is only its methods tell
    for item in reader:  # one Python step per way: the library hands ways over one at a time
        if item.is_node() and is_signal_crossing(item.tags):
            signals.append(item.id)
        if not item.is_way():
            continue
        counts["highway_ways"] += 1
        nodes = [(n.ref, n.lon, n.lat) for n in item.nodes if n.location.valid()]
        if len(nodes) > 1:
            ways.append(_way(item, nodes))
    frame = _split_at_shared_nodes(ways, np.array(signals, dtype=np.int64))
    counts["street_pieces_not_walkable"] = int((~frame["is_walkable"].to_numpy(dtype=bool)).sum())
    counts["signal_crossings"] = len(signals)
    return frame


def _way(item: Any, nodes: list[tuple[int, float, float]]) -> _Way:
    tags = dict(item.tags)
    return _Way(
        code=f"w{item.id}",
        name=_name(tags),
        street_class=tags["highway"],
        layer=_layer(tags),
        is_walkable=is_way_walkable(tags),
        passage=passage_of_way(tags),
        is_foot_way=is_foot_way(tags),
        node_ids=np.array([n[0] for n in nodes], dtype=np.int64),
        xy=np.array([n[1:] for n in nodes], dtype=np.float64),
    )


_STREET_COLUMNS = ("street_code", "name", "street_class", "layer", "is_walkable", "passage", "passage_share")


def _split_at_shared_nodes(ways: list[_Way], signals: np.ndarray) -> pd.DataFrame:
    if not ways:
        return pd.DataFrame({**{name: [] for name in _STREET_COLUMNS}, "geometry": np.empty(0, dtype=object)})
    every_id = np.concatenate([way.node_ids for way in ways])
    _, inverse, uses = np.unique(every_id, return_inverse=True, return_counts=True)
    shared, has_signal = uses[inverse] > 1, np.isin(every_id, signals)
    rows, pieces, start = [], [], 0
    whole = _passage_lengths(ways)
    for number, way in enumerate(ways):
        here = slice(start, start + len(way.node_ids))
        start = here.stop
        bounds = np.unique(np.concatenate([[0], np.flatnonzero(shared[here]), [len(way.node_ids) - 1]]))
        passages = _passages(way, bounds, has_signal[here], whole[number])
        for k, (first, last) in enumerate(itertools.pairwise(bounds), 1):
            piece = way.xy[first : last + 1]
            if np.any(piece != piece[0]):  # two nodes on one spot make no line
                about = (f"{way.code}-{k}", way.name, way.street_class, way.layer, way.is_walkable)
                rows.append((*about, *passages[k - 1]))
                pieces.append(shapely.LineString(piece))
    frame = pd.DataFrame(rows, columns=list(_STREET_COLUMNS))
    frame["geometry"] = np.array(pieces, dtype=object)
    return frame


def _walked(way: _Way) -> np.ndarray:
    """Return how far along a way each of its nodes lies, in degrees of latitude: good for shares."""
    step = np.hypot(*(np.diff(way.xy, axis=0) * (np.cos(np.radians(way.xy[0, 1])), 1.0)).T)
    return np.concatenate(([0.0], np.cumsum(step)))


def _passage_lengths(ways: list[_Way]) -> np.ndarray:
    """Return how long the passage is that each way is part of: overpasses (underpasses) whose ways meet are one."""
    length = np.array([_walked(way)[-1] if way.passage else 0.0 for way in ways])
    for passage in (OVERPASS, UNDERPASS):
        here = np.array([number for number, way in enumerate(ways) if way.passage == passage], dtype=np.int64)
        if not len(here):
            continue
        counts = [len(ways[number].node_ids) for number in here]
        _, node = np.unique(np.concatenate([ways[number].node_ids for number in here]), return_inverse=True)
        way = np.repeat(np.arange(len(here)), counts)
        size = len(here) + int(node.max()) + 1
        meets = coo_array((np.ones(len(node)), (way, len(here) + node)), shape=(size, size))
        _, label = connected_components(meets, directed=False)
        whole = np.bincount(label[: len(here)], weights=length[here])
        length[here] = whole[label[: len(here)]]
    return length


def _passages(way: _Way, bounds: np.ndarray, has_signal: np.ndarray, whole: float) -> list[tuple[str, float]]:
    """Return what each piece of a way passes, and which share of it.

    A passage is shared by its pieces by length. A crossing that is only a node of a foot way counts half for the piece before
    and half for the one behind it; nodes within 30 m of each other (lanes, tracks) are one crossing.
    """
    if way.passage:
        shares = np.diff(_walked(way)[bounds]) / (whole or 1.0)
        return [(way.passage, float(share)) for share in shares]
    if not way.is_foot_way or not has_signal.any():
        return [("", 0.0)] * (len(bounds) - 1)
    nodes = np.flatnonzero(has_signal)
    crossing = np.concatenate(([0], np.cumsum(np.diff(_walked(way)[nodes]) * _M_PER_DEGREE > _ONE_CROSSING_M)))
    weight = np.zeros(len(has_signal))
    weight[nodes] = 1.0 / np.bincount(crossing)[crossing]
    shares = [
        weight[first + 1 : last].sum() + (weight[first] + weight[last]) / 2
        for first, last in itertools.pairwise(bounds)
    ]
    return [(SIGNAL_CROSSING if share else "", float(share)) for share in shares]


def read_facility_tags() -> dict[tuple[str, str], str]:
    """Return ``(OSM key, value) -> facility kind code`` in table order, from ``data/osm_facility_kinds.csv``."""
    with (content_dir("data") / "osm_facility_kinds.csv").open(encoding="utf-8", newline="") as table:
        return {(row["key"], row["value"]): row["kind_code"] for row in csv.DictReader(table)}


def _kind_of(tags: Any, kinds: dict[tuple[str, str], str], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = tags.get(key)
        if value is not None and (key, value) in kinds:
            return kinds[key, value]
    return None


def _buildings_and_facilities(path: Path, counts: Counter[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    kinds = read_facility_tags()
    keys = tuple(dict.fromkeys(key for key, _ in kinds))
    buildings: list[tuple[Any, ...]] = []
    facilities: list[tuple[Any, ...]] = []
    complete = 0
    wkb = osmium.geom.WKBFactory()
    reader = osmium.FileProcessor(path).with_areas().with_filter(osmium.filter.KeyFilter("building", *keys))
    item: Any  # as in `_streets`
    for item in reader:
        tags = item.tags
        is_building = tags.get("building", "no") != "no"
        is_house = is_building and tags["building"] not in _NOT_HOUSES
        if item.is_area():
            kind = _kind_of(tags, kinds, keys)
            if not is_building and kind is None:
                continue
            complete += is_building
            code = f"{'w' if item.from_way() else 'r'}{item.orig_id()}"
            outline = shapely.from_wkb(wkb.create_multipolygon(item))
            if is_house:
                buildings.extend(_building_rows(code, tags, outline))
            if kind is not None:
                facilities.append(_facility_row(code, kind, tags, shapely.point_on_surface(outline)))
        elif item.is_node() and (kind := _kind_of(tags, kinds, keys)) is not None:
            facilities.append(_facility_row(f"n{item.id}", kind, tags, shapely.Point(item.lon, item.lat)))
        elif is_building and item.is_way():
            counts["building_ways"] += 1
        elif is_building and item.is_relation():
            counts["building_relations"] += 1
    counts["buildings_incomplete"] = counts["building_ways"] + counts["building_relations"] - complete
    return (
        _frame(buildings, ["residence_code", "name", "use", "floors", "households", "population", "geometry"]),
        _frame(facilities, ["facility_code", "kind_code", "name", "address", "geometry"]),
    )


def _frame(rows: list[tuple[Any, ...]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame([row[:-1] for row in rows], columns=columns[:-1])
    geometry = np.empty(len(rows), dtype=object)
    geometry[:] = [row[-1] for row in rows]
    frame["geometry"] = geometry
    return frame


def _building_rows(code: str, tags: Any, outline: shapely.MultiPolygon) -> Iterator[tuple[Any, ...]]:
    parts = shapely.get_parts(outline)
    levels = tags.get("building:levels", "")
    floors = int(levels) if levels.isdecimal() else None
    for k, part in enumerate(parts, 1):
        own = code if len(parts) == 1 else f"{code}-{k}"
        # OSM does not say how many households live there
        yield own, _name(tags), _USES.get(tags["building"], "public"), floors, 0, 0, part


def _facility_row(code: str, kind: str, tags: Any, point: shapely.Point) -> tuple[Any, ...]:
    address = " ".join(part for part in (tags.get("addr:street"), tags.get("addr:housenumber")) if part)
    return code, kind, _name(tags), tags.get("addr:full") or address, point
