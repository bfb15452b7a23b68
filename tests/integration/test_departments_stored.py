"""Departments and duties: imported from files, dated, retired, written out and read back; cut to the scope."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from factories.stored_town import COMMUNITIES, DISTRICT, LATER, START, STREETS, division_frame, grid_frame

from gridsvc.errors import ForbiddenError, ImportRefusedError, NotFoundError, RequestInvalidError
from gridsvc.services.departments import export_table, retire_departments, retire_duties, table_of
from gridsvc.services.importing import import_file

pytestmark = pytest.mark.postgis
GRID = f"{COMMUNITIES[0]}001"
NEW_YEAR = datetime(2026, 12, 31, 16, tzinfo=UTC)

DEPARTMENTS = {
    "部门代码": ["FIRE", "ROADS"],
    "部门名称": ["江汉区消防大队", "江汉区城管执法大队"],
    "部门类别": ["消防", "D01"],
    "区划代码": [DISTRICT, DISTRICT],
}
DUTIES = {
    "部门代码": ["FIRE", "ROADS", "ROADS"],
    "网络": ["", "城市管理", "security"],
    "责任范围": [DISTRICT, STREETS[0], GRID],
    "大类代码": ["", "E06", ""],
    "失效时间": ["", "", "2027-01-01"],
}


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    redraw = uow.redraws.open_draft("security", DISTRICT, "imported", "test", START)
    uow.redraws.put_grids(redraw, grid_frame(network="security", kind="security"))
    uow.redraws.approve(redraw, "test", START, START, {})
    return uow


def brought(town, tmp_path, kind: str, columns: dict, **options):
    path = tmp_path / f"{kind}.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    options = {"datum": None, "valid_from": START, "timezone": "Asia/Shanghai"} | options
    return import_file(town, kind, path, **options)


@pytest.fixture
def staffed(town, tmp_path):
    brought(town, tmp_path, "departments", DEPARTMENTS)
    brought(town, tmp_path, "duties", DUTIES)
    return town


def test_duties_get_a_code_that_says_what_they_are(staffed):
    duties = table_of(staffed, "duties", at=START)

    assert duties["duty_code"].tolist() == [
        f"FIRE:all:{DISTRICT}:all:all",
        f"ROADS:security:{GRID}:all:all",
        f"ROADS:urban:{STREETS[0]}:gbt-47678.5-2026:E06",
    ]
    assert table_of(staffed, "departments", at=START)["kind_code"].tolist() == ["D03", "D01"]


def test_a_row_holds_until_its_own_end(staffed):
    assert len(table_of(staffed, "duties", at=NEW_YEAR.replace(hour=15))) == 3
    assert len(table_of(staffed, "duties", at=NEW_YEAR)) == 2


def test_files_written_and_read_again_change_nothing(staffed, tmp_path):
    for what, suffix in (("departments", "xlsx"), ("duties", "csv"), ("duties", "xlsx")):
        out = tmp_path / f"out-{what}.{suffix}"
        export_table(staffed, what, out, at=START)

        result = import_file(staffed, what, out, datum=None, valid_from=LATER)

        assert (result.rows_stored, result.rows_unchanged) == (0, result.rows_read)
        assert result.rows_read == len(table_of(staffed, what, at=START))


def test_the_same_table_gives_the_same_bytes_and_another_suffix_is_refused(staffed, tmp_path):
    outs = [tmp_path / "a.xlsx", tmp_path / "b.xlsx"]
    for out in outs:
        export_table(staffed, "duties", out, at=START)

    assert outs[0].read_bytes() == outs[1].read_bytes()
    with pytest.raises(RequestInvalidError, match=r"Use \.csv or \.xlsx"):
        export_table(staffed, "duties", tmp_path / "a.gpkg", at=START)
    with pytest.raises(NotFoundError, match="no duties to export"):
        export_table(staffed, "duties", outs[0], at=START, prefix="4202")


def test_a_duty_that_changes_keeps_its_past(staffed, tmp_path):
    moved = {"duty_code": ["D1"], "department_code": ["FIRE"], "ground_code": [STREETS[0]]}
    brought(staffed, tmp_path, "duties", moved)
    brought(staffed, tmp_path, "duties", moved | {"ground_code": [STREETS[1]]}, valid_from=LATER)

    def ground(at):
        return staffed.department_duties.list("", at, codes=["D1"])["ground_code"].tolist()

    assert (ground(START), ground(LATER)) == ([STREETS[0]], [STREETS[1]])


def test_retired_departments_take_their_duties_with_them(staffed):
    done = retire_departments(staffed, ["ROADS"], at=LATER, actor="test")

    assert (done.departments, done.duties) == (1, 2)
    assert table_of(staffed, "departments", at=LATER)["department_code"].tolist() == ["FIRE"]
    assert table_of(staffed, "duties", at=LATER)["department_code"].tolist() == ["FIRE"]
    assert len(table_of(staffed, "duties", at=START)) == 3
    with pytest.raises(NotFoundError, match="1 of 1 codes name no department"):
        retire_departments(staffed, ["ROADS"], at=NEW_YEAR, actor="test")


def test_one_duty_is_retired(staffed):
    code = f"FIRE:all:{DISTRICT}:all:all"

    assert retire_duties(staffed, [code], at=LATER, actor="test").duties == 1
    assert code not in table_of(staffed, "duties", at=LATER)["duty_code"].tolist()
    with pytest.raises(RequestInvalidError, match="No duty is named"):
        retire_duties(staffed, [], at=LATER, actor="test")


@pytest.mark.parametrize(
    ("kind", "changes", "fault"),
    [
        ("departments", {"部门类别": ["消防", "炼金"]}, (2, "kind_code", "is not a kind of department")),
        ("departments", {"区划代码": [DISTRICT, "420199"]}, (2, "division_code", "is not a division stored")),
        ("departments", {"部门代码": ["A", "A"]}, (1, "department_code", "occurs 2 times")),
        ("departments", {"部门代码": ["A B", "A"]}, (1, "department_code", "is not up to 40")),
        ("duties", {"部门代码": ["NOBODY", "ROADS", "FIRE"]}, (1, "department_code", "is not a department stored")),
        ("duties", {"网络": ["", "铁路", "security"]}, (2, "network", "is not one of")),
        ("duties", {"网络": ["", "", ""]}, (3, "network", "is missing")),
        ("duties", {"责任范围": [DISTRICT, "x", GRID]}, (2, "ground_code", "is no code")),
        ("duties", {"责任范围": [DISTRICT, "420199", GRID]}, (2, "ground_code", "is not a division stored")),
        ("duties", {"责任范围": [DISTRICT, DISTRICT, GRID[:-1] + "9"]}, (3, "ground_code", "is not a grid")),
        ("duties", {"大类代码": ["", "E99", ""]}, (2, "category_code", "is not the beginning of a code")),
        ("duties", {"edition": ["gbt-47678.5-2026", "", ""]}, (1, "category_code", "is missing")),
        ("duties", {"edition": ["", "1999", ""]}, (2, "edition", "is not one of")),
        ("duties", {"失效时间": ["", "2020-01-01", ""]}, (2, "valid_to", "is not after valid_from")),
        ("duties", {"失效时间": ["soon", "", ""]}, (1, "valid_to", "is not an ISO 8601 time")),
    ],
)
def test_bad_rows_are_named_and_nothing_is_stored(staffed, tmp_path, kind, changes, fault):
    base = DEPARTMENTS if kind == "departments" else DUTIES
    before = table_of(staffed, kind, at=START)

    with pytest.raises(ImportRefusedError) as refused:
        brought(staffed, tmp_path, kind, base | changes)

    first = refused.value.rows[0]
    assert (first.row, first.field) == fault[:2]
    assert fault[2] in first.reason
    pd.testing.assert_frame_equal(table_of(staffed, kind, at=START), before)


def test_a_scope_sees_what_is_about_it_and_changes_only_what_is_within(staffed, open_uow):
    with open_uow(STREETS[1]) as north, open_uow(COMMUNITIES[0]) as south:
        assert table_of(north, "duties", at=START)["department_code"].tolist() == ["FIRE"]
        assert len(table_of(south, "duties", at=START)) == 3
        assert south.department_duties.end([f"FIRE:all:{DISTRICT}:all:all"], LATER) == 0
        with pytest.raises(ForbiddenError):
            south.departments.put_frame(pd.DataFrame({"division_code": [DISTRICT]}), START)
