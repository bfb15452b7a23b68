"""Where points are, from an index of all grids and divisions held in the process: dated, and never of a mixed state.

Every change of grids or divisions renews a version in its own transaction (store, migration 0024). A lookup asks the
transaction of its caller for the version and answers from the index of that version and of the grids in force at the
instant asked for; an index is built from one statement, so it is one state. Where none is held yet, few points are answered
by the database and more from the grids around them: slower, never older. Processes of one installation share what one of
them built through a mapped file.
"""

from __future__ import annotations

import fcntl
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import FileUnreadableError
from gridsvc.services.place_index import NETWORKS, Codes, Found, PlaceIndex
from gridsvc.store.grid_history import Box, GridHistory
from gridsvc.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

# up to this many points the database answers sooner than an index is built
FEW_POINTS = 32
# up to this many, an index of the grids around them is built sooner than that of all
_SOME_POINTS = 20_000
# indexes held: those in use, today's and tomorrow's; and files kept
_HELD_EPOCHS = 4
_HELD_VERSIONS = 8
# how often a version may change while one is being read, before we wait for the writer
_TRIES = 5
# a redraw that comes in force within this is prepared for
_AHEAD = timedelta(minutes=10)

# a degree of latitude is nowhere shorter
_LEAST_M_PER_DEGREE = 110_574.0
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_LAYERS = (*NETWORKS, "community", "district")


@dataclass(frozen=True, slots=True)
class Places:
    """Where points are, in the order they were asked for.

    Attributes
    ----------
    version
        The version of the grids the answer is of.
    district, community
        Codes, None where there is none; of a point outside of all, those of the nearest grid where one is named.
    grids
        By network (urban, social, security, unified): codes, None where no grid holds the point and none is near enough.
    distance_m
        By network: 0 where the grid holds the point, the distance to the nearest grid where that one is named, else NaN.
        Unit: m.
    """

    version: str
    district: Codes
    community: Codes
    grids: dict[str, Codes]
    distance_m: dict[str, NDArray[np.float64]]

    @property
    def is_unlocated(self) -> NDArray[np.bool_]:
        """Return where a point has a grid in no network."""
        return np.logical_and.reduce([np.isnan(distance) for distance in self.distance_m.values()])


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

    def build(
        self, history: GridHistory, version: str, epoch: int, at: datetime, folder: Path | None
    ) -> PlaceIndex | None:
        """Build, hold and return the index of an epoch, or take it from ``folder``; None when the version has changed meanwhile."""
        with self.building:
            found = self.index(version, epoch)
            if found is not None:
                return found
            made = _from_file_or_database(history, version, epoch, at, folder)
            if made is not None:
                with self.state:
                    _keep(self.held, (version, epoch), made, _HELD_EPOCHS)
            return made


_LOOKUP = _Lookup()


