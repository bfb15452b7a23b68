"""COPY of frames: every kind of value goes in and comes out the same."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from factories.stored_town import START, division_frame, frame, report_frame, street_frame
from sqlalchemy import text

from gridsvc.errors import CrsMismatchError, RequestInvalidError
from gridsvc.store.bulk import copy_frame, copy_rows, staged
from gridsvc.store.tables import imports, reports, streets, users

pytestmark = pytest.mark.postgis

AWKWARD = ['a,"b"', "\\.", "", "行\n二", "tab\tend ", "NULL", "\\N", "🙂", "'; DROP TABLE streets; --"]


def named_streets(names):
    line = street_frame().geometry.iloc[0]
    columns = {
        "street_code": [f"S{i}" for i in range(len(names))],
        "name": names,
        "street_class": "path",
        "is_walkable": True,
    }
    return frame(columns, [line] * len(names))


def test_awkward_text_survives(connection):
    assert copy_frame(connection, streets, named_streets(AWKWARD)) == len(AWKWARD)

    assert connection.scalars(text("SELECT name FROM streets ORDER BY street_id")).all() == AWKWARD


def test_missing_values_are_null(uow):
    uow.reports.ensure_months(START, datetime(2026, 3, 1, tzinfo=UTC))
    rows = report_frame(2, accuracy_m=[np.nan, 3.5], community_code=[None, "420103001001"])

    copy_frame(uow.connection, reports, rows)

    stored = uow.connection.execute(text("SELECT accuracy_m, community_code FROM reports ORDER BY report_id")).all()
    assert stored == [(None, None), (3.5, "420103001001")]


def test_instants_keep_their_microseconds_whatever_their_zone(uow):
    at = pd.Timestamp("2026-02-01T07:59:59.123456+08:00")
    uow.reports.ensure_months(at.to_pydatetime(), at.to_pydatetime())

    copy_frame(uow.connection, reports, report_frame(1, reported_at=[at]))

    assert uow.connection.scalar(text("SELECT reported_at FROM reports")) == datetime(
        2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC
    )


def test_coordinates_keep_every_bit(uow):
    put = division_frame()
    uow.divisions.put_frame(put, START)

    found = uow.divisions.list(at=START)

    bounds = put.set_index("code").geometry.bounds
    assert found.set_index("code").geometry.bounds.loc[bounds.index].equals(bounds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"layer": 1.5}, "layer", id="a fraction where a whole number belongs"),
        pytest.param({"name": 5}, "name", id="a number where text belongs"),
        pytest.param({"is_walkable": "maybe"}, "is_walkable", id="text where yes or no belongs"),
    ],
)
def test_values_of_another_type_are_refused_with_the_column(connection, changes, message):
    with pytest.raises(RequestInvalidError, match=message):
        copy_frame(connection, streets, named_streets(["a"]).assign(**changes))


def test_text_with_nul_is_refused(connection):
    with pytest.raises(RequestInvalidError):
        copy_frame(connection, streets, named_streets(["a\x00b"]))


def test_another_crs_or_none_is_refused(connection):
    with pytest.raises(CrsMismatchError, match="WGS 84"):
        copy_frame(connection, streets, named_streets(["a"]).to_crs(4326))
    with pytest.raises(CrsMismatchError, match="none"):
        copy_frame(connection, streets, named_streets(["a"]).set_crs(None, allow_override=True))


def test_an_empty_frame_copies_nothing(connection):
    assert copy_frame(connection, streets, named_streets(["a"]).iloc[:0]) == 0


def test_plain_rows(connection):
    assert (
        copy_rows(
            connection,
            users,
            ["login", "name", "role", "scope_prefix"],
            [("a", "甲", "viewer", ""), ("b", "乙", "viewer", "42")],
        )
        == 2
    )
    assert connection.scalar(text("SELECT count(*) FROM users")) == 2


def test_nested_values_become_json(connection):
    rows = pd.DataFrame(
        {
            "kind": ["x"],
            "file_name": "f",
            "file_sha256": "s",
            "datum": "wgs84",
            "rows_stored": 1,
            "rows_refused": 0,
            "refused": [[{"行": 1}]],
        }
    )

    copy_frame(connection, imports, rows)

    assert connection.scalar(text("SELECT refused FROM imports")) == [{"行": 1}]


def test_a_staging_table_is_gone_afterwards(connection):
    with staged(connection, streets, named_streets(["a"])) as stage:
        assert connection.scalar(text(f"SELECT count(*) FROM {stage}")) == 1

    assert connection.scalar(text("SELECT to_regclass(:name)"), {"name": stage}) is None
