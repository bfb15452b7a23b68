"""Sweeping: what nobody refers to goes, what was acknowledged stays, and what is missing is named."""

from __future__ import annotations

import json
import os
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from factories import photos as made
from factories import served_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.bootstrap import App
from gridsvc.services import photo_sweeping, photos, uploads
from gridsvc.services.photos import Sender, photo_rules
from gridsvc.settings import read_settings
from gridsvc.store.engine import make_engine

pytestmark = [pytest.mark.postgis, pytest.mark.filterwarnings("ignore::UserWarning:PIL")]
SENDER = Sender("tester", "")
RULES = photo_rules(read_settings({}))
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=2)


@pytest.fixture
def app(clean_database, tmp_path):
    """gridsvc on a database and a folder of this test."""
    settings = replace(read_settings({}), photos=str(tmp_path / "photos"))
    made_app = App(settings, make_engine(clean_database))
    yield made_app
    made_app.engine.dispose()


def take_whole(app, report_id, seed=1, at=NOW):
    return photos.take_photo(
        app.unit_of_work, app.photo_files, RULES, report_id, made.photo(seed), claimed_sha256=None, sender=SENDER, received_at=at,
    )  # fmt: skip


def take(app, seed=1, report_id=None, at=NOW):
    return take_whole(app, report_id or uuid.uuid4(), seed, at)[0]


def begin(app, data, at=NOW):
    with app.unit_of_work() as uow:
        upload = uploads.begin_upload(uow, RULES, uuid.uuid4(), len(data), sha256=None, sender=SENDER, at=at)
    return uuid.UUID(upload["upload_id"])


def add(app, upload_id, offset, data, at=NOW):
    return uploads.add_piece(app.unit_of_work, app.photo_files, RULES, upload_id, offset, data, sender=SENDER, at=at)


def files_of(app, kind="*.jpg"):
    return sorted(app.photo_files.folder.rglob(kind))


def age(paths, days=2):
    for path in paths:
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - days * 86400))


def test_files_without_a_row_go_when_they_are_a_day_old(app):
    take(app)
    kept = files_of(app)
    app.photo_files.write("pictures/00/00/" + "0" * 64 + ".jpg", b"orphan")
    unfinished = app.photo_files.folder / "pictures/00/00/.x.jpg.abc.part"
    unfinished.write_bytes(b"half")

    young = photo_sweeping.sweep(app.unit_of_work, app.photo_files, NOW)
    counted = photo_sweeping.sweep(app.unit_of_work, app.photo_files, LATER, dry_run=True)
    swept = photo_sweeping.sweep(app.unit_of_work, app.photo_files, LATER)

    assert (young.files_seen, young.files_deleted) == (4, 0)
    assert (counted.files_deleted, swept.files_deleted) == (2, 2)
    assert files_of(app, "*.*") == kept
    assert swept.missing_count == 0


def test_a_kept_photo_without_its_file_is_named(app):
    take(app)
    picture = next(path for path in files_of(app) if "small" not in path.name)
    picture.unlink()

    found = photo_sweeping.sweep(app.unit_of_work, app.photo_files, LATER)

    assert found.missing_count == 1
    assert found.missing[0].endswith(picture.name)


def test_photos_whose_report_never_came_are_given_up_late_and_others_never(app):
    with app.unit_of_work() as uow:
        served_town.put_town(uow)
        uow.reports.ensure_months(town.START, NOW)
        uow.connection.execute(
            text("INSERT INTO report_receipts (report_id, district_code, reported_at, body_sha256) VALUES (:id, '420103', now(), '')"),
            {"id": served_town.report_body()["report_id"]},
        )  # fmt: skip
        uow.commit()
    take(app, 1, report_id=uuid.UUID(served_town.report_body()["report_id"]))
    take(app, 2)
    half_a_year = NOW + timedelta(days=181)

    early = photo_sweeping.sweep(app.unit_of_work, app.photo_files, NOW + timedelta(days=179))
    late = photo_sweeping.sweep(app.unit_of_work, app.photo_files, half_a_year)

    assert (early.held_deleted, early.files_deleted) == (0, 0)
    assert (late.held_deleted, late.files_deleted) == (1, 2)
    assert len(files_of(app)) == 2


