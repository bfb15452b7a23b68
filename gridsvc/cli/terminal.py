"""What all commands share at the terminal: progress, results, the clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from gridsvc.progress import SILENT, Progress


class TerminalProgress:
    """Shows the present step as a bar on standard error (a spinner while its size is unknown)."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = None

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a step of ``total`` units; the step before it is shown as done."""
        self._finish()
        self._task = self._bars.add_task(label, total=total)

    def advance(self, units: int = 1) -> None:
        """Move the bar by ``units``."""
        if self._task is not None:
            self._bars.advance(self._task, units)

    def _finish(self) -> None:
        if self._task is None:
            return
        task = next(t for t in self._bars.tasks if t.id == self._task)
        total = task.total if task.total is not None else max(task.completed, 1)
        self._bars.update(self._task, total=total, completed=total)


@contextmanager
def progress(silent: bool = False) -> Iterator[Progress]:
    """Yield a Progress shown on standard error; silent with ``silent`` (--json) or when that is no terminal."""
    if silent or not sys.stderr.isatty():
        yield SILENT
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        shown = TerminalProgress(bars)
        yield shown
        shown._finish()


def print_result(result: Any, as_json: bool) -> None:
    """Print a result: one JSON document, or name and value by line (a list of mappings: one table)."""
    plain = _plain(result)
    if as_json:
        click.echo(json.dumps(plain, ensure_ascii=False, indent=2))
    elif isinstance(plain, dict):
        _print_mapping(plain)
    elif isinstance(plain, list) and plain and all(isinstance(row, dict) for row in plain):
        _print_table(plain)
    elif isinstance(plain, list):
        for row in plain:
            click.echo(str(row))
    else:
        click.echo(str(plain))


def _print_mapping(mapping: dict[str, Any]) -> None:
    width = max((len(name) for name in mapping), default=0)
    for name, value in mapping.items():
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        click.echo(f"{name.replace('_', ' '):<{width}}  {text}")


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in rows[0]:
        table.add_column(str(name).replace("_", " "))
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in rows[0]))
    Console().print(table)


def now() -> datetime:
    """Return the present instant, aware, in UTC: the command line is one of the few places that read the clock."""
    return datetime.now(UTC)


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it: dataclasses as objects, instants as ISO 8601, numpy scalars as numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    return str(value)
