"""``./run`` and ``.ci/run``: verbs, refusals, and that a green run means tests ran."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script), *arguments], env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with ``run`` and ``.ci/run`` only."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / "run", tmp_path / "run")
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    return tmp_path


def test_no_verb_lists_the_verbs():
    done = run(ROOT / "run")

    assert done.returncode == 0
    for verb in ("setup", "demo", "serve", "test", "lint", "bench", "fmt"):
        assert f"  {verb} " in done.stdout


def test_an_unknown_verb_is_wrong_usage():
    assert run(ROOT / "run", "dance").returncode == 2


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_scripts_are_valid_and_executable(script: str):
    assert subprocess.run(["bash", "-n", str(ROOT / script)], check=False).returncode == 0
    assert (ROOT / script).stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("lint", "test", "last_line", "expected"),
    [
        (0, 0, "== 12 passed in 3.21s ==", 0),
        (0, 5, "== no tests ran in 0.01s ==", 1),
        (0, 0, "== 7 skipped in 0.10s ==", 1),
        (0, 0, "", 1),
        (0, 1, "== 1 failed, 11 passed in 3.2s ==", 1),
        (1, 0, "== 12 passed in 3.21s ==", 1),
    ],
    ids=["all well", "nothing collected", "all skipped", "silence", "a failure", "lint fails"],
)
def test_ci_is_green_only_when_lint_and_some_tests_passed(
    checkout: Path, lint: int, test: int, last_line: str, expected: int
):
    (checkout / "run").write_text(
        f'#!/usr/bin/env bash\nif [ "$1" = lint ]; then exit {lint}; fi\necho "{last_line}"\nexit {test}\n'
    )

    done = run(checkout / ".ci" / "run")

    assert done.returncode == expected, done.stdout + done.stderr


@pytest.fixture
def benchmarks(checkout: Path) -> Path:
    """A checkout whose set-up is done, whose Python says what it is told, with two benchmarks and a module they share."""
    script = (checkout / "run").read_text()
    script = script.replace("run_bench() {", "setup() { mkdir -p var/stamps var/log .venv/bin; }\nrun_bench() {")
    (checkout / "run").write_text(script)
    (checkout / "benchmarks").mkdir()
    for name in ("walking.py", "swimming.py", "_pool.py", "requirements.lock"):
        (checkout / "benchmarks" / name).write_text("peer==1 --hash=sha256:0\n")
    (checkout / "requirements.lock").write_text("")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text('#!/bin/bash\nif [ "$2" = pip ]; then mkdir -p "${*: -3:1}"; fi\necho "$PYTHONPATH: $*"\n')
    python.chmod(0o755)
    return checkout


def test_an_unknown_benchmark_is_named(benchmarks: Path):
    done = run(benchmarks / "run", "bench", "flying")

    assert done.returncode == 1
    assert "no benchmark flying; there are: swimming.py walking.py" in done.stderr


def test_peers_are_installed_once_beside_the_locked_packages_and_options_reach_the_benchmark(benchmarks: Path):
    first = run(benchmarks / "run", "bench", "walking", "--runs", "2")
    again = run(benchmarks / "run", "bench")

    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "installing 1 locked packages to compare with" in first.stdout
    assert "installing" not in again.stdout
    assert f"{benchmarks}/var/peers: benchmarks/walking.py --runs 2" in first.stdout
    assert "swimming.py" in again.stdout and "walking.py" in again.stdout and "_pool" not in again.stdout


def test_a_failing_step_ends_setup_with_the_end_of_its_log(checkout: Path):
    script = (checkout / "run").read_text().replace("ensure_venv\n        ensure_frontend", "step venv breaking broken")
    (checkout / "run").write_text(script.replace("setup() {", "broken() { echo the reason; return 3; }\nsetup() {"))

    done = run(checkout / "run", "setup")

    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "the reason" in done.stderr
    assert "ready" not in done.stdout