def find_places(
    uow: UnitOfWork,
    lon: ArrayLike,
    lat: ArrayLike,
    at: datetime | Sequence[datetime],
    *,
    hold: bool = False,
    nearest_within_m: float | None = None,
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
    nearest_within_m
        A point that no grid of a network holds gets the nearest one within this distance; a point in a community only grids of
        that community. Zero: none; None: that of ``uow``, which is the installation's. Unit: m.

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
    within_m = uow.nearest_within_m if nearest_within_m is None else nearest_within_m
    asked = _Asked(GridHistory(uow.connection), within_m, uow.cache_dir)
    for attempt in range(_TRIES):
        # a writer that never rests is waited for in the end
        version = asked.history.version(hold=hold or attempt == _TRIES - 1)
        found = asked.find(version, x, y, instants)
        if found is not None:
            return _places(version, found, uow.scope)
    raise AssertionError("the version of the grids changed while it was held")


def place_index(uow: UnitOfWork, at: datetime, *, build: bool = True) -> PlaceIndex | None:
    """Return the index of all grids and divisions in force at ``at``, as the caller's transaction sees them.

    Parameters
    ----------
    build
        Build it where the process does not hold it; False returns None then.
    """
    history = GridHistory(uow.connection)
    for attempt in range(_TRIES):
        known, changes = _LOOKUP.epochs_of(history, history.version(hold=attempt == _TRIES - 1))
        found = _LOOKUP.index(known, _epoch(changes, at))
        if found is None and build:
            found = _LOOKUP.build(history, known, _epoch(changes, at), at, uow.cache_dir)
        if found is not None or not build:
            return found
    raise AssertionError("the version of the grids changed while it was held")


def places_in(
    index: PlaceIndex,
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    *,
    scope: str = "",
    nearest_within_m: float = 0.0,
) -> Places:
    """Return where points are by an index at hand, as `find_places` does; for work that must be of one state from end to end."""
    return _places(index.version, index.find(lon, lat, _LAYERS, nearest_within_m), scope)


def held_indexes(version: str, at: Sequence[datetime]) -> list[PlaceIndex | None]:
    """Return for each instant the index of this version where it is held, without asking the database for the present one."""
    with _LOOKUP.state:
        changes = _LOOKUP.epochs.get(version)
    if changes is None:
        return [None] * len(at)
    epochs = np.searchsorted(changes, _microseconds(at), side="right").tolist()
    held = {epoch: _LOOKUP.index(version, epoch) for epoch in set(epochs)}
    return [held[epoch] for epoch in epochs]


def places_around(uow: UnitOfWork, box: Box, at: datetime) -> PlaceIndex:
    """Return an index of the grids and divisions that touch a box (lon lat), for few points where none of all is held."""
    return PlaceIndex.of(*GridHistory(uow.connection).snapshot(at, box))


def is_current(uow: UnitOfWork, version: str) -> bool:
    """Answer whether the grids are still of ``version``; one cheap question to the database."""
    return GridHistory(uow.connection).version() == version


def epoch_at(uow: UnitOfWork, version: str, at: datetime) -> tuple[str, int]:
    """Return the version (a newer one where there is one) and the number of the time, between two changes of its grids, that holds ``at``.

    All that is drawn of the grids of one version is the same throughout an epoch.
    """
    known, changes = _LOOKUP.epochs_of(GridHistory(uow.connection), version)
    return known, _epoch(changes, at)


def last_version() -> str | None:
    """Return the version this process answered from last: a guess, to be confirmed by what is read from the database."""
    return _LOOKUP.last


def keep_current(uow: UnitOfWork, now: datetime) -> None:
    """Hold the index of the grids in force now, and of those that come in force soon: for a server, called again and again."""
    place_index(uow, now)
    with _LOOKUP.state:
        changes = _LOOKUP.epochs.get(_LOOKUP.last or "")
    if changes is not None and _epoch(changes, now + _AHEAD) != _epoch(changes, now):
        place_index(uow, now + _AHEAD)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One lookup: what it reads from, how far it looks for the nearest grid, and where built indexes are kept."""

    history: GridHistory
    within_m: float
    folder: Path | None

    def find(
        self, version: str, x: NDArray[np.float64], y: NDArray[np.float64], instants: NDArray[np.int64]
    ) -> Found | None:
        """Return where the points are, all of ``version``; None when the grids are of another one by now."""
        answer = Found.nowhere(len(x), _LAYERS)
        known, changes = _LOOKUP.epochs_of(self.history, version)
        if known != version:
            return None
        epoch_of = np.searchsorted(changes, instants, side="right")
        for epoch in np.unique(epoch_of):
            here = np.flatnonzero(epoch_of == epoch)
            found = self._find_in_epoch(
                version, int(epoch), x[here], y[here], _EPOCH + int(instants[here[0]]) * _MICROSECOND
            )
            if found is None:
                return None
            answer.put(here, found)
        return answer

    def _find_in_epoch(
        self, version: str, epoch: int, x: NDArray[np.float64], y: NDArray[np.float64], at: datetime
    ) -> Found | None:
        index = _LOOKUP.index(version, epoch)
        if index is None and len(x) <= FEW_POINTS:
            return self._find_one_by_one(version, x, y, at)
        if index is None and len(x) <= _SOME_POINTS:
            return self._find_nearby(version, x, y, at)
        if index is None:
            index = _LOOKUP.build(self.history, version, epoch, at, self.folder)
        return None if index is None else index.find(x, y, _LAYERS, self.within_m)

    def _find_one_by_one(
        self, version: str, x: NDArray[np.float64], y: NDArray[np.float64], at: datetime
    ) -> Found | None:
        finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        read, rows = self.history.places(x[finite].tolist(), y[finite].tolist(), [at] * len(finite))
        if read != version:
            return None
        answer = Found.nowhere(len(x), _LAYERS)
        for place, layer, code in rows:
            answer.codes[layer][finite[place]] = code
            if layer in answer.distance_m:
                answer.distance_m[layer][finite[place]] = 0.0
        missing = np.logical_or.reduce([np.isnan(distance) for distance in answer.distance_m.values()])
        for here in finite[missing[finite]] if self.within_m > 0 else ():
            found = self._find_nearby(version, x[[here]], y[[here]], at)
            if found is None:
                return None
            answer.put(np.array([here]), found)
        return answer

    def _find_nearby(self, version: str, x: NDArray[np.float64], y: NDArray[np.float64], at: datetime) -> Found | None:
        box = box_of(x, y, self.within_m)
        if box is None:
            return Found.nowhere(len(x), _LAYERS)
        read, frame = self.history.snapshot(at, box)
        return PlaceIndex.of(version, frame).find(x, y, _LAYERS, self.within_m) if read == version else None


def _from_file_or_database(
    history: GridHistory, version: str, epoch: int, at: datetime, folder: Path | None
) -> PlaceIndex | None:
    """Return the index of an epoch; where there is a folder, from its file, or built once for all processes that look there."""
    if folder is None:
        return _from_database(history, version, at)
    try:
        return _shared(history, version, at, folder / f"{version}-{epoch}.grids")
    except OSError as error:
        logger.warning("the index of the grids cannot be kept in %s: %s", folder, error)
        return _from_database(history, version, at)


def _shared(history: GridHistory, version: str, at: datetime, path: Path) -> PlaceIndex | None:
    with _one_at_a_time(path.parent):
        if path.exists():
            try:
                return PlaceIndex.load(path)
            except FileUnreadableError as damaged:
                logger.warning("%s", damaged)
        made = _from_database(history, version, at)
        if made is not None:
            made.save(path)
            _forget_old_files(path.parent)
            # the mapped one: its memory is that of the other processes
            made = PlaceIndex.load(path)
    return made


def _from_database(history: GridHistory, version: str, at: datetime) -> PlaceIndex | None:
    read, frame = history.snapshot(at)
    return PlaceIndex.of(version, frame) if read == version else None


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget_old_files(folder: Path) -> None:
    """Delete all but the newest files; who has an older one mapped keeps it."""
    files = sorted(folder.glob("*.grids"), key=lambda path: path.stat().st_mtime_ns)
    for path in files[:-_HELD_EPOCHS]:
        path.unlink(missing_ok=True)


def _places(version: str, found: Found, scope: str) -> Places:
    codes, distance_m = found.codes, found.distance_m
    if scope:
        inside = _only(lambda code: code.startswith(scope))
        around = _only(lambda code: code.startswith(scope) or scope.startswith(code))
        codes = {layer: (around if layer == "district" else inside)(values) for layer, values in codes.items()}
        # elementwise: not equal to None
        hidden = {network: codes[network] == None for network in NETWORKS}  # noqa: E711
        distance_m = {network: np.where(hidden[network], np.nan, distance_m[network]) for network in NETWORKS}
    return Places(
        version, codes["district"], codes["community"], {network: codes[network] for network in NETWORKS}, distance_m
    )


def _only(wanted: Callable[[str], bool]) -> Callable[[Codes], Codes]:
    return np.frompyfunc(lambda code: code if code is not None and wanted(code) else None, 1, 1)


def _instants_of(at: datetime | Sequence[datetime], count: int) -> NDArray[np.int64]:
    """Return the instant of each point in microseconds since 1970."""
    if isinstance(at, datetime):
        return np.full(count, _microseconds([at])[0])
    given = _microseconds(at)
    if len(given) != count:
        raise ValueError(f"{len(given)} instants for {count} points")
    return given


def _microseconds(instants: Sequence[datetime]) -> NDArray[np.int64]:
    """Return aware instants in microseconds since 1970, which is all that the database keeps of them."""
    if isinstance(instants, np.ndarray | pd.Series | pd.DatetimeIndex):
        return pd.DatetimeIndex(instants).as_unit("us").asi8
    return np.fromiter(((each - _EPOCH) // _MICROSECOND for each in instants), dtype=np.int64, count=len(instants))


def _epoch(changes: NDArray[np.int64], at: datetime) -> int:
    """Return the number of the epoch of an instant; the instant of a change already belongs to what comes after."""
    return int(np.searchsorted(changes, _microseconds([at])[0], side="right"))


def box_of(x: NDArray[np.float64], y: NDArray[np.float64], margin_m: float) -> Box | None:
    """Return the box (lon lat) of the points that are numbers, with a margin of at least ``margin_m`` around; None without any."""
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return None
    low, high = y[finite].min(), y[finite].max()
    up = 1.05 * margin_m / _LEAST_M_PER_DEGREE
    across = up / max(np.cos(np.radians(min(max(abs(low), abs(high)) + up, 89.9))), 1e-6)
    return float(x[finite].min() - across), float(low - up), float(x[finite].max() + across), float(high + up)


def _keep(held: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    held[key] = value
    held.move_to_end(key)
    while len(held) > most:
        held.popitem(last=False)
