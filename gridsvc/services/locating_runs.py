"""A long file being located: the folder beside the answer that holds the blocks done, until the answer is complete.

The folder says what was asked and keeps the grids as they were when the run began, so that it may be resumed after any stop, and
so that helpers need no database and cannot mix two states of it. A block is done when its record is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from gridsvc.errors import ConflictError, ImportRefusedError, NotFoundError, RowError
from gridsvc.formats.located_rows import out_suffix
from gridsvc.formats.row_blocks import BlockPlan
from gridsvc.services.grid_lookup import place_index, places_in
from gridsvc.services.locating_files import (
    BlockOutcome,
    Finder,
    LocatedFile,
    LocateOrder,
    join_outcomes,
    locate_block,
)
from gridsvc.services.place_index import PlaceIndex
from gridsvc.store.unit_of_work import UnitOfWork

_ENDS_BYTES = 1 << 20
_GRIDS = "all.grids"


@dataclass(frozen=True, slots=True)
class BlockTask:
    """One block as another process needs it; it must see the same file and folder."""

    order: LocateOrder
    plan: BlockPlan
    folder: Path
    number: int


@dataclass(frozen=True, slots=True)
class LocatingRun:
    """A run: what was asked, how the file is cut, and the folder of the blocks done."""

    order: LocateOrder
    plan: BlockPlan
    folder: Path

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are not done, ascending."""
        return [number for number in range(len(self.plan.blocks)) if not _record(self.folder, number).is_file()]

    def task(self, number: int) -> BlockTask:
        """Return the task of one block."""
        return BlockTask(self.order, self.plan, self.folder, number)


@contextmanager
def open_run(order: LocateOrder, plan: BlockPlan, *, at_given: bool, resume: bool) -> Iterator[LocatingRun]:
    """Yield the run of an order, a new one or the one that was begun; the folder is this program's meanwhile.

    Parameters
    ----------
    at_given
        Whether the instant was asked for, and not just the present; a resumed run takes that of its beginning otherwise.
    resume
        Go on with the blocks done; without it they are thrown away.

    Raises
    ------
    NotFoundError
        Nothing was begun that could be resumed.
    ConflictError
        The file or the way it is read is not what it was, or another program is at it.
    """
    folder = order.out.with_name(f"{order.out.name}.blocks")
    if resume and not (folder / "order.json").is_file():
        raise NotFoundError(
            f"There is nothing to resume: {folder.name} is not there.", hint="Leave --resume away to begin."
        )
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                f"Another program is writing {order.out.name}.", hint="Wait for it, or choose another --out."
            ) from None
        if resume:
            order = _as_begun(folder, order, plan, at_given)
        else:
            _clear(folder)
            _put(folder / "order.json", _asked(order, plan) | {"at": order.at.isoformat()})
        yield LocatingRun(order, plan, folder)


def keep_grids(uow: UnitOfWork, run: LocatingRun) -> None:
    """Keep the grids and communities in force at the order's instant in the folder, unless they are there."""
    target = run.folder / _GRIDS
    if target.is_file():
        return
    index = place_index(uow, run.order.at)
    assert index is not None  # it is built where none is held
    index.save(target)


def locate_task(task: BlockTask) -> int:
    """Locate one block of a run and put its record into the folder; return its number. What a helper or Dask worker runs."""
    rows = _rows(task.folder, task.number)
    outcome = locate_block(task.plan, task.number, task.order, _finder(task), _beside(rows))
    _beside(rows).replace(rows)
    _put(_record(task.folder, task.number), asdict(outcome))
    return task.number


def discard_run(run: LocatingRun) -> None:
    """Take the folder away: the file was refused, and what was done of it is of no use."""
    shutil.rmtree(run.folder)


def finish_run(run: LocatingRun) -> LocatedFile:
    """Put the blocks together, give the answer its name and take the folder away; return what it came to.

    Raises
    ------
    ImportRefusedError
        When rows have no usable position and the order is not partial: the folder is taken away, nothing is written.
    """
    outcomes = [_outcome(_record(run.folder, number)) for number in range(len(run.plan.blocks))]
    parts = [_rows(run.folder, number) for number in range(len(run.plan.blocks))]
    try:
        result = join_outcomes(run.order, outcomes, parts, run.folder / f"out{out_suffix(run.order.out)}")
    except ImportRefusedError:
        discard_run(run)
        raise
    discard_run(run)
    return result


def _asked(order: LocateOrder, plan: BlockPlan) -> dict[str, Any]:
    """Return what a resumed run must have in common with its beginning."""
    stat = order.path.stat()
    return {
        "file": order.path.name,
        "bytes": stat.st_size,
        "ends": _hash_of_ends(order.path, stat.st_size),
        "blocks": len(plan.blocks),
        "datum": order.datum,
        "map": dict(order.mapping),
        "partial": order.partial,
        "encoding": order.encoding,
        "layer": order.layer,
        "nearest_within_m": order.nearest_within_m,
    }


def _hash_of_ends(path: Path, size: int) -> str:
    """Return a hash of the first and last megabyte: enough to tell one export of a file from the next."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        digest.update(opened.read(_ENDS_BYTES))
        opened.seek(max(size - _ENDS_BYTES, 0))
        digest.update(opened.read(_ENDS_BYTES))
    return digest.hexdigest()


def _as_begun(folder: Path, order: LocateOrder, plan: BlockPlan, at_given: bool) -> LocateOrder:
    """Return the order with the instant of its beginning; refuse one that asks for something else."""
    begun = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    at = datetime.fromisoformat(begun.pop("at"))
    asked = _asked(order, plan)
    other = sorted(name for name in asked if asked[name] != begun.get(name))
    if at_given and at != order.at:
        other.append("at")
    if other:
        raise ConflictError(
            f"{order.out.name} was begun with another {', '.join(other)}.",
            hint="Resume it as it was begun, or leave --resume away to begin anew.",
        )
    return replace(order, at=at)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink()


def _rows(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.rows"


def _record(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _beside(path: Path) -> Path:
    """Return the name under which a file is written before it gets its own."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def _put(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record; it is there as a whole or not at all."""
    _beside(path).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    _beside(path).replace(path)


def _outcome(path: Path) -> BlockOutcome:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return BlockOutcome(**stored | {"faults": [RowError(**fault) for fault in stored["faults"]]})


@lru_cache(maxsize=1)
def _index_of(folder: Path, _written: int) -> PlaceIndex:
    return PlaceIndex.load(folder / _GRIDS)


def _finder(task: BlockTask) -> Finder:
    """Return what finds places in the index of a run, whose file all processes share."""
    index = _index_of(task.folder, (task.folder / _GRIDS).stat().st_mtime_ns)
    return partial(places_in, index, nearest_within_m=task.order.nearest_within_m)
