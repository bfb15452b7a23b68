"""Grids and workers for tests of assignment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridsvc.workforce.assignment import GridsToStaff, Roster

COMMUNITY = "420103001001"
NEIGHBOUR = "420103001002"


def make_grids(
    xy: Sequence[tuple[float, float]], community: str | Sequence[str] = COMMUNITY, households: int | Sequence[int] = 400
) -> GridsToStaff:
    """Return grids at ``xy`` with codes made of their community and their number."""
    communities = np.array([community] * len(xy) if isinstance(community, str) else list(community), dtype=str)
    codes = np.array([f"{name}{number + 1:03d}" for number, name in enumerate(communities)], dtype=str)
    return GridsToStaff(
        codes,
        np.array(xy, dtype=float).reshape(-1, 2),
        np.broadcast_to(households, len(xy)).astype(np.int64),
        communities,
    )


def make_roster(rows: Sequence[tuple[str, tuple[float, float], str, str, int]]) -> Roster:
    """Return workers of rows (code, home, kind, division, capacity)."""
    return Roster(
        code=np.array([row[0] for row in rows], dtype=str),
        xy=np.array([row[1] for row in rows], dtype=float).reshape(-1, 2),
        kind_code=np.array([row[2] for row in rows], dtype=str),
        division_code=np.array([row[3] for row in rows], dtype=str),
        capacity_grids=np.array([row[4] for row in rows], dtype=np.int64),
    )


def full_time(
    code: str, home: tuple[float, float], *, community: str = COMMUNITY, capacity: int = 1
) -> tuple[str, tuple[float, float], str, str, int]:
    """Return the row of a full-time worker."""
    return (code, home, "W02", community, capacity)
