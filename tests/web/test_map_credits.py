"""What the page's map says of its sources: the files imported, OpenStreetMap wherever it was used, never markup of a file's name."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from factories import served_town, stored_town
from sqlalchemy import text

pytestmark = pytest.mark.postgis


def settings_of(client, **kwargs):
    page = client.get("/", **kwargs).text
    found = re.search(r'<script type="application/json" id="settings">(.*?)</script>', page, re.DOTALL)
    return json.loads(found.group(1))


def imported(connection, name, kind="streets"):
    connection.execute(
        text(
            "INSERT INTO imports (kind, file_name, file_sha256, datum, rows_stored, rows_refused)"
            " VALUES (:kind, :name, 'x', 'wgs84', 1, 0)"
        ),
        {"kind": kind, "name": name},
    )


def test_the_files_imported_are_named_as_text(town_client, connection):
    imported(connection, "<b>roads</b>.parquet")

    line = settings_of(town_client)["attribution"][0]

    assert html.unescape(line).startswith("数据：") and "&lt;b&gt;roads&lt;/b&gt;.parquet" in line and "<" not in line


def test_a_long_list_of_files_is_cut_and_counted(town_client, connection):
    for number in range(5):
        imported(connection, f"file{number}.parquet", kind=f"kind{number}")

    assert settings_of(town_client)["attribution"][0].endswith("file0.parquet, file1.parquet, file2.parquet (+2)")


def test_openstreetmap_is_credited_when_streets_came_from_it(town_client, connection):
    assert "OpenStreetMap" not in str(settings_of(town_client)["attribution"])

    connection.execute(text("UPDATE streets SET source = 'OpenStreetMap 2026-01'"))

    assert "© OpenStreetMap 贡献者 (ODbL)" in settings_of(town_client)["attribution"][-1]


def test_reports_of_the_last_thirty_days_are_shown_first_when_there_are_any(town_client, still_clock):
    none = settings_of(town_client)
    assert (none["reportWindow"], none["newestReport"]) == ("all", None)

    body = served_town.report_body(occurred_at="2026-06-20T09:30:00+08:00")
    assert town_client.post("/api/v1/reports", json=body).status_code == 201
    one = settings_of(town_client)
    assert (one["reportWindow"], one["newestReport"]) == ("days30", "2026-06-20T01:30:00Z")


@pytest.mark.parametrize(("lately", "window"), [(0, "all"), (9, "all"), (10, "days30")])
def test_few_reports_lately_do_not_hide_all_the_older_ones(town_client, open_uow, still_clock, lately, window):
    days = [still_clock - timedelta(days=60)] * 20 + [still_clock - timedelta(days=1)] * lately
    with open_uow() as uow:
        uow.reports.add_frame(stored_town.report_frame(len(days), reported_at=days))
        uow.commit()

    shown = settings_of(town_client)

    assert shown["reportWindow"] == window
    assert shown["newestReport"] == ("2026-06-30T04:00:00Z" if lately else "2026-05-02T04:00:00Z")


def test_the_newest_reports_are_those_of_ones_own_area_before_the_instant_shown(
    town_client, token_of, open_uow, still_clock
):
    days = [still_clock - timedelta(days=n) for n in range(1, 5)]
    with open_uow() as uow:
        uow.reports.add_frame(stored_town.report_frame(4, reported_at=days))
        uow.commit()
    # the reports lie in the four communities in turn
    headers = token_of(scope=stored_town.COMMUNITIES[2])

    assert settings_of(town_client, headers=headers)["newestReport"] == "2026-06-28T04:00:00Z"
    assert (
        settings_of(town_client, query_string={"at": "2026-06-29T00:00:00Z"})["newestReport"] == "2026-06-28T04:00:00Z"
    )
    assert settings_of(town_client, headers=token_of(scope="110101", login="other"))["newestReport"] is None
