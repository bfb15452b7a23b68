"""How long work reports where it is; the entry points decide how to show it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives steps and advances; implementations must be cheap to call."""

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a step of ``total`` units (None when unknown); the step before it is done."""

    def advance(self, units: int = 1) -> None:
        """Report ``units`` more done of the present step."""


class SilentProgress:
    """Shows nothing; for tests and for callers that do not care."""

    def start(self, label: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, units: int = 1) -> None:
        """Do nothing."""


SILENT = SilentProgress()
