"""Results and progress at the terminal; help that loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gridsvc.cli.main import COMMANDS
from gridsvc.cli.terminal import TerminalProgress, now, print_result, progress
from gridsvc.progress import SILENT


@dataclass
class Result:
    name: str
    count: int
    at: datetime
    path: Path
    shares: list[float]


def test_json_knows_dataclasses_instants_paths_and_numpy(capsys: pytest.CaptureFixture[str]):
    result = Result("江汉区", np.int64(3), datetime(2026, 1, 1, tzinfo=UTC), Path("/a"), [np.float64(0.5)])

    print_result(result, as_json=True)

    assert json.loads(capsys.readouterr().out) == {
        "name": "江汉区", "count": 3, "at": "2026-01-01T00:00:00+00:00", "path": "/a", "shares": [0.5],
    }  # fmt: skip


def test_a_mapping_is_printed_by_line(capsys: pytest.CaptureFixture[str]):
    print_result({"rows_read": 5, "file": "a.csv"}, as_json=False)

    assert capsys.readouterr().out == "rows read  5\nfile       a.csv\n"


def test_a_list_of_mappings_is_a_table(capsys: pytest.CaptureFixture[str]):
    print_result([{"code": "420103", "name": "江汉区"}, {"code": "420102", "name": None}], as_json=False)

    out = capsys.readouterr().out
    assert "420103" in out and "江汉区" in out and "420102" in out


def test_progress_is_silent_where_it_would_disturb():
    with progress(silent=True) as shown:
        assert shown is SILENT


def test_a_step_left_by_the_next_is_shown_as_done():
    from rich.console import Console
    from rich.progress import Progress

    bars = Progress(console=Console(quiet=True))
    shown = TerminalProgress(bars)

    shown.start("one", 10)
    shown.advance(4)
    shown.start("two")

    assert [(t.description, t.completed, t.total) for t in bars.tasks] == [("one", 10, 10), ("two", 0, None)]


def test_now_is_aware():
    assert now().utcoffset() is not None


def test_help_loads_no_heavy_library():
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom gridsvc.cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "heavy = {'numpy', 'pandas', 'geopandas', 'shapely', 'sqlalchemy', 'flask', 'numba', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(name: str):
    import importlib

    module, attribute, _ = COMMANDS[name]
    command = getattr(importlib.import_module(module), attribute)

    assert "Example" in (command.help or "")
