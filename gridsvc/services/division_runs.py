"""A division over many districts, part by part: what is asked, what is missing, what became of it.

Each part (a district, or the division itself where that is smaller) is divided in one transaction with the record that
it is done: whatever is killed when, a part is either there with its grids or still waiting.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from gridsvc.division.communities import DivisionRules
from gridsvc.errors import ConflictError, NotFoundError
from gridsvc.progress import SILENT, Progress
from gridsvc.services.dividing import KINDS, DivideResult, divide
from gridsvc.services.division_wishes import Wishes
from gridsvc.store.unit_of_work import UnitOfWork

_DISTRICT_DIGITS = 6
# where the wishes are kept among the rules of a stored run
_WISHES = "wishes"


@dataclass(frozen=True, slots=True)
class DivisionOrder:
    """What is asked of a division, the same for all its parts.

    ``at`` is the instant whose communities are divided and from which the grids hold.
    """

    code: str
    at: datetime
    actor: str
    kinds: tuple[str, ...] = KINDS
    draft: bool = False
    rules: DivisionRules = field(default_factory=DivisionRules)
    seed: int = 0
    wishes: Wishes = field(default_factory=Wishes)


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is to be divided: its code, how many communities it has, and ids of the drafts it had before."""

    code: str
    communities: int
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What became of a part: the result of its division, or the reason there is none."""

    code: str
    communities: int
    result: DivideResult | None
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands: ``missing`` is to be divided, ``ended`` was before. ``run_id`` is None when nothing is recorded."""

    run_id: str | None
    order: DivisionOrder
    missing: list[Part]
    ended: list[PartOutcome]


@dataclass(frozen=True, slots=True)
class DivisionRunResult:
    """What a run came to, over all its parts; names as in ``DivideResult``.

    ``failed`` lists communities that were not divided, and parts of which none was, with the reason. ``redraws`` holds by
    part the ids of the redraws opened. ``parts`` has one row for each part. ``seconds`` are those of this call, ``stages`` those of
    all parts added up, whichever ran side by side.
    """

    run_id: str | None
    communities: int
    unit_grids: int
    governance_grids: int
    gap_area_m2: float
    overlap_area_m2: float
    buildings_cut: int
    failed: list[tuple[str, str]]
    seconds: float
    in_household_band: int
    border_on_lines: float | None
    retired: int
    inserted: int
    unchanged: int
    redraws: dict[str, Any]
    notes: dict[str, tuple[str, ...]]
    stages: dict[str, float]
    parts: list[dict[str, Any]]


def plan_run(uow: UnitOfWork, order: DivisionOrder, *, now: datetime, is_recorded: bool = True) -> Run:
    """Return a run of ``order`` with all its parts missing; the caller commits.

    Parameters
    ----------
    now
        When it begins.
    is_recorded
        Keep it in the database, so that it can be taken up again.

    Raises
    ------
    NotFoundError
        When no community under the code is known at the order's instant.
    """
    communities = uow.divisions.list(level="community", prefix=order.code, at=order.at, with_geometry=False)
    if communities.empty:
        raise NotFoundError(
            f"No communities under {order.code} at {order.at.isoformat()}.",
            hint="Import divisions first: gridsvc import divisions FILE.",
        )
    digits = max(len(order.code), _DISTRICT_DIGITS)
    counts = communities["code"].str[:digits].value_counts()
    parts = {str(code): int(count) for code, count in counts.items()}
    missing = [Part(code, count) for code, count in sorted(parts.items(), key=lambda item: (-item[1], item[0]))]
    if not is_recorded:
        return Run(None, order, missing, [])
    run_id = uow.division_runs.open(
        order.code,
        parts,
        kinds=order.kinds,
        is_draft=order.draft,
        holds_from=order.at,
        rules=asdict(order.rules) | {_WISHES: order.wishes.as_dict()},
        seed=order.seed,
        started_by=order.actor,
        started_at=now,
    )
    return Run(run_id, order, missing, [])


def resume_run(uow: UnitOfWork, code: str) -> Run:
    """Return the newest run of ``code`` with what it still misses: parts waiting, failed, or whose input changed since.

    Rules, seed, kinds and instant are those the run began with.

    Raises
    ------
    NotFoundError
        When ``code`` was never divided as a run.
    ConflictError
        When the run was begun by a gridsvc with other rules.
    """
    row = uow.division_runs.find_latest(code)
    if row is None:
        raise NotFoundError(f"There is no division run of {code} to resume.", hint="Leave --resume away to begin one.")
    try:
        kept = dict(row["rules"])
        wishes = Wishes.from_dict(kept.pop(_WISHES, {}))
        rules = DivisionRules(**kept)
    except TypeError as error:
        raise ConflictError(
            f"The division run of {code} of {row['started_at'].isoformat()} has rules this gridsvc does not know.",
            hint="Leave --resume away to begin a new run.",
        ) from error
    order = DivisionOrder(
        code=code,
        at=row["holds_from"],
        actor=row["started_by"],
        kinds=tuple(row["kinds"]),
        draft=row["is_draft"],
        rules=rules,
        wishes=wishes,
        seed=row["seed"],
    )
    missing, ended = [], []
    for part in uow.division_runs.parts(row["division_run_id"]):
        outcome = _outcome(part)
        drafts = tuple(redraw_ids(outcome.result.redraws)) if outcome.result else ()
        is_current = (
            outcome.result is not None
            and uow.division_runs.fingerprint(part["part_code"], order.at) == part["input_fingerprint"]
        )
        if is_current:
            ended.append(outcome)
        else:
            missing.append(Part(part["part_code"], part["communities"], drafts))
    return Run(row["division_run_id"], order, missing, ended)


