"""Stored runs of the service circle, read back: who walks how long, by what list, on which network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np

from gridsvc.circle.coverage import CircleStandard
from gridsvc.errors import NotFoundError
from gridsvc.services.circles import rules_of_run
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, eq=False, slots=True)
class RunHomes:
    """A stored run and its residences under a division.

    Attributes
    ----------
    run
        The stored row, with ``network_sha256``: the hash of the walking network.
    rules
        The list of kinds it was judged by.
    homes
        residence_code, community_code, name, origin, households and population (of the day of the run), geometry (EPSG:4490).
    times_s
        Seconds to the nearest facility, infinite out of reach. Shape: (residences, kinds).
    counts
        Facilities within each of ``count_minutes``. Shape: (residences, kinds, limits).
    """

    run: dict[str, Any]
    rules: CircleStandard
    homes: gpd.GeoDataFrame
    times_s: np.ndarray
    counts: np.ndarray
    count_minutes: tuple[int, ...]


def latest_run(
    uow: UnitOfWork, code: str, standard: str | None = None, speed_m_s: float | None = None
) -> dict[str, Any]:
    """Return the latest stored run (by a standard, at a speed) that covers a division: its own, or that of a division above it.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    """
    run = uow.circle_runs.latest(code, standard, whole=True, speed_m_s=speed_m_s)
    if run is None:
        asked = f" --standard {standard}" if standard else ""
        asked += "" if speed_m_s is None else f" --speed {speed_m_s:g}"
        by = f" by {standard}" if standard else ""
        by += "" if speed_m_s is None else f" at {speed_m_s:g} m/s"
        raise NotFoundError(
            f"No service circle{by} was computed for {code or 'the whole installation'}.",
            hint=f"Run: gridsvc circle coverage {code}{asked}",
        )
    return run


def read_run(uow: UnitOfWork, code: str, standard: str | None = None, speed_m_s: float | None = None) -> RunHomes:
    """Return the latest run that covers a division, with its residences there.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    """
    run = latest_run(uow, code, standard, speed_m_s)
    rules = rules_of_run(run)
    times = uow.circle_runs.times(run["circle_run_id"], code)
    homes = uow.residences.list(prefix=code).merge(times, on="residence_code", suffixes=("_today", ""))
    for name in ("households", "population"):
        homes[name] = homes[name].fillna(homes[f"{name}_today"]).astype(np.int64)
    minutes = tuple(run["coverage"].get("count_minutes", ()))
    return RunHomes(
        run=run | {"network_sha256": uow.walk_networks.content_sha256(run["walk_network_id"])},
        rules=rules,
        homes=homes[["residence_code", "community_code", "name", "origin", "households", "population", "geometry"]],
        times_s=_times(homes["walk_s"].tolist(), rules.codes),
        counts=_counts(homes["facility_counts"].tolist(), rules.codes, len(minutes)),
        count_minutes=minutes,
    )


def _times(walks: Sequence[Mapping[str, float]], kinds: Sequence[str]) -> np.ndarray:
    times_s = np.full((len(walks), len(kinds)), np.inf)
    row, column = _places_of(walks, kinds)
    seconds = np.array([walk_s for of_home in walks for walk_s in of_home.values()], dtype=np.float64)
    listed = column >= 0
    times_s[row[listed], column[listed]] = seconds[listed]
    return times_s


def _counts(found: Sequence[Mapping[str, list[int]]], kinds: Sequence[str], limits: int) -> np.ndarray:
    counts = np.zeros((len(found), len(kinds), limits), dtype=np.int32)
    row, column = _places_of(found, kinds)
    if limits:
        flat = [number for of_home in found for numbers in of_home.values() for number in numbers]
        listed = column >= 0
        counts[row[listed], column[listed]] = np.array(flat, dtype=np.int32).reshape(-1, limits)[listed]
    return counts


def _places_of(documents: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the residence and the column of every value in documents by kind; -1 for kinds not in the list."""
    column_of = {kind: column for column, kind in enumerate(kinds)}
    row = np.repeat(np.arange(len(documents)), [len(of_home) for of_home in documents])
    column = np.array([column_of.get(kind, -1) for of_home in documents for kind in of_home], dtype=np.int64)
    return row, column