def test_an_orphan_sent_again_meanwhile_stays(app):
    first = take(app)
    with app.unit_of_work() as uow:
        uow.connection.execute(text("DELETE FROM photos"))
        uow.commit()
    age(files_of(app))
    holding, swept = threading.Event(), threading.Event()

    def send_slowly():
        # the photo comes again: its files are there already, its row is not committed when the sweeper looks
        with app.unit_of_work() as uow:
            photos.keep_photo(
                uow, app.photo_files, RULES, uuid.uuid4(), made.photo(), bytes.fromhex(first["sha256"]),
                photos.cleaned(made.photo(), RULES), sender=SENDER, received_at=NOW,
            )  # fmt: skip
            age(files_of(app))
            holding.set()
            swept.wait(1.0)
            uow.commit()

    sender = threading.Thread(target=send_slowly)
    sender.start()
    assert holding.wait(30)
    found = photo_sweeping.sweep(app.unit_of_work, app.photo_files, NOW)
    swept.set()
    sender.join()

    assert found.files_deleted == 0
    assert len(files_of(app)) == 2


def test_uploads_that_are_over_are_cleared_and_open_ones_stay(app):
    abandoned, alive = begin(app, made.photo(1)), begin(app, made.photo(2), at=LATER)
    add(app, abandoned, 0, made.photo(1)[:100])
    add(app, alive, 0, made.photo(2)[:100], at=LATER)

    found = photo_sweeping.clear_uploads(app.unit_of_work, app.photo_files, LATER)

    assert (found.uploads_expired, found.uploads_cleared) == (1, 1)
    assert app.photo_files.upload_ids() == [str(alive)]
    assert add(app, alive, 100, made.photo(2)[100:], at=LATER)["state"] == "complete"
    photo_sweeping.clear_uploads(app.unit_of_work, app.photo_files, LATER + timedelta(days=30))
    with app.unit_of_work() as uow:
        assert uow.photo_uploads.get(str(abandoned)) is None
        assert uow.photos.list_by_sha256(bytes.fromhex(made.sha256(made.photo(2))))


def test_the_server_clears_by_itself(app):
    from gridsvc.web.upload_clearing import clear_once, start_clearing_uploads

    upload_id = begin(app, made.photo(), at=NOW - timedelta(days=3))
    app.photo_files.write(f"uploads/{upload_id}/{0:012d}", b"left")

    ending = start_clearing_uploads(app, every_s=0.02)
    for _ in range(500):
        if not app.photo_files.upload_ids():
            break
        threading.Event().wait(0.02)
    ending.set()

    assert app.photo_files.upload_ids() == []
    assert clear_once(app).uploads_cleared == 0


def test_one_report_takes_no_more_than_its_limit_from_many_senders_at_once(app):
    report_id, rules = uuid.uuid4(), replace(RULES, per_report=3)
    outcomes = []

    def send(seed):
        try:
            photos.take_photo(
                app.unit_of_work, app.photo_files, rules, report_id, made.photo(seed, size=(80, 60)), claimed_sha256=None,
                sender=SENDER, received_at=NOW,
            )  # fmt: skip
            outcomes.append("kept")
        except photos.PhotosTooManyError:
            outcomes.append("refused")

    senders = [threading.Thread(target=send, args=(seed,)) for seed in range(5)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert sorted(outcomes) == ["kept"] * 3 + ["refused"] * 2


def test_one_photo_sent_many_times_at_once_is_kept_once(app):
    report_id, created = uuid.uuid4(), []

    def send():
        created.append(take_whole(app, report_id))

    senders = [threading.Thread(target=send) for _ in range(5)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert sorted(new for _, new in created) == [False] * 4 + [True]
    assert len({json.dumps(receipt, default=str) for receipt, _ in created}) == 1


def test_the_command_counts_and_sweeps(clean_database, tmp_path, monkeypatch):
    from gridsvc.cli.main import cli

    for name in [n for n in os.environ if n.startswith("GRIDSVC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GRIDSVC_DATABASE_URL", clean_database)
    monkeypatch.setenv("GRIDSVC_VAR", str(tmp_path))
    orphan = tmp_path / "photos/pictures/00/00" / ("0" * 64 + ".jpg")
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"orphan")
    age([orphan])

    counted = CliRunner().invoke(cli, ["photos", "sweep", "--dry-run", "--json"])
    assert orphan.exists()
    swept = CliRunner().invoke(cli, ["photos", "sweep", "--json"])
    again = CliRunner().invoke(cli, ["photos", "sweep", "--json"])

    assert [json.loads(r.output)["files_deleted"] for r in (counted, swept, again)] == [1, 1, 0], counted.output
    assert not orphan.exists()
