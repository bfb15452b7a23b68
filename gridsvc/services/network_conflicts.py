"""Stored nets held against each other, and the grids that cross kept with the land they share: a web request only reads them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.geo.projections import STORAGE_EPSG, to_storage
from gridsvc.networks.comparison import Comparison, compare
from gridsvc.networks.overlay import TOLERANCE_M
from gridsvc.progress import SILENT, Progress
from gridsvc.services.browsing import Page
from gridsvc.services.comparing_networks import NetworkReport, comparison_report, crossing_pairs
from gridsvc.services.network_sources import SourceNets, StoredSource, read_networks
from gridsvc.store.repository import like_pattern
from gridsvc.store.unit_of_work import UnitOfWork

_NAMED = uuid.uuid5(uuid.NAMESPACE_URL, "urn:gridsvc:network-comparison")


def compare_stored(
    uow: UnitOfWork,
    sources: Sequence[StoredSource],
    *,
    now: datetime,
    actor: str,
    tolerance_m: float = TOLERANCE_M,
    given: SourceNets | None = None,
    progress: Progress = SILENT,
) -> NetworkReport:
    """Compare stored nets of one division and keep the grids that cross; the caller commits. The report is that of `compare_networks`.

    The same nets compared again take the place of the comparison before.

    Parameters
    ----------
    given
        The nets of ``sources``, where they were read already.

    Raises
    ------
    RequestInvalidError
        When there are fewer than two nets, or they are of different divisions or instants, or a network comes twice.
    NotFoundError
        When one of them has no grids.
    """
    networks = [source.network for source in sources]
    if len({(source.division, source.at) for source in sources}) != 1 or len(set(networks)) != len(networks):
        raise RequestInvalidError(
            "Only different networks of one division at one instant are kept with their conflicts.", field="sources"
        )
    if len(networks) < 2:
        raise RequestInvalidError("One network has nothing to cross.", hint="Name two or more.", field="sources")
    division, at = sources[0].division, sources[0].at
    progress.start("compare networks", 3)
    nets = given or read_networks(uow, sources)
    progress.advance()
    found = compare(nets.nets, tolerance_m=tolerance_m)
    progress.advance()
    name = f"{division}:{at.timestamp()}:{','.join(sorted(networks))}"
    about = {
        "comparison_id": str(uuid.uuid5(_NAMED, name)), "division_code": division, "networks": networks, "at": at,
        "tolerance_m": tolerance_m, "made_by": actor, "made_at": now,
    }  # fmt: skip
    uow.network_conflicts.put(about, _crossing(found, networks, nets.epsg))
    progress.advance()
    return comparison_report(found, nets.epsg)


def _crossing(found: Comparison, networks: Sequence[str], epsg: int) -> gpd.GeoDataFrame:
    frames, shapes = [], []
    atoms = found.atoms
    for pair in found.pairs:
        one, other = pair.net
        chosen = np.flatnonzero(crossing_pairs(pair))
        rows = np.stack([pair.pairs.first[chosen], pair.pairs.second[chosen]], axis=1)
        frames.append(
            pd.DataFrame(
                {
                    "first_network": networks[one],
                    "first_code": atoms.nets[one].code[rows[:, 0]],
                    "second_network": networks[other],
                    "second_code": atoms.nets[other].code[rows[:, 1]],
                    "shared_m2": np.round(pair.pairs.shared_m2[chosen], 2),
                    "share_of_first": np.round(pair.pairs.share_of_first[chosen], 6),
                    "share_of_second": np.round(pair.pairs.share_of_second[chosen], 6),
                }
            )
        )
        shapes += _shared_land(found, one, other, rows)
    frame = pd.concat(frames, ignore_index=True)
    land = to_storage(np.array(shapes, dtype=object), epsg) if shapes else np.array([], dtype=object)
    frame = gpd.GeoDataFrame(frame, geometry=_sound(land), crs=STORAGE_EPSG)
    frame = frame[~frame.geometry.is_empty].sort_values(
        ["first_network", "first_code", "second_network", "second_code"], ignore_index=True
    )
    return frame.assign(number=np.arange(1, len(frame) + 1))


def _shared_land(found: Comparison, one: int, other: int, rows: np.ndarray) -> list[shapely.Geometry]:
    """Return the land of each pair of grids of two nets. CRS: that of the nets."""
    owner = found.atoms.owner[:, [one, other]]
    order = np.lexsort((owner[:, 1], owner[:, 0]))
    keys = owner[order, 0] * (owner[:, 1].max(initial=0) + 2) + owner[order, 1]
    wanted = rows[:, 0] * (owner[:, 1].max(initial=0) + 2) + rows[:, 1]
    begins, ends = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
    return [
        shapely.coverage_union_all(found.atoms.geometry[order[begin:end]])
        for begin, end in zip(begins, ends, strict=True)
    ]


def _sound(shapes: np.ndarray) -> np.ndarray:
    """Return shapes in degrees as valid multipolygons; where two borders pass within millimetres one may have come out invalid."""
    mended = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    parts = [
        [part for part in shapely.get_parts(shapely.get_parts(shape)) if part.geom_type == "Polygon"]
        for shape in mended
    ]
    return np.array([shapely.MultiPolygon(listed) for listed in parts] + [None], dtype=object)[:-1]


def list_conflicts(
    uow: UnitOfWork,
    division: str,
    *,
    network: str | None = None,
    cursor: str = "",
    limit: int = 100,
    count: bool = False,
) -> Page:
    """Return a page of the grids that cross in a division, as the comparison made last found them, with the land they share.

    Rows: comparison_id, compared_at (the instant of the nets), tolerance_m, first_network, first_code, second_network, second_code,
    shared_m2, shares, geometry (GeoJSON).

    Raises
    ------
    NotFoundError
        When nets of that division were not compared yet (in this scope).
    RequestInvalidError
        When the cursor is none of ours.
    """
    like_pattern(division)
    about = uow.network_conflicts.newest(division)
    if about is None:
        raise NotFoundError(
            f"The networks of {division} were not compared yet.",
            hint=f"Run gridsvc networks compare urban:{division} social:{division} security:{division} --save.",
        )
    after = _number(cursor)
    rows = uow.network_conflicts.page(about["comparison_id"], division, network=network, after=after, limit=limit + 1)
    told = {"comparison_id": about["comparison_id"], "compared_at": about["at"], "tolerance_m": about["tolerance_m"]}
    shown = [
        {"conflict": f"{row['first_network']}:{row['first_code']}:{row['second_network']}:{row['second_code']}"}
        | told
        | {name: json.loads(value) if name == "geometry" else value for name, value in row.items() if name != "number"}
        for row in rows[:limit]
    ]
    total = uow.network_conflicts.count(about["comparison_id"], division, network=network) if count else None
    return Page(shown, str(rows[limit - 1]["number"]) if len(rows) > limit else None, total)


def _number(cursor: str) -> int:
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise RequestInvalidError(f"{cursor!r} is no cursor of this list.", field="cursor")
    return int(cursor or 0)
