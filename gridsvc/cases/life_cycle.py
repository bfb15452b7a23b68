"""The stages of a case and the moves between them: one table, read by code, tests and documentation.

Source: the closed loop 信息收集, 案卷建立, 任务派遣, 任务处理, 处理反馈, 核查结案 as practised by an open city platform
(docs/glossary.md lists it); the finder is not the handler, and the handler does not close.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a case: its Chinese name, who acts in it, and the stages it may move to."""

    name_zh: str
    actor: str
    next: tuple[str, ...]


STAGES: dict[str, Stage] = {
    "reported": Stage("上报", "reporter", ("verifying", "filed", "voided", "merged")),
    "verifying": Stage("核实", "worker", ("filed", "voided")),
    "filed": Stage("立案", "duty_supervisor", ("dispatched", "returned")),
    "dispatched": Stage("派遣", "dispatcher", ("handling", "returned")),
    "handling": Stage("处置", "department", ("handled", "deferred", "returned")),
    "deferred": Stage("缓办", "department", ("handling",)),
    "handled": Stage("反馈", "department", ("checking",)),
    "checking": Stage("核查", "worker", ("closed", "rework")),
    "rework": Stage("返工", "department", ("handling",)),
    "returned": Stage("回退", "receiver", ("filed", "dispatched")),
    "merged": Stage("并案", "duty_supervisor", ()),
    "closed": Stage("结案", "duty_supervisor", ("handling",)),
    "voided": Stage("作废", "duty_supervisor", ()),
}

# in these nobody works on the case any more; it keeps the grids it had
ENDED_STAGES = ("merged", "closed", "voided")
OPEN_STAGES = tuple(stage for stage in STAGES if stage not in ENDED_STAGES)


def is_move_allowed(stage: str, to_stage: str) -> bool:
    """Return whether a case in ``stage`` may move to ``to_stage``."""
    return to_stage in STAGES[stage].next
