"""Where points are, from an index of all grids and divisions held in the process: dated, and never of a mixed state.

Every change of grids or divisions renews a version in its own transaction (store, migration 0024). A lookup asks the
transaction of its caller for the version and answers from the index of that version and of the grids in force at the
instant asked for; an index is built from one statement, so it is one state. Where none is held yet, few points are answered
by the database and more from the grids around them: slower, never older.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridsvc.geo.location import GridIndex
from gridsvc.store.grid_history import Box, GridHistory
from gridsvc.store.unit_of_work import UnitOfWork

NETWORKS = ("urban", "social", "security", "unified")
LEVELS = ("city", "district", "street", "community")

# up to this many points the database answers sooner than an index is built
FEW_POINTS = 32
# up to this many, an index of the grids around them is built sooner than that of all
_SOME_POINTS = 20_000
# indexes held: those in use, today's and tomorrow's
_HELD_EPOCHS = 4
_HELD_VERSIONS = 8
_YEAR_1970, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
# how often a version may change while one is being read, before we wait for the writer
_TRIES = 5

Codes = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Places:
    """Where points are, in the order they were asked for.

    Attributes
    ----------
    version
        The version of the grids the answer is of.
    district, community
        Codes, None where there is none.
    grids
        By network (urban, social, security, unified): codes, None where no grid holds the point.
    """

    version: str
    district: Codes
    community: Codes
    grids: dict[str, Codes]


@dataclass(frozen=True)
class PlaceIndex:
    """All networks and levels of divisions at one instant, ready for looking up. ``rows`` describe what each layer holds."""

    version: str
    layers: dict[str, GridIndex]
    rows: dict[str, pd.DataFrame]

    @classmethod
    def of(cls, version: str, frame: pd.DataFrame) -> PlaceIndex:
        """Return the index of a snapshot, see `GridHistory.snapshot`."""
        layers, rows = {}, {}
        for layer in (*NETWORKS, *LEVELS):
            held = frame[frame["layer"] == layer].sort_values("code", kind="stable", ignore_index=True)
            layers[layer] = GridIndex(held["code"].tolist(), held["geometry"].to_numpy())
            rows[layer] = held.drop(columns=["layer", "geometry"])
        return cls(version, layers, rows)

    def find(self, lon: NDArray[np.float64], lat: NDArray[np.float64], layers: Sequence[str]) -> dict[str, Codes]:
        """Return for each layer the codes of points, None where it holds none. CRS: EPSG:4490, degrees as stored."""
        return {layer: self.layers[layer].locate(lon, lat) for layer in layers}

    def names(self, layer: str) -> dict[str, str]:
        """Return the names of what a layer holds, by code."""
        return self._names[layer]

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        return {layer: dict(zip(frame["code"], frame["name"], strict=True)) for layer, frame in self.rows.items()}


@dataclass
class _Lookup:
    """The indexes one process holds. Threads share it; one builds at a time."""

    epochs: OrderedDict[str, NDArray[np.int64]] = field(default_factory=OrderedDict)
    held: OrderedDict[tuple[str, int], PlaceIndex] = field(default_factory=OrderedDict)
    state: threading.Lock = field(default_factory=threading.Lock)
    building: threading.Lock = field(default_factory=threading.Lock)
    # the version answered from last: a guess to be confirmed
    last: str | None = None

    def epochs_of(self, history: GridHistory, version: str) -> tuple[str, NDArray[np.int64]]:
        """Return the version and the instants (microseconds) at which its grids change; a newer version where there is one."""
        with self.state:
            known = self.epochs.get(version)
        if known is None:
            version, instants = history.instants()
            known = _microseconds(instants)
            with self.state:
                _keep(self.epochs, version, known, _HELD_VERSIONS)
        self.last = version
        return version, known

    def index(self, version: str, epoch: int) -> PlaceIndex | None:
        """Return the index held for an epoch of a version, or None."""
        with self.state:
            found = self.held.get((version, epoch))
            if found is not None:
                self.held.move_to_end((version, epoch))
            return found

    def build(self, history: GridHistory, version: str, epoch: int, at: datetime) -> PlaceIndex | None:
        """Build, hold and return the index of an epoch; None when the version has changed meanwhile."""
        with self.building:
            found = self.index(version, epoch)
            if found is not None:
                return found
            read, frame = history.snapshot(at)
            if read != version:
                return None
            made = PlaceIndex.of(version, frame)
            with self.state:
                _keep(self.held, (version, epoch), made, _HELD_EPOCHS)
            return made


_LOOKUP = _Lookup()


def find_places(
    uow: UnitOfWork, lon: ArrayLike, lat: ArrayLike, at: datetime | Sequence[datetime], *, hold: bool = False
) -> Places:
    """Return district, community and the grid of every network of each point, by the one-grid rule.

    Parameters
    ----------
    lon, lat
        One dimension. CRS: EPSG:4490, degrees, rounded as stored. NaN is nowhere.
    at
        The instant whose grids are meant: one for all, or one for each point.
    hold
        For answers that are stored: no change of grids is committed between this and the end of the caller's transaction.
        Where one is being committed, wait for it. Ask for it as late as possible.

    Returns
    -------
    places
        Grids and communities outside the scope are None, as if nothing were there; so are districts that neither lie in
        the scope nor hold it.

    Notes
    -----
    Cost: with the index held, one small query and about 0.2 microseconds a point and network.
    """
    x, y = (np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (lon, lat))
    instants = _instants_of(at, len(x))
    history = GridHistory(uow.connection, "")
    layers = (*NETWORKS, "community", "district")
    for attempt in range(_TRIES):
        # a writer that never rests is waited for in the end
        version = history.version(hold=hold or attempt == _TRIES - 1)
        codes = _find(history, version, x, y, instants, layers)
        if codes is not None:
            break
    else:  # held: it cannot have changed, except by this very transaction between two statements, which is impossible
        raise AssertionError("the version of the grids changed while it was held")
    return _places(version, codes, uow.scope)


def place_index(uow: UnitOfWork, at: datetime, *, build: bool = True, version: str | None = None) -> PlaceIndex | None:
    """Return the index of all grids and divisions in force at ``at``, as the caller's transaction sees them.

    Parameters
    ----------
    build
        Build it where the process does not hold it; False returns None then.
    version
        Of this version, without asking the database for the present one; only what is held is returned then.
    """
    if version is not None:
        with _LOOKUP.state:
            changes = _LOOKUP.epochs.get(version)
        return None if changes is None else _LOOKUP.index(version, _epoch(changes, at))
    history = GridHistory(uow.connection, "")
    for attempt in range(_TRIES):
        known, changes = _LOOKUP.epochs_of(history, history.version(hold=attempt == _TRIES - 1))
        found = _LOOKUP.index(known, _epoch(changes, at))
        if found is None and build:
            found = _LOOKUP.build(history, known, _epoch(changes, at), at)
        if found is not None or not build:
            return found
    raise AssertionError("the version of the grids changed while it was held")


def last_version() -> str | None:
    """Return the version this process answered from last: a guess, to be confirmed by what is read from the database."""
    return _LOOKUP.last


def _epoch(changes: NDArray[np.int64], at: datetime) -> int:
    """Return the number of the epoch of an instant; the instant of a change already belongs to what comes after."""
    return int(np.searchsorted(changes, (at - _YEAR_1970) // _MICROSECOND, side="right"))


def _find(
    history: GridHistory,
    version: str,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    instants: NDArray[np.object_],
    layers: Sequence[str],
) -> dict[str, Codes] | None:
    """Return codes by layer, all of ``version``; None when the grids are of another one by now."""
    answer = {layer: np.full(len(x), None, dtype=object) for layer in layers}
    known, changes = _LOOKUP.epochs_of(history, version)
    if known != version:
        return None
    epoch_of = np.searchsorted(changes, _microseconds(instants), side="right") if len(x) else np.zeros(0, np.int64)
    for epoch in np.unique(epoch_of):
        here = np.flatnonzero(epoch_of == epoch)
        found = _find_in_epoch(history, version, int(epoch), x[here], y[here], instants[here[0]], layers)
        if found is None:
            return None
        for layer in layers:
            answer[layer][here] = found[layer]
    return answer


def _find_in_epoch(
    history: GridHistory,
    version: str,
    epoch: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    at: datetime,
    layers: Sequence[str],
) -> dict[str, Codes] | None:
    index = _LOOKUP.index(version, epoch)
    if index is not None:
        return index.find(x, y, layers)
    if len(x) <= FEW_POINTS:
        return _find_in_database(history, version, x, y, at, layers)
    if len(x) > _SOME_POINTS:
        index = _LOOKUP.build(history, version, epoch, at)
        return None if index is None else index.find(x, y, layers)
    box = _box_of(x, y)
    if box is None:
        return {layer: np.full(len(x), None, dtype=object) for layer in layers}
    read, frame = history.snapshot(at, box)
    return PlaceIndex.of(version, frame).find(x, y, layers) if read == version else None


def _find_in_database(
    history: GridHistory,
    version: str,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    at: datetime,
    layers: Sequence[str],
) -> dict[str, Codes] | None:
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    read, rows = history.places(x[finite].tolist(), y[finite].tolist(), [at] * len(finite))
    if read not in (version, None):
        return None
    answer = {layer: np.full(len(x), None, dtype=object) for layer in layers}
    for place, layer, code in rows:
        answer[layer][finite[place]] = code
    return answer


def _places(version: str, codes: dict[str, Codes], scope: str) -> Places:
    if scope:
        inside = _only(lambda code: code.startswith(scope))
        around = _only(lambda code: code.startswith(scope) or scope.startswith(code))
        codes = {layer: (around if layer == "district" else inside)(found) for layer, found in codes.items()}
    return Places(version, codes["district"], codes["community"], {network: codes[network] for network in NETWORKS})


def _only(wanted: Callable[[str], bool]) -> Callable[[Codes], Codes]:
    return np.frompyfunc(lambda code: code if code is not None and wanted(code) else None, 1, 1)


def _instants_of(at: datetime | Sequence[datetime], count: int) -> NDArray[np.object_]:
    if isinstance(at, datetime):
        one = np.empty(count, dtype=object)
        one[:] = at
        return one
    given = np.empty(len(at), dtype=object)
    given[:] = [each.to_pydatetime() if isinstance(each, pd.Timestamp) else each for each in _each(at)]
    if len(given) != count:
        raise ValueError(f"{len(given)} instants for {count} points")
    return given


def _each(at: Sequence[datetime]) -> Iterator[datetime]:
    return iter(pd.DatetimeIndex(at)) if isinstance(at, np.ndarray | pd.Series | pd.DatetimeIndex) else iter(at)


def _microseconds(instants: Sequence[datetime] | NDArray[np.object_]) -> NDArray[np.int64]:
    """Return aware instants as microseconds since 1970, which is all that the database keeps of them."""
    return pd.DatetimeIndex(pd.to_datetime(list(instants), utc=True)).as_unit("us").asi8


def _box_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> Box | None:
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return None
    return float(x[finite].min()), float(y[finite].min()), float(x[finite].max()), float(y[finite].max())


def _keep(held: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    held[key] = value
    held.move_to_end(key)
    while len(held) > most:
        held.popitem(last=False)
