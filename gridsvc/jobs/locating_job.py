"""Locating the points of a long file as a job: blocks side by side, stoppable, resumable, the answer whole or not there.

Blocks are independent. Each is located in a process of its own or on a Dask cluster, and put into a folder beside the
answer; when all are there they are put together. Which process did which block cannot be seen in the answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from gridsvc.bootstrap import App
from gridsvc.errors import (
    CrsMismatchError,
    DatumMissingError,
    DatumUnknownError,
    FileUnreadableError,
    GridsvcError,
    ImportRefusedError,
)
from gridsvc.formats.row_blocks import BLOCK_ROWS
from gridsvc.progress import SILENT, Progress
from gridsvc.services.helper_processes import behave_as_helper, helper_context
from gridsvc.services.locating_files import STEP, LocatedFile, LocateOrder, check_order, locate_file
from gridsvc.services.locating_runs import LocatingRun, discard_run, finish_run, keep_grids, locate_task, open_run

logger = logging.getLogger(__name__)

_ANSWER_S = 10.0
# refusals after which nothing that was done can be used
_OF_THE_FILE = (ImportRefusedError, FileUnreadableError, DatumMissingError, DatumUnknownError, CrsMismatchError)


def run_locating(
    app: App,
    order: LocateOrder,
    *,
    processes: int = 2,
    dask: str | None = None,
    resume: bool = False,
    at_given: bool = True,
    block_rows: int = BLOCK_ROWS,
    progress: Progress = SILENT,
) -> LocatedFile:
    """Locate the points of a file and return what it came to; see `gridsvc.services.locating_files.locate_file`.

    A short file, or one that cannot be cut, is done in this process. Whatever stops a long one, its blocks stay in the folder
    ``OUT.blocks`` for ``resume``; the answer appears when it is complete.

    Parameters
    ----------
    processes
        Blocks located side by side.
    dask
        Address of a Dask scheduler whose workers see the same files; they are used instead of processes.
    resume
        Go on with the blocks that are done.
    at_given
        Whether the order's instant was asked for; a resumed run takes that of its beginning otherwise.
    block_rows
        About how many rows a block has.

    Raises
    ------
    ConflictError, NotFoundError
        There is nothing to resume, or it is not the same; or another program is at it.
    ImportRefusedError, FileUnreadableError
        As `locate_file`.
    GridsvcError
        A process died, or Dask is not there.
    """
    began = time.perf_counter()
    plan = check_order(order, block_rows)
    if len(plan.blocks) == 1 and not resume:
        with app.unit_of_work() as uow:
            return locate_file(
                uow, order.path, order.out, datum=order.datum, at=order.at, mapping=order.mapping,
                partial=order.partial, encoding=order.encoding, layer=order.layer, progress=progress,
            )  # fmt: skip
    order = replace(order, nearest_within_m=app.settings.nearest_grid_m)
    with open_run(order, plan, at_given=at_given, resume=resume) as run:
        with app.unit_of_work() as uow:
            keep_grids(uow, run)
        missing = run.missing
        progress.start(f"{STEP} ({plan.unit})", sum(plan.blocks[number].size for number in missing))
        try:
            for number in _done(run, missing, processes, dask):
                progress.advance(plan.blocks[number].size)
        except _OF_THE_FILE:
            discard_run(run)
            raise
        progress.start("write points")
        result = finish_run(run)
    logger.info("located %d rows in %d blocks, %.1f s", result.rows, len(plan.blocks), time.perf_counter() - began)
    return result


def _done(run: LocatingRun, missing: list[int], processes: int, dask: str | None) -> Iterator[int]:
    """Yield the number of each block when it is done."""
    if dask is not None:
        yield from _on_cluster(run, missing, dask)
    elif processes > 1 and len(missing) > 1:
        yield from _side_by_side(run, missing, processes)
    else:
        for number in missing:
            yield locate_task(run.task(number))


def _side_by_side(run: LocatingRun, missing: list[int], processes: int) -> Iterator[int]:
    context = helper_context("gridsvc.services.locating_runs")
    helpers = min(processes, len(missing))
    with ProcessPoolExecutor(helpers, mp_context=context, initializer=behave_as_helper) as pool:
        futures = [pool.submit(locate_task, run.task(number)) for number in missing]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise GridsvcError(
                "A process locating a block was ended; memory may have run out.",
                hint="Go on with --resume, and fewer --processes if it was memory.",
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(run: LocatingRun, missing: list[int], address: str) -> Iterator[int]:
    try:
        from dask.distributed import Client
        from dask.distributed import as_completed as as_returned
    except ImportError as error:
        raise GridsvcError(
            "Dask is not installed here.", hint="Install it with pip install 'gridsvc[dask]', or leave --dask away."
        ) from error
    try:
        client = Client(address, timeout=_ANSWER_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise GridsvcError(
            f"No Dask scheduler answers at {address}.", hint="Start one with dask scheduler, or leave --dask away."
        ) from error
    with client:
        futures = [client.submit(locate_task, run.task(number), pure=False) for number in missing]
        try:
            for future in as_returned(futures):
                yield future.result()
        finally:
            client.cancel([future for future in futures if not future.done()])
