"""The missing gate: closed gates and gaps in walls by the people who would newly reach what they need if one were opened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from gridsvc.circle.coverage import CircleStandard
from gridsvc.circle.missing_gates import rank_missing_gates
from gridsvc.circle.walk_network import Floats
from gridsvc.geo.projections import to_storage
from gridsvc.progress import SILENT, Progress
from gridsvc.services.circle_sandboxes import (
    Walkers,
    community_at,
    ground_facts,
    kind_limits,
    lay_out,
    live_times,
    read_ground,
)
from gridsvc.store.unit_of_work import UnitOfWork

MOST_GATES = 1000


@dataclass(frozen=True, slots=True)
class RankedGate:
    """A closed gate or a gap in a wall (no ``gate_code``), and what opening it alone would bring.

    ``gain`` counts people (households, residences) newly within the minutes, once for each kind; ``gain_by_kind`` tells the kinds that
    gain; ``complete`` those who would then reach every kind; ``saved_hours`` person-hours of walking saved.
    """

    rank: int
    gate: int
    gate_code: str
    compound_code: str
    hours: str
    lon: float
    lat: float
    community_code: str
    community_name: str
    gain: float
    gain_by_kind: dict[str, float]
    complete: float
    saved_hours: float


@dataclass(frozen=True, slots=True)
class GateRanking:
    """Closed gates and gaps, the best first; ``gates`` counts all that were tried, ``helpful`` those that change anything."""

    gates: int
    helpful: int
    ranked: tuple[RankedGate, ...]
    facts: dict[str, Any] = field(repr=False)
    seconds: float


def rank_gates(
    uow: UnitOfWork,
    code: str,
    kinds: Sequence[str] = (),
    *,
    at: datetime,
    walkers: Walkers,
    standard: str | CircleStandard | None = None,
    minutes: float | None = None,
    most: int = MOST_GATES,
    progress: Progress = SILENT,
) -> GateRanking:
    """Return the closed gates and gaps in walls of the walking network of a division, each as if it alone were opened.

    Nothing is stored. Gates that change nothing are counted, not listed.

    Parameters
    ----------
    kinds, standard, minutes
        Which facilities count, as of :func:`~gridsvc.services.circle_sandboxes.kind_limits`.
    most
        The best so many are listed.

    Raises
    ------
    NotFoundError
        When division, residences, walking network or standard are not there.
    RequestInvalidError
        When kinds, minutes or walkers are impossible.
    """
    began = time.perf_counter()
    progress.start("read residences, facilities and network")
    ground = read_ground(uow, code, kind_limits(uow, kinds, standard=standard, minutes=minutes), at=at, walkers=walkers)
    sandbox = lay_out(ground)
    progress.start("walking times")
    with live_times(sandbox) as live:
        found = rank_missing_gates(sandbox.walk, live, ground.weights, ground.limits_s, progress=progress)
    helpful = np.flatnonzero((found.people > 0).any(axis=1) | (found.saved_s > 0))
    shown = helpful[:most]
    passages, compounds = sandbox.compiled.passages, sandbox.compiled.compounds.code
    lon_lat = _lon_lat(passages.xy[found.gate[shown]], sandbox.compiled.epsg)
    ranked = []
    for rank, (row, (lon, lat)) in enumerate(zip(shown.tolist(), lon_lat, strict=True), start=1):
        gate = int(found.gate[row])
        compound = int(passages.compound[gate])
        community, name = community_at(uow, lon, lat, at)
        gains = found.people[row]
        ranked.append(
            RankedGate(
                rank=rank,
                gate=gate,
                gate_code=passages.code[gate],
                compound_code=compounds[compound] if compound >= 0 else "",
                hours=passages.hours[gate],
                lon=lon,
                lat=lat,
                community_code=community,
                community_name=name,
                gain=round(float(gains.sum()), 2),
                gain_by_kind={ground.kinds[i]: round(float(gains[i]), 2) for i in np.flatnonzero(gains)},
                complete=round(float(found.complete[row]), 2),
                saved_hours=round(float(found.saved_s[row]) / 3600.0, 2),
            )
        )
    return GateRanking(
        gates=len(found.gate),
        helpful=len(helpful),
        ranked=tuple(ranked),
        facts=ground_facts(ground, sandbox),
        seconds=time.perf_counter() - began,
    )


def _lon_lat(xy: Floats, epsg: int) -> list[tuple[float, float]]:
    if not len(xy):
        return []
    return [
        (lon, lat) for lon, lat in np.round(shapely.get_coordinates(to_storage(shapely.points(xy), epsg)), 7).tolist()
    ]
