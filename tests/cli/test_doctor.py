"""``gridsvc doctor``: each fault it looks for is found, named, and told how to mend."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from gridsvc.services import health_checks
from gridsvc.settings import Settings, read_settings
from gridsvc.store import migrate
from gridsvc.store.embedded import EmbeddedPostgres
from gridsvc.store.engine import make_engine


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="gridsvc-doctor-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder)) as running:
            yield running


@pytest.fixture
def engine(server: EmbeddedPostgres) -> Iterator[Engine]:
    server.create_database("examined")
    made = make_engine(server.url("examined"))
    yield made
    made.dispose()
    server.drop_database("examined")


def settings_with(**changes: object) -> Settings:
    return dataclasses.replace(read_settings({}), **changes)


def run_doctor(**environment: str) -> tuple[int, list[dict[str, object]]]:
    program = "from gridsvc.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", "--json"], env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def by_check(findings: list[health_checks.Finding]) -> dict[str, health_checks.Finding]:
    return {f.check: f for f in findings}


@pytest.mark.postgis
def test_a_database_without_tables_is_behind_and_told_the_command(server: EmbeddedPostgres):
    status, findings = run_doctor(GRIDSVC_VAR=str(server.var_dir), GRIDSVC_PORT="0")

    found = {f["check"]: f for f in findings}
    assert status == 1
    assert not found["migrations"]["ok"]
    assert "gridsvc db upgrade" in found["migrations"]["mend"]
    assert str(server.data_dir) in found["database"]["found"]


@pytest.mark.postgis
def test_an_upgraded_database_is_well(engine: Engine):
    migrate.upgrade(engine)

    findings = by_check(list(health_checks.check_schema(engine, embedded=True)))

    assert all(f.ok for f in findings.values()), findings


@pytest.mark.postgis
def test_a_wrong_srid_is_named_with_its_column(engine: Engine):
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE water_areas"))
        connection.execute(text("CREATE TABLE water_areas (geom geometry(MultiPolygon, 3857))"))

    finding = health_checks.check_srids(engine)

    assert not finding.ok
    assert "water_areas.geom has SRID 3857, wanted 4490" in finding.found


@pytest.mark.postgis
def test_a_schema_of_a_newer_program_is_told(engine: Engine):
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_from_the_future'"))

    finding = by_check(list(health_checks.check_schema(engine, embedded=True)))["migrations"]

    assert not finding.ok
    assert "newer gridsvc" in finding.found + finding.mend


def test_an_unreachable_database_is_one_sentence():
    settings = settings_with(database_url="postgresql://nobody@127.0.0.1:1/nothing")

    (finding,) = health_checks.check_database(settings)

    assert not finding.ok
    assert finding.mend


def test_a_taken_port_is_told():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        finding = health_checks.check_port(settings_with(port=port))

    assert not finding.ok
    assert f"127.0.0.1:{port}" in finding.found
    assert "GRIDSVC_PORT" in finding.mend


def test_our_own_server_on_the_port_is_no_fault(tmp_path: Path):
    with socket.socket() as ours, (tmp_path / "serve.json").open("w+") as note:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        port = ours.getsockname()[1]
        json.dump({"host": "127.0.0.1", "port": port, "pid": 1}, note)
        note.flush()
        fcntl.flock(note, fcntl.LOCK_SH)

        finding = health_checks.check_port(settings_with(port=port, var_dir=tmp_path))

    assert finding.ok
    assert "gridsvc serve" in finding.found


def test_a_full_disk_is_told():
    finding = health_checks.check_disk("disk", Path("/tmp/not/there/yet"), free_bytes=lambda _: 5 << 20)

    assert not finding.ok
    assert "5 MiB free" in finding.found


def test_a_place_for_photos_is_written_to_and_left_clean(tmp_path: Path):
    findings = list(health_checks.check_photos(settings_with(photos=str(tmp_path / "photos"))))

    assert [(f.check, f.ok) for f in findings] == [("photos", True), ("disk of the photos", True)]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_place_for_photos_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    findings = list(health_checks.check_photos(settings_with(photos=str(tmp_path / "file" / "photos"))))

    assert [(f.check, f.ok) for f in findings] == [("photos", False)]
    assert "GRIDSVC_PHOTOS" in findings[0].mend


@pytest.mark.parametrize("state", ["no manifest", "a file gone"])
def test_missing_front_end_files_are_told(tmp_path: Path, state: str):
    vendor = tmp_path / "web" / "static" / "vendor"
    vendor.mkdir(parents=True)
    if state == "a file gone":
        (vendor / "manifest.json").write_text('{"web/static/vendor/map.mjs": "00"}')

    finding = health_checks.check_frontend(tmp_path)

    assert not finding.ok
    assert "./run setup" in finding.mend


def test_a_missing_chinese_font_is_told(tmp_path: Path):
    (tmp_path / "DejaVuSans.ttf").touch()

    finding = health_checks.check_chinese_font((tmp_path,))

    assert not finding.ok
    assert "fonts-wqy-microhei" in finding.mend


def test_missing_server_programs_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gridsvc.store.embedded.installed_versions", list)
    monkeypatch.setenv("PATH", "/nowhere")

    finding = health_checks.check_postgres_programs()

    assert not finding.ok
    assert "apt-get install postgresql-15" in finding.mend


def test_missing_postgis_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health_checks, "installed_versions", lambda: ["15"])
    monkeypatch.setattr(health_checks, "postgis_installed", lambda _: False)

    finding = health_checks.check_postgis_package()

    assert not finding.ok
    assert finding.mend == "Run: apt-get install postgresql-15-postgis-3"


def test_an_impossible_setting_is_told_and_ends_the_examination():
    status, findings = run_doctor(GRIDSVC_PORT="eighty")

    assert status == 1
    assert [f["check"] for f in findings] == ["settings"]
    assert "GRIDSVC_PORT" in findings[0]["found"]
