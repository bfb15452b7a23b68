"""Divide many communities side by side in processes; one that cannot be divided does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import shapely

from gridsvc.division.communities import CommunityDivision, CommunityInput, DivisionRules, Floats, Geometries
from gridsvc.division.dividing import divide_community
from gridsvc.division.keeping import FormerDivision, divide_again
from gridsvc.division.unit_targets import unit_targets, weigh_ground
from gridsvc.errors import GridsvcError
from gridsvc.progress import Progress
from gridsvc.services.helper_processes import behave_as_helper, helper_context

KINDS = ("unit", "governance")
_Task = TypeVar("_Task")
_Answer = TypeVar("_Answer")
# the step whose advances count communities
DIVIDE_STEP = "divide communities"
# fewer tasks than this are done at once, without processes
_FEW = 6


@dataclass(frozen=True, slots=True)
class Divided:
    """A community's division, or the reason there is none."""

    code: str
    division: CommunityDivision | None
    reason: str = ""


class Crew:
    """Processes that work on communities; made once for all steps of a run, none for a handful of communities.

    Examples
    --------
    >>> with Crew(2, 110) as crew:  # doctest: +SKIP
    ...     divided = crew.divide(inputs, DivisionRules(), 0, SILENT)
    """

    def __init__(self, processes: int, communities: int) -> None:
        self._processes = processes if communities >= _FEW else 1
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        if self._processes > 1:
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=helper_context("gridsvc.services.division_run"),
                initializer=behave_as_helper,
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def divide(
        self,
        inputs: Sequence[CommunityInput],
        rules: DivisionRules,
        seed: int,
        progress: Progress,
        *,
        kinds: Sequence[str] = KINDS,
        former: Mapping[str, FormerDivision] | None = None,
        exact_s: float = 0.0,
    ) -> list[Divided]:
        """Return the division of each community, in order; ``former`` names what those have of which something stays."""
        former = former or {}
        tasks = [DivideTask(c, former.get(c.code), rules, seed, tuple(kinds), exact_s) for c in inputs]
        progress.start(DIVIDE_STEP, len(tasks))
        return self._work(_divide_one, tasks, progress)

    def unit_targets(self, tasks: Sequence[TargetTask], progress: Progress) -> list[Floats]:
        """Return the target areas of the unit grids of each community, in order; see `gridsvc.division.unit_targets`."""
        progress.start("weigh ground", len(tasks))
        return self._work(_targets_of_one, tasks, progress)

    def _work(self, work: Callable[[_Task], _Answer], tasks: Sequence[_Task], progress: Progress) -> list[_Answer]:
        chunk = max(1, len(tasks) // (self._processes * 16))
        answers = map(work, tasks) if self._pool is None else self._pool.map(work, tasks, chunksize=chunk)
        found = []
        for answer in answers:
            found.append(answer)
            progress.advance()
        return found


@dataclass(frozen=True, slots=True)
class DivideTask:
    """One community to be divided, and how."""

    community: CommunityInput
    former: FormerDivision | None
    rules: DivisionRules
    seed: int
    kinds: tuple[str, ...]
    exact_s: float


def _divide_one(task: DivideTask) -> Divided:
    community, rules = task.community, task.rules
    how: dict[str, Any] = {"seed": task.seed, "kinds": task.kinds, "exact_s": task.exact_s}
    try:
        if task.former is not None:
            return Divided(community.code, divide_again(community, task.former, rules, **how))
        return Divided(community.code, divide_community(community, rules, **how))
    except GridsvcError as refused:
        return Divided(community.code, None, str(refused))
    except (shapely.GEOSException, ValueError, ArithmeticError, IndexError) as fault:
        # a fault of ours or of a library in one community: the others go on, the reason is listed
        return Divided(community.code, None, f"Community {community.code}: {type(fault).__name__}: {fault}")


@dataclass(frozen=True, slots=True)
class TargetTask:
    """The unit grids of one community, in metres, whose target areas are asked for."""

    community: CommunityInput
    grids: Geometries
    rules: DivisionRules


def _targets_of_one(task: TargetTask) -> Floats:
    return unit_targets(task.grids, weigh_ground(task.community, task.rules))
