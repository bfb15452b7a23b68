"""The secret key, the ending in order, and the server's memory settings."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from gridsvc.bootstrap import ending_in_order, secret_key
from gridsvc.settings import read_settings
from gridsvc.store.embedded import libpq_url, server_settings

GIBIBYTE = 1 << 30


def test_secret_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path):
    settings = dataclasses.replace(read_settings({}), var_dir=tmp_path / "var")

    first, second = secret_key(settings), secret_key(settings)

    assert first == second
    assert len(first) == 64
    assert (tmp_path / "var" / "secret-key").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "var").iterdir()] == ["secret-key"]


def test_a_set_secret_key_is_used_and_nothing_is_written(tmp_path: Path):
    settings = dataclasses.replace(read_settings({}), var_dir=tmp_path / "var", secret_key="chosen")

    assert secret_key(settings) == "chosen"
    assert not (tmp_path / "var").exists()


def test_sigterm_lets_the_program_end_in_order():
    ended = []

    with pytest.raises(SystemExit) as stopped, ending_in_order():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            ended.append(True)

    assert ended == [True]
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("memory_gib", "shared_buffers", "work_mem"),
    [(1, "153MB", "16MB"), (8, "1228MB", "64MB"), (24, "2048MB", "64MB"), (256, "2048MB", "64MB")],
)
def test_memory_settings_follow_the_machine(memory_gib: int, shared_buffers: str, work_mem: str):
    settings = server_settings(memory_gib * GIBIBYTE)

    assert settings["shared_buffers"] == shared_buffers
    assert settings["work_mem"] == work_mem


def test_no_setting_trades_durability():
    settings = server_settings(8 * GIBIBYTE)

    assert settings["fsync"] == settings["synchronous_commit"] == "on"


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u@/d?host=/s", "postgres://u@/d?host=/s", "postgresql://u@/d?host=/s"]
)
def test_libpq_gets_a_url_without_the_driver(url: str):
    assert libpq_url(url) == "postgresql://u@/d?host=/s"
