"""How benchmarks measure and say it: CPU-seconds with their spread, the noise of the machine, goals held against figures."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Timing(Generic[Answer]):
    """CPU-seconds of several runs of the same work, per item, and the last answer."""

    seconds: list[float]
    answer: Answer

    @property
    def median_s(self) -> float:
        """The median, or nothing to speak of when there was no run."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{_ms(self.median_s)} ms ({_ms(low)} - {_ms(high)})"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.{max(0, 2 - int(np.floor(np.log10(max(seconds * 1000, 0.01)))))}f}"


def timed(work: Callable[[], Answer], *, runs: int, items: int = 1) -> Timing[Answer]:
    """Return the CPU-seconds (all threads) of ``runs`` runs, each divided by ``items``, and the last answer."""
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        answer = work()
        seconds.append((time.process_time() - began) / items)
    return Timing(seconds, answer)


def machine_noise(*, runs: int = 5) -> str:
    """Return a line that says how much the same fixed work differs from run to run on this machine now."""
    numbers = np.random.default_rng(1).uniform(size=400_000)
    timing = timed(lambda: [np.sort(np.sin(numbers)) for _ in range(3)], runs=runs)
    spread = max(timing.seconds) / min(timing.seconds) - 1
    load = os.getloadavg()[0]
    return f"machine: {os.cpu_count()} cores, load {load:.1f}; the same fixed work took {timing}, {spread:.0%} apart"


def goal(what: str, figure: float, wanted: float, form: str = "{:.1%}") -> str:
    """Return a line that says whether a figure reaches what is wanted of it."""
    word = "PASS " if figure >= wanted else "SHORT"
    return f"{word}  {what}: {form.format(figure)}, wanted at least {form.format(wanted)}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return rows of text under their heads, in columns."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [heads, *rows]
    ]
    return "\n".join(lines)