def divide_part(
    uow: UnitOfWork,
    run_id: str | None,
    order: DivisionOrder,
    part: Part,
    *,
    processes: int = 1,
    progress: Progress = SILENT,
) -> PartOutcome:
    """Divide one part and record that it is done; the caller commits both at once.

    Raises what ``gridsvc.services.dividing.divide`` raises; then ``record_failure`` is for the record.
    """
    began = time.perf_counter()
    uow.division_runs.wait_for_turn(part.code)
    fingerprint = uow.division_runs.fingerprint(part.code, order.at) if run_id else None
    _discard(uow, part, order)
    result = divide(
        uow,
        part.code,
        at=order.at,
        actor=order.actor,
        kinds=order.kinds,
        processes=processes,
        draft=order.draft,
        rules=order.rules,
        wishes=order.wishes,
        seed=order.seed,
        progress=progress,
    )
    outcome = PartOutcome(part.code, part.communities, result, seconds=time.perf_counter() - began)
    if run_id:
        uow.division_runs.end_part(
            run_id, part.code, outcome=asdict(result), input_fingerprint=fingerprint, seconds=outcome.seconds
        )
    return outcome


def record_failure(uow: UnitOfWork, run_id: str, order: DivisionOrder, part: Part, reason: str, seconds: float) -> None:
    """Record that a part could not be divided, and give up the drafts of its former input; the caller commits."""
    _discard(uow, part, order)
    uow.division_runs.end_part(run_id, part.code, reason=reason, seconds=seconds)


def finish_run(uow: UnitOfWork, run_id: str) -> None:
    """Record that a run has ended; the caller commits."""
    uow.division_runs.finish(run_id)


def summed(run_id: str | None, outcomes: Sequence[PartOutcome], seconds: float) -> DivisionRunResult:
    """Return what the parts of a run came to together, in code order."""
    outcomes = sorted(outcomes, key=lambda o: o.code)
    done = [(o.code, o.result) for o in outcomes if o.result is not None]
    results = [result for _, result in done]
    border = sum(r.border_m for r in results)
    return DivisionRunResult(
        run_id=run_id,
        communities=sum(r.communities for r in results),
        unit_grids=sum(r.unit_grids for r in results),
        governance_grids=sum(r.governance_grids for r in results),
        gap_area_m2=sum(r.gap_area_m2 for r in results),
        overlap_area_m2=sum(r.overlap_area_m2 for r in results),
        buildings_cut=sum(r.buildings_cut for r in results),
        failed=[(o.code, o.reason) for o in outcomes if o.result is None] + [f for r in results for f in r.failed],
        seconds=seconds,
        in_household_band=sum(r.in_household_band for r in results),
        border_on_lines=sum((r.border_on_lines or 0.0) * r.border_m for r in results) / border if border else None,
        retired=sum(r.retired for r in results),
        inserted=sum(r.inserted for r in results),
        unchanged=sum(r.unchanged for r in results),
        redraws={code: result.redraws for code, result in done if result.redraws},
        notes={code: note for r in results for code, note in r.notes.items()},
        stages=_added(r.stages for r in results),
        parts=[
            {
                "code": o.code,
                "state": "failed" if o.result is None else "done",
                "reason": o.reason,
                "communities": o.communities,
                "divided": o.result.communities if o.result else 0,
                "seconds": round(o.seconds, 2),
            }
            for o in outcomes
        ],
    )


def _added(stages: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for one in stages:
        total.update(one)
    return {label: round(seconds, 3) for label, seconds in total.items()}


def redraw_ids(redraws: Any) -> Iterator[str]:
    """Return the ids in the ``redraws`` of a result, each once."""
    values = redraws.values() if isinstance(redraws, Mapping) else [redraws]
    yield from dict.fromkeys(value for value in values if value)


def _outcome(part: Mapping[str, Any]) -> PartOutcome:
    stored = part["outcome"]
    result = None
    if stored is not None:
        result = replace(DivideResult(**stored), failed=[tuple(pair) for pair in stored["failed"]])
    return PartOutcome(part["part_code"], part["communities"], result, part["reason"], part["seconds"] or 0.0)


def _discard(uow: UnitOfWork, part: Part, order: DivisionOrder) -> None:
    for redraw_id in part.replaces:
        redraw = uow.redraws.get(redraw_id)
        if redraw["state"] == "draft":
            uow.redraws.discard(redraw_id, order.actor, order.at)
