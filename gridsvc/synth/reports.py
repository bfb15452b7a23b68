"""Incident reports: what, where and when, with rhythm, clusters, repeats and positional error. Projected CRS, unit m."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLUSTERS_PER_COMMUNITY = 3
CLUSTER_SPREAD_M = 22.0
REPEAT_WITHIN_M, REPEAT_WITHIN_H = 45.0, 23.0
ACCURACIES_M = (5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0)
_ACCURACY_SHARES = (0.2, 0.25, 0.22, 0.15, 0.1, 0.06, 0.02)


@dataclass(slots=True)
class Places:
    """Where things happen: places by the recipe's word, shape (n, 2) each."""

    home: Floats
    shop: Floats
    street: Floats

    def of(self, word: str) -> Floats:
        """Return the places of a word, or homes, or anything there is."""
        for places in (getattr(self, word), self.home, self.street, self.shop):
            if len(places):
                return places
        return np.empty((0, 2))


@dataclass(slots=True)
class Reports:
    """Reports, one entry each; positions as observed, true positions beside them."""

    report_id: list[str]
    category_code: list[str]
    source: list[str]
    occurred_at: list[datetime]
    xy: Floats
    true_xy: Floats
    accuracy_m: Floats
    is_gcj02: NDArray[np.bool_]
    reporter: list[str]
    device: list[str]
    is_repeat: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Reports:
        """Return no reports."""
        empty = np.empty((0, 2))
        flags = np.empty(0, dtype=bool)
        return cls([], [], [], [], empty, empty, np.empty(0), flags, [], [], flags)


def network_of(category_code: str) -> str:
    """Return the network that handles a category of the 2026 edition: E and C urban, S social, P security."""
    return {"S": "social", "P": "security"}.get(category_code[0], "urban")


def make_reports(
    households: int,
    places: Places,
    recipe: Mapping[str, Any],
    as_of: datetime,
    workers: list[str],
    rng: np.random.Generator,
) -> Reports:
    """Return the reports of one community over the recipe's days after ``as_of``.

    Parameters
    ----------
    recipe
        ``data/synth/reports.json``.
    workers
        Codes of the community's grid workers, who send what the field app sends.
    """
    count = int(rng.poisson(households * recipe["per_1000_households"] / 1000.0))
    if count == 0 or len(places.of("home")) == 0:
        return Reports.none()
    originals = max(1, round(count * (1 - recipe["duplicate_share"])))
    kinds = recipe["categories"]
    share = np.array([kind["weight"] for kind in kinds])
    kind = rng.choice(len(kinds), originals, p=share / share.sum())
    where = _positions(kind, kinds, places, recipe["cluster_share"], rng)
    when = _instants(kind, kinds, recipe, as_of, rng)
    repeated = rng.choice(originals, count - originals) if count > originals else np.empty(0, dtype=np.int64)
    kind = np.concatenate([kind, kind[repeated]])
    true_xy, seconds = _with_repeats(where, when, repeated, recipe["days"] * 86400.0, rng)
    accuracy = rng.choice(ACCURACIES_M, count, p=_ACCURACY_SHARES)
    error = np.clip(rng.normal(0.0, 0.45, (count, 2)), -1.0, 1.0) * accuracy[:, None]
    error[originals:] *= 0.2  # repeats stay within their distance of the first
    sources = [_source(network_of(kinds[k]["code"]), recipe, rng) for k in kind]
    number = rng.integers(0, 10_000, count)
    return Reports(
        report_id=[_uuid(rng) for _ in range(count)],
        category_code=[kinds[k]["code"] for k in kind],
        source=sources,
        occurred_at=[as_of + timedelta(seconds=float(round(s))) for s in seconds],
        xy=true_xy + error,
        true_xy=true_xy,
        accuracy_m=accuracy,
        is_gcj02=rng.random(count) < recipe["gcj02_share"],
        reporter=[
            workers[n % len(workers)]
            if source == "field_app" and workers
            else ("" if source == "sensor" else f"citizen-{n:04d}")
            for source, n in zip(sources, number.tolist(), strict=True)
        ],
        device=[f"{source}-{n % 500:03d}" for source, n in zip(sources, number.tolist(), strict=True)],
        is_repeat=np.arange(count) >= originals,
    )


def _positions(
    kind: NDArray[np.int64],
    kinds: list[Mapping[str, Any]],
    places: Places,
    cluster_share: float,
    rng: np.random.Generator,
) -> Floats:
    where = np.empty((len(kind), 2))
    words = np.array([k["place"] for k in kinds], dtype=object)[kind]
    for word in ("home", "shop", "street"):
        chosen = np.flatnonzero(words == word)
        if len(chosen) == 0:
            continue
        spots = places.of(word)
        where[chosen] = spots[rng.integers(0, len(spots), len(chosen))]
        hot = spots[rng.integers(0, len(spots), CLUSTERS_PER_COMMUNITY)]
        crowd = chosen[rng.random(len(chosen)) < cluster_share]
        where[crowd] = hot[rng.integers(0, len(hot), len(crowd))]
        where[crowd] += np.clip(
            rng.normal(0, CLUSTER_SPREAD_M / 2, (len(crowd), 2)), -CLUSTER_SPREAD_M, CLUSTER_SPREAD_M
        )
    return where + rng.uniform(-3.0, 3.0, where.shape)


def _instants(
    kind: NDArray[np.int64],
    kinds: list[Mapping[str, Any]],
    recipe: Mapping[str, Any],
    as_of: datetime,
    rng: np.random.Generator,
) -> Floats:
    """Return seconds after ``as_of``; ``as_of`` counts as local midnight of its own offset."""
    days = np.arange(recipe["days"])
    weight = np.array([recipe["weekday_weights"][(as_of + timedelta(days=int(d))).weekday()] for d in days])
    day = rng.choice(days, len(kind), p=weight / weight.sum())
    hour = np.empty(len(kind))
    profile = np.array([k["hours"] for k in kinds], dtype=object)[kind]
    for name in sorted(recipe["hour_weights"]):
        chosen = np.flatnonzero(profile == name)
        odds = np.asarray(recipe["hour_weights"][name], dtype=float)
        hour[chosen] = rng.choice(24, len(chosen), p=odds / odds.sum())
    return day * 86400.0 + hour * 3600.0 + rng.uniform(0, 3600, len(kind))


def _with_repeats(
    where: Floats, when: Floats, repeated: NDArray[np.int64], last_s: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return positions and seconds with repeats added: within `REPEAT_WITHIN_M` and `REPEAT_WITHIN_H` of the first."""
    angle = rng.uniform(0, 2 * np.pi, len(repeated))
    reach = rng.uniform(0, 0.6 * REPEAT_WITHIN_M, len(repeated))
    again = where[repeated] + np.column_stack([np.cos(angle), np.sin(angle)]) * reach[:, None]
    later = np.minimum(
        when[repeated] + rng.exponential(4 * 3600.0, len(repeated)).clip(60.0, REPEAT_WITHIN_H * 3600), last_s - 1
    )
    return np.concatenate([where, again]), np.concatenate([when, later])


def _source(network: str, recipe: Mapping[str, Any], rng: np.random.Generator) -> str:
    options = recipe["sources"][network]
    pick = rng.random() * sum(options.values())
    for name, share in options.items():
        pick -= share
        if pick <= 0:
            return name
    return next(iter(options))


def _uuid(rng: np.random.Generator) -> str:
    """Return a random UUID (version 4) that depends on the generator alone."""
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))
