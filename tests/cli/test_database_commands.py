"""``gridsvc db``: init, status, backup, restore, psql through the real entry point."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridsvc.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.postgis


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gridsvc-db-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def gridsvc(var_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from gridsvc.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env={"PATH": "/usr/bin:/bin", "GRIDSVC_VAR": str(var_dir)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def filled(folder: Path) -> Iterator[Path]:
    """A folder with a database of ours; its server is held, so that not every command starts and stops it."""
    var_dir = folder / "filled"
    assert gridsvc(var_dir, "db", "init").returncode == 0
    with EmbeddedPostgres(var_dir):
        yield var_dir


@pytest.fixture(scope="module")
def dump(filled: Path, folder: Path) -> Path:
    """A backup of that database."""
    path = folder / "whole.dump"
    assert gridsvc(filled, "db", "backup", str(path)).returncode == 0
    return path


def test_init_twice_changes_nothing_the_second_time(filled: Path):
    again = json.loads(gridsvc(filled, "db", "init", "--json").stdout)

    assert again["changed"] is False
    assert again["after"] == again["before"]


def test_status_names_place_and_versions(filled: Path):
    found = json.loads(gridsvc(filled, "db", "status", "--json").stdout)

    assert found["at_head"] is True
    assert found["postgis_version"].startswith("3.")
    assert found["place"] == str(filled / "postgres" / "data")


@pytest.mark.slow
def test_a_backup_restores_into_an_empty_database_with_every_row(filled: Path, folder: Path, dump: Path):
    count = "SELECT count(*), md5(string_agg(code, ',' ORDER BY edition, code)) FROM categories"

    restored = gridsvc(folder / "other", "db", "restore", str(dump), "--json")

    assert json.loads(restored.stdout)["at_head"] is True
    wanted = gridsvc(filled, "db", "psql", "-Atc", count).stdout
    assert gridsvc(folder / "other", "db", "psql", "-Atc", count).stdout == wanted != ""


@pytest.mark.slow
def test_a_restore_over_tables_is_refused(filled: Path, dump: Path):
    done = gridsvc(filled, "db", "restore", str(dump))

    assert done.returncode == 1
    assert "not empty" in done.stderr


@pytest.mark.slow
def test_a_cut_backup_restores_nothing_at_all(folder: Path, dump: Path):
    cut = folder / "cut.dump"
    cut.write_bytes(dump.read_bytes()[: dump.stat().st_size * 3 // 4])

    done = gridsvc(folder / "cut", "db", "restore", str(cut))

    assert done.returncode == 1
    assert json.loads(gridsvc(folder / "cut", "db", "status", "--json").stdout)["revision"] is None


@pytest.mark.slow
def test_a_backup_never_overwrites(filled: Path, folder: Path):
    there = folder / "there.dump"
    there.write_text("precious")

    done = gridsvc(filled, "db", "backup", str(there))

    assert done.returncode == 1
    assert there.read_text() == "precious"


@pytest.mark.slow
def test_something_else_is_no_backup(filled: Path, folder: Path):
    other = folder / "other.txt"
    other.write_text("hello")

    done = gridsvc(filled, "db", "restore", str(other))

    assert done.returncode == 1
    assert "no database backup" in done.stderr


def test_psql_passes_on_arguments_and_exit_status(filled: Path):
    assert gridsvc(filled, "db", "psql", "-Atc", "SELECT 6 * 7").stdout == "42\n"
    assert gridsvc(filled, "db", "psql", "-v", "ON_ERROR_STOP=1", "-c", "SELECT nonsense").returncode == 1
