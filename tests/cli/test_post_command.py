"""``gridsvc post`` through its real entry point: what it posts, that it goes on, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager

import openpyxl
import pytest
from factories import served_town
from werkzeug.serving import make_server

from gridsvc.bootstrap import App
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web import create_app

pytestmark = [pytest.mark.postgis, pytest.mark.slow]
HEADER = ["工单号", "小类代码", "上报时间", "经度", "纬度", "描述", "来源"]
ROWS = [[f"WO-{n}", "E06001", f"2026-03-05 09:{n:02d}:00", 114.253, 30.585, f"第{n}件", "热线"] for n in range(12)]
HOW = ["--datum", "wgs84", "--timezone", "Asia/Shanghai"]


@pytest.fixture
def engine(town_database):
    made = make_engine(town_database)
    yield made
    made.dispose()


@contextmanager
def serving(engine, port=0):
    settings = served_town.settings()
    app = create_app(App(settings, engine), settings)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url(engine):
    with serving(engine) as address:
        yield address


@pytest.fixture
def post(tmp_path):
    """Return a function that runs the command and returns (exit status, output, errors)."""

    def run(file, *options, url=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GRIDSVC_")} | {
            "GRIDSVC_VAR": str(tmp_path / "var")
        }
        command = [
            sys.executable,
            "-m",
            "gridsvc.cli.main",
            "post",
            str(file),
            *(["--to", url] if url else []),
            *options,
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def workbook(tmp_path):
    book = openpyxl.Workbook()
    for row in [HEADER, *ROWS]:
        book.active.append(row)
    book.save(tmp_path / "热线.xlsx")
    return tmp_path / "热线.xlsx"


def stored(engine):
    with UnitOfWork(engine) as uow:
        return uow.reports.list(limit=None)


def test_the_rows_of_a_workbook_are_reports_on_the_server_and_posting_again_posts_nothing(post, url, engine, workbook):
    first = post(workbook, *HOW, "--batch", "5", "--json", url=url)
    again = post(workbook, *HOW, "--json", url=url)

    assert (first[0], again[0]) == (0, 0), first[2]
    said = json.loads(first[1])
    assert (said["reports"], said["created"], said["repeated"], said["refused"], said["waiting"]) == (12, 12, 0, 0, 0)
    assert (json.loads(again[1])["sent_before"], json.loads(again[1])["created"]) == (12, 0)
    reports = stored(engine)
    assert len(reports) == 12
    assert set(reports["source"]) == {"hotline"}
    assert str(reports["reported_at"].min()) == "2026-03-05 01:00:00+00:00"


def test_with_the_outbox_lost_the_server_still_recognises_every_report(post, url, engine, workbook, tmp_path):
    post(workbook, *HOW, "--outbox", str(tmp_path / "one"), url=url)
    again = post(workbook, *HOW, "--outbox", str(tmp_path / "two"), "--json", url=url)

    assert (json.loads(again[1])["created"], json.loads(again[1])["repeated"]) == (0, 12)
    assert len(stored(engine)) == 12


def test_a_silent_server_is_exit_1_and_the_same_command_goes_on(post, engine, workbook):
    with serving(engine) as address:
        port = int(address.rpartition(":")[2])
    silent = post(workbook, *HOW, "--patience", "1", url=address)
    with serving(engine, port):
        resumed = post(workbook, *HOW, "--json", url=address)

    assert silent[0] == 1
    assert "12 of 12 reports still wait" in silent[2] and "goes on where it was" in silent[2]
    assert (resumed[0], json.loads(resumed[1])["created"]) == (0, 12)


def test_what_the_server_refuses_is_listed_with_exit_1(post, url, engine, tmp_path):
    file = tmp_path / "reports.ndjson"
    bodies = [
        served_town.report_body(report_id=str(uuid.uuid4())),
        served_town.report_body(report_id=str(uuid.uuid4()), lon=10.0),
    ]
    file.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
    status, output, errors = post(file, "--json", url=url)

    assert status == 1
    assert json.loads(output)["problems"] == {"position-outside-coverage": 1}
    assert json.loads(output)["refusals"][0]["report_id"] == bodies[1]["report_id"]
    assert "position-outside-coverage" in errors
    assert len(stored(engine)) == 1


def test_rows_with_faults_refuse_the_file_before_anything_is_sent(post, url, engine, tmp_path):
    file = tmp_path / "bad.csv"
    rows = [
        HEADER,
        ["A", "E06001", "2026-03-05T09:00:00+08:00", "114.253", "30.585", "", ""],
        ["B", "", "yesterday", "x", "30.585", "", ""],
    ]
    file.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    refused = post(file, "--datum", "wgs84", url=url)
    before = len(stored(engine))
    partial = post(file, "--datum", "wgs84", "--partial", "--json", url=url)

    assert (refused[0], before) == (1, 0)
    assert "row 2" in refused[2] and "reported_at" in refused[2] and "category_code" in refused[2]
    assert (partial[0], json.loads(partial[1])["created"], json.loads(partial[1])["rows_refused"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        pytest.param(["--to", "ftp://x"], 1, "not the address of a server", id="no address"),
        pytest.param(["--batch", "0"], 2, "--batch", id="empty batches"),
        pytest.param(["--rate", "0"], 2, "--rate", id="no rate"),
        pytest.param(["--dry-run"], 0, "", id="only checked"),
    ],
)
def test_options_are_checked_before_anything_is_sent(post, workbook, options, status, words):
    done = post(workbook, *HOW, *options)

    assert done[0] == status
    assert words in done[2]


def test_no_datum_is_refused(post, workbook, url):
    status, _, errors = post(workbook, "--timezone", "Asia/Shanghai", url=url)

    assert status == 1
    assert "no datum was declared" in errors
