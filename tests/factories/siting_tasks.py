"""Small siting tasks: cover sets written as {residence: seconds} by candidate, or drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gridsvc.circle.cover_sets import CoverSets
from gridsvc.circle.siting import SitingTask, siting_task


def sets_of(rows: Sequence[Mapping[int, float]], residences: int, limit_s: float = 900.0) -> CoverSets:
    """Return the cover sets of candidates that reach so many seconds away the residences named."""
    entries = [sorted(row.items()) for row in rows]
    return CoverSets(
        first=np.concatenate(([0], np.cumsum([len(row) for row in entries]))).astype(np.int64),
        residence=np.array([home for row in entries for home, _ in row], dtype=np.int32),
        walk_s=np.array([walk_s for row in entries for _, walk_s in row], dtype=np.float64),
        residences=residences,
        limit_s=limit_s,
    )


def random_task(
    seed: int, *, candidates: int = 7, residences: int = 9, with_capacity: bool = False, standing: int = 0
) -> SitingTask:
    """Return a task in which each candidate reaches about a third of the residences and a fifth of these are served."""
    rng = np.random.default_rng(seed)
    rows = [
        {home: float(rng.integers(0, 10) * 100) for home in range(residences) if rng.random() < 0.35}
        for _ in range(candidates)
    ]
    served_s = np.where(rng.random(residences) < 0.2, rng.integers(0, 12, residences) * 100.0, np.inf)
    return siting_task(
        sets_of(rows, residences),
        rng.integers(0, 40, residences),
        served_s=served_s,
        standing=rng.choice(candidates, standing, replace=False).tolist(),
        capacity=rng.integers(0, 80, candidates) if with_capacity else None,
    )
