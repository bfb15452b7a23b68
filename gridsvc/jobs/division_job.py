"""Dividing everything under a code as a job: districts side by side, stoppable, resumable, one bad part alone fails.

Parts of a run (districts) are independent. Where there are at least as many as processes, each is divided in a process
of its own with its own connection; fewer are divided one after the other, their communities side by side. On a Dask
cluster the same function runs wherever the cluster likes. A process that dies takes its part with it, not the run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection, wait
from typing import Any

from gridsvc.bootstrap import App, connect_app
from gridsvc.errors import GridsvcError
from gridsvc.progress import SILENT, Progress
from gridsvc.services.division_run import DIVIDE_STEP
from gridsvc.services.division_runs import (
    DivisionOrder,
    DivisionRunResult,
    Part,
    PartOutcome,
    Run,
    divide_part,
    finish_run,
    plan_run,
    record_failure,
    resume_run,
    summed,
)
from gridsvc.services.helper_processes import behave_as_helper, helper_context
from gridsvc.settings import Settings

logger = logging.getLogger(__name__)

_END_S = 10.0


@dataclass(frozen=True, slots=True)
class PartTask:
    """One part as another process needs it: where the database is, and what is to be done."""

    settings: Settings
    url: str
    run_id: str | None
    order: DivisionOrder
    part: Part


def run_division(
    app: App,
    order: DivisionOrder,
    *,
    now: datetime,
    processes: int = 2,
    dask: str | None = None,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> DivisionRunResult:
    """Divide all communities under the order's code, district by district, and return what it came to.

    Each district is stored, with the record that it is done, in one transaction. A district or community that cannot be
    divided is listed with its reason and stops no other. A run of one part raises what stopped it.

    Parameters
    ----------
    app
        Settings and database, schema at head.
    now
        The present instant, kept as the begin of the run.
    processes
        Districts divided side by side; communities where there are fewer districts than that.
    dask
        Address of a Dask scheduler whose workers reach the same database; they are used instead of processes.
    dry_run
        Compute and check everything, store nothing.

    Raises
    ------
    NotFoundError
        No community under the code.
    GridsvcError
        ``dask`` is given, and Dask is not installed or its scheduler does not answer.
    """
    began = time.perf_counter()
    with app.unit_of_work() as uow:
        run = plan_run(uow, order, now=now, is_recorded=not dry_run)
        uow.commit()
    return _worked(app, run, began, processes, dask, progress)


def resume_division(
    app: App, code: str, *, processes: int = 2, dask: str | None = None, progress: Progress = SILENT
) -> DivisionRunResult:
    """Finish the newest run of ``code``: what was not done, what failed, and what was read differently then.

    Raises
    ------
    NotFoundError
        When there is no run of it.
    """
    began = time.perf_counter()
    with app.unit_of_work() as uow:
        run = resume_run(uow, code)
    return _worked(app, run, began, processes, dask, progress)


def _worked(
    app: App, run: Run, began: float, processes: int, dask: str | None, progress: Progress
) -> DivisionRunResult:
    outcomes = list(run.ended)
    if dask is not None:
        found = _on_cluster(app, run, dask, progress)
    elif processes > 1 and len(run.missing) >= processes:
        found = _side_by_side(app, run, processes, progress)
    else:
        found = _one_after_the_other(app, run, processes, progress)
    outcomes += found
    if run.run_id is not None:
        with app.unit_of_work() as uow:
            finish_run(uow, run.run_id)
            uow.commit()
    result = summed(run.run_id, outcomes, time.perf_counter() - began)
    logger.info(
        "divided %s: %d communities in %d parts, %d failures, %.1f s",
        run.order.code,
        result.communities,
        len(result.parts),
        len(result.failed),
        result.seconds,
    )
    return result


def _one_after_the_other(app: App, run: Run, processes: int, progress: Progress) -> Iterator[PartOutcome]:
    """Yield the outcome of each part, divided in this process; the refusal of an only part is raised."""
    is_only = len(run.missing) + len(run.ended) == 1
    for part in run.missing:
        began = time.perf_counter()
        try:
            yield _divided(app, run, part, processes, progress)
        except Exception as error:
            outcome = _failed(app, run, part, error, time.perf_counter() - began)
            if is_only:
                raise
            yield outcome


def _divided(app: App, run: Run, part: Part, processes: int, progress: Progress) -> PartOutcome:
    with app.unit_of_work() as uow:
        outcome = divide_part(uow, run.run_id, run.order, part, processes=processes, progress=progress)
        if run.run_id is not None:
            uow.commit()
    return outcome


def _failed(app: App, run: Run, part: Part, error: Exception | str, seconds: float) -> PartOutcome:
    """Return, and record, that a part failed; a fault of ours is logged with its trace."""
    reason = str(error)
    if isinstance(error, Exception) and not isinstance(error, GridsvcError):
        reason = f"{type(error).__name__}: {error}"
        logger.error("dividing %s failed", part.code, exc_info=error)
    reason = f"{part.code}: {reason}"
    if run.run_id is not None:
        with app.unit_of_work() as uow:
            record_failure(uow, run.run_id, run.order, part, reason, seconds)
            uow.commit()
    return PartOutcome(part.code, part.communities, None, reason, seconds)


# ------------------------------------------------------------------------------------------------ processes


class _Helper:
    """A process that divides one part and tells how it goes through a pipe."""

    def __init__(self, context: Any, task: PartTask) -> None:
        self.part = task.part
        self.began = time.perf_counter()
        self.advanced = 0
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_help, args=(task, theirs), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def end(self) -> None:
        """End the process, working or not; its transaction is rolled back by the database."""
        self.process.terminate()
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def _side_by_side(app: App, run: Run, processes: int, progress: Progress) -> Iterator[PartOutcome]:
    """Yield the outcome of each part as it is there, ``processes`` at a time, the largest first."""
    context = helper_context("gridsvc.services.division_runs")
    waiting = [_task(app, run, part) for part in run.missing]
    progress.start(DIVIDE_STEP, sum(part.communities for part in run.missing))
    helpers: dict[Connection, _Helper] = {}
    try:
        while waiting or helpers:
            while waiting and len(helpers) < processes:
                helper = _Helper(context, waiting.pop(0))
                helpers[helper.pipe] = helper
            for pipe in wait(list(helpers)):
                helper = helpers[pipe]  # type: ignore[index]
                message = _received(helper)
                if isinstance(message, int):
                    progress.advance(message)
                    helper.advanced += message
                    continue
                del helpers[helper.pipe]
                helper.end()
                progress.advance(max(helper.part.communities - helper.advanced, 0))
                if message.result is None:
                    message = _failed(app, run, helper.part, message.reason, helper.seconds)
                yield message
    finally:
        for helper in helpers.values():
            helper.end()


def _received(helper: _Helper) -> int | PartOutcome:
    """Return what a helper sent, communities done or its outcome; that it died is an outcome too."""
    try:
        return helper.pipe.recv()
    except EOFError:
        helper.process.join(_END_S)
        code = helper.process.exitcode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        reason = f"The process dividing it {how}. Memory may have run out: try fewer --processes."
        return PartOutcome(helper.part.code, helper.part.communities, None, reason)


def _task(app: App, run: Run, part: Part) -> PartTask:
    url = app.engine.url.render_as_string(hide_password=False)
    return PartTask(app.settings, url, run.run_id, run.order, part)


class _Reporter:
    """Tells the run how many communities are done; the steps of a single part are not shown."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._is_dividing = False

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a step."""
        self._is_dividing = label == DIVIDE_STEP

    def advance(self, units: int = 1) -> None:
        """Report communities divided."""
        if self._is_dividing:
            self._tell(units)


def _help(task: PartTask, pipe: Connection) -> None:
    """Divide a part in this process and send how it goes."""
    behave_as_helper()
    try:
        answer = divide_task(task, pipe.send)
    except GridsvcError as error:
        answer = PartOutcome(task.part.code, task.part.communities, None, str(error))
    except Exception as error:
        logger.exception("dividing %s failed", task.part.code)
        answer = PartOutcome(task.part.code, task.part.communities, None, f"{type(error).__name__}: {error}")
    with suppress(BrokenPipeError):
        pipe.send(answer)


def divide_task(task: PartTask, tell: Callable[[int], None] = lambda _: None) -> PartOutcome:
    """Divide one part on a connection of its own and commit it with its record; what a helper process or Dask worker runs.

    Parameters
    ----------
    tell
        Called with the number of communities done since the last call.
    """
    app = connect_app(task.settings, task.url, pool_size=1)
    try:
        run = Run(task.run_id, task.order, [task.part], [])
        return _divided(app, run, task.part, 1, _Reporter(tell))
    finally:
        app.engine.dispose()


# ------------------------------------------------------------------------------------------------ Dask


def _on_cluster(app: App, run: Run, address: str, progress: Progress) -> Iterator[PartOutcome]:
    """Yield the outcome of each part as a Dask cluster returns it."""
    try:
        from dask.distributed import Client, as_completed
    except ImportError as error:
        raise GridsvcError(
            "Dask is not installed here.", hint="Install it with pip install 'gridsvc[dask]', or leave --dask away."
        ) from error
    try:
        client = Client(address, timeout=_END_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise GridsvcError(
            f"No Dask scheduler answers at {address}.", hint="Start one with dask scheduler, or leave --dask away."
        ) from error
    progress.start(DIVIDE_STEP, sum(part.communities for part in run.missing))
    with client:
        began = time.perf_counter()
        futures = {client.submit(divide_task, _task(app, run, p), pure=False, retries=0): p for p in run.missing}
        try:
            for future in as_completed(futures):
                part = futures[future]
                fault = future.exception()
                progress.advance(part.communities)
                yield future.result() if fault is None else _failed(app, run, part, fault, time.perf_counter() - began)
        finally:
            client.cancel([future for future in futures if not future.done()])
