"""Corrections of facilities, from posting to the history they leave, and the files for Amap."""

import csv
import json
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
import shapely

from gridsvc.errors import (
    ConflictError,
    DatumMissingError,
    ForbiddenError,
    NotFoundError,
    OutsideCoverageError,
    RequestInvalidError,
)
from gridsvc.geo.datums import convert
from gridsvc.services import facility_corrections as service
from gridsvc.services.facility_corrections import NewCorrection
from gridsvc.services.facility_files import export_accepted, export_facilities
from gridsvc.services.importing import import_file
from tests.factories import stored_town as town
from tests.factories.stored_town import LATER, START

pytestmark = pytest.mark.postgis

NOW = LATER + timedelta(days=1)
SEEN = LATER
LON, LAT = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]


@pytest.fixture
def served(uow):
    uow.divisions.put_frame(town.division_frame(), START)
    uow.facilities.put_frame(town.facility_frame(), START)
    return uow


def correction(what="renamed", number=1, **said):
    defaults = {
        "renamed": {"facility_code": "F0000", "name": "新站"},
        "closed": {"facility_code": "F0000"},
        "other_kind": {"facility_code": "F0000", "kind_code": "M101"},
        "moved": {"facility_code": "F0000", "lon": LON + 0.001, "lat": LAT, "datum": "cgcs2000"},
        "new": {"kind_code": "M101", "name": "便民店", "lon": LON + 0.002, "lat": LAT, "datum": "cgcs2000"},
    }[what]
    return NewCorrection(UUID(f"7d2f9a54-0f0e-4c4c-9a2b-{number:012d}"), what, SEEN, **(defaults | said))


def post(uow, sent, by="wang"):
    return service.submit_correction(uow, sent, received_at=LATER, by=by)


def accept(uow, sent, **how):
    how = {"by": "li", "now": NOW, "reason": "现场核实"} | how
    return service.accept_correction(uow, sent.correction_id, **how)


def history(uow, code="F0000"):
    return uow.facilities.versions(code)


def test_a_correction_is_taken_in_once(served):
    first, created = post(served, correction())
    again, repeated = post(served, correction())

    assert (created, repeated) == (True, False)
    assert first == again
    assert (first["state"], first["reported_by"], first["division_code"]) == ("open", "wang", town.COMMUNITIES[0])


def test_the_same_id_for_something_else_is_refused(served):
    post(served, correction())

    with pytest.raises(ConflictError):
        post(served, correction(name="别的"))
    with pytest.raises(ConflictError):
        post(served, correction(), by="somebody else")


def test_a_retry_after_the_facility_was_closed_gets_its_answer(served):
    post(served, correction("closed"))
    accept(served, correction("closed"))

    again, created = post(served, correction("closed"))

    assert (again["state"], created) == ("accepted", False)


@pytest.mark.parametrize(
    ("sent", "error", "field"),
    [
        (correction(name=""), RequestInvalidError, "name"),
        (correction(kind_code="M101"), RequestInvalidError, "kind_code"),
        (correction("closed", name="x"), RequestInvalidError, "name"),
        (correction("moved", lon=None, lat=None), RequestInvalidError, "lon"),
        (correction("moved", lat=None), RequestInvalidError, "lat"),
        (correction("moved", datum=None), DatumMissingError, None),
        (correction("other_kind", kind_code="X1"), RequestInvalidError, "kind_code"),
        (correction("new", facility_code="F0000"), RequestInvalidError, "facility_code"),
        (correction("new", lon=100.0), OutsideCoverageError, None),
        (correction(facility_code="F9999"), NotFoundError, None),
    ],
)
def test_a_correction_that_says_too_little_or_too_much_is_refused(served, sent, error, field):
    with pytest.raises(error) as caught:
        post(served, sent)

    if field:
        assert [fault["field"] for fault in caught.value.details["errors"]] == [field]
    assert served.facility_corrections.page() == []


def test_what_was_seen_in_the_future_is_refused(served):
    with pytest.raises(RequestInvalidError, match="future"):
        service.submit_correction(served, correction(), received_at=SEEN - timedelta(hours=1), by="wang")


def test_a_scope_sees_and_decides_only_its_own(served, open_uow):
    post(served, correction())

    with open_uow(town.COMMUNITIES[1]) as elsewhere:
        assert service.list_corrections(elsewhere).rows == []
        with pytest.raises(NotFoundError):
            accept(elsewhere, correction())
        with pytest.raises(NotFoundError):
            post(elsewhere, correction(number=2))
        with pytest.raises(ForbiddenError):
            post(elsewhere, correction("new", number=3))
    with open_uow(town.COMMUNITIES[0]) as here:
        assert len(service.list_corrections(here).rows) == 1


def test_a_list_goes_page_by_page_the_longest_waiting_first(served):
    for number in (3, 1, 2):
        post(served, correction(number=number))
    service.refuse_correction(served, correction(number=2).correction_id, by="li", now=NOW, reason="看不清")

    first = service.list_corrections(served, limit=2)
    rest = service.list_corrections(served, limit=2, cursor=first.next_cursor)

    assert [row["correction_id"].int % 16 for row in first.rows + rest.rows] == [1, 2, 3]
    assert rest.next_cursor is None
    assert len(service.list_corrections(served, state="open").rows) == 2
    with pytest.raises(RequestInvalidError):
        service.list_corrections(served, cursor="x")


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("renamed", {"name": "新站"}),
        ("other_kind", {"kind_code": "M101"}),
        ("moved", {"lon": pytest.approx(LON + 0.001), "community_code": town.COMMUNITIES[0]}),
    ],
)
def test_what_is_accepted_holds_from_its_instant_and_the_past_is_kept(served, what, changed):
    post(served, correction(what))

    done = accept(served, correction(what), in_force_from=SEEN)

    before, after = history(served)
    assert (done["state"], done["applied_code"], done["decided_by"]) == ("accepted", "F0000", "li")
    assert (before["valid_from"], before["valid_to"], after["valid_from"], after["valid_to"]) == (
        START,
        SEEN,
        SEEN,
        None,
    )
    assert {name: after[name] for name in changed} == changed
    assert all(before[name] != after[name] for name in changed if name != "community_code")
    assert after["source"] == f"correction {correction(what).correction_id}"


def test_a_closed_facility_ends(served):
    post(served, correction("closed"))

    accept(served, correction("closed"))

    assert [version["valid_to"] for version in history(served)] == [NOW]
    assert served.facilities.count() == 3
    assert service.get_facility(served, "F0000", at=SEEN)["name"] == "社区服务站"
    with pytest.raises(NotFoundError):
        service.get_facility(served, "F0000", at=NOW)


def test_a_new_facility_gets_a_code_of_its_own(served):
    x, y = (float(v) for v in convert(LON + 0.002, LAT, "cgcs2000", "gcj02"))
    sent = correction("new", lon=x, lat=y, datum="gcj02")
    post(served, sent)

    done = accept(served, sent)

    (made,) = history(served, done["applied_code"])
    assert (made["kind_code"], made["name"], made["original_datum"], made["valid_from"]) == (
        "M101",
        "便民店",
        "gcj02",
        NOW,
    )
    assert (made["lon"], made["lat"]) == pytest.approx((LON + 0.002, LAT), abs=1e-8)
    assert made["community_code"] == town.COMMUNITIES[0]


def test_a_facility_that_moves_loses_its_area(served):
    ground = shapely.box(LON - 0.001, LAT - 0.001, LON + 0.001, LAT + 0.001)
    served.facilities.put_frame(town.facility_frame(1, area=[ground]), LATER - timedelta(days=1))
    post(served, correction("moved"))

    accept(served, correction("moved"))

    assert [version["area"] is None for version in history(served)] == [True, False, True]


def test_a_renamed_facility_keeps_its_area_and_entrances(served):
    ground = shapely.box(LON - 0.001, LAT - 0.001, LON + 0.001, LAT + 0.001)
    gates = shapely.MultiPoint([(LON - 0.001, LAT)])
    served.facilities.put_frame(town.facility_frame(1, area=[ground], entrances=[gates]), LATER - timedelta(days=1))
    post(served, correction())

    accept(served, correction())

    now = service.get_facility(served, "F0000", at=NOW)
    assert now["area"] is not None and now["entrances"] == [[LON - 0.001, LAT]]
    assert [version["has_area"] for version in now["history"]] == [False, True, True]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (correction("moved", lon=LON + 0.01), "far-move"),
        (correction("new", lon=LON + 0.0003, kind_code="B601"), "duplicate"),
        (correction("moved", lon=LON + 0.5), "outside-division"),
    ],
)
def test_what_speaks_against_a_correction_is_told_and_stands_in_the_way(served, sent, code):
    post(served, sent)

    with pytest.raises(ConflictError) as caught:
        accept(served, sent)

    shown = service.get_correction(served, sent.correction_id, at=NOW)
    assert code in [finding["code"] for finding in shown["findings"]]
    assert caught.value.details["findings"] == shown["findings"]
    assert shown["state"] == "open"
    assert len(history(served)) == 1


def test_it_may_be_accepted_anyway_but_not_into_nowhere(served):
    far, nowhere = correction("moved", lon=LON + 0.01), correction("moved", number=2, lon=LON + 0.5)
    for sent in (far, nowhere):
        post(served, sent)

    done = accept(served, far, anyway=True)
    with pytest.raises(ConflictError, match="no division"):
        accept(served, nowhere, anyway=True)

    assert [finding["code"] for finding in done["findings"]] == ["far-move", "duplicate"]
    assert history(served)[-1]["community_code"] == town.COMMUNITIES[1]


def test_a_facility_changed_since_is_a_finding(served):
    for number in (1, 2):
        post(served, correction(number=number, name=f"新站{number}"))
    accept(served, correction(number=1))

    second = service.get_correction(served, correction(number=2).correction_id, at=NOW)

    assert [finding["code"] for finding in second["findings"]] == ["changed-since"]


def test_a_decision_is_made_once_and_may_be_said_again(served):
    post(served, correction())
    first = accept(served, correction())
    again = accept(served, correction(), now=NOW + timedelta(hours=1))

    assert first == again
    assert len(history(served)) == 2
    with pytest.raises(ConflictError, match="was accepted by li"):
        service.refuse_correction(served, correction().correction_id, by="li", now=NOW, reason="不对")


def test_a_refusal_changes_nothing_but_itself(served):
    post(served, correction())

    done = service.refuse_correction(served, correction().correction_id, by="li", now=NOW, reason="名称无误")

    assert (done["state"], done["reason"], done["in_force_from"]) == ("refused", "名称无误", None)
    assert [version["name"] for version in history(served)] == ["社区服务站"]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"reason": " "}, RequestInvalidError),
        ({"in_force_from": NOW + timedelta(days=1)}, RequestInvalidError),
        ({"in_force_from": START}, ConflictError),
        ({"in_force_from": START - timedelta(days=1)}, ConflictError),
    ],
)
def test_a_decision_without_reason_or_at_an_impossible_instant_is_refused(served, how, error):
    post(served, correction())

    with pytest.raises(error):
        accept(served, correction(), **how)

    assert service.get_correction(served, correction().correction_id, at=NOW)["state"] == "open"


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", [".csv", ".geojson", ".xlsx"])
def test_exported_facilities_are_gcj02_and_the_same_when_imported_again(served, tmp_path, suffix):
    gates = shapely.MultiPoint([(LON - 0.001, LAT), (LON, LAT + 0.001)])
    ground = shapely.box(LON - 0.001, LAT - 0.001, LON + 0.001, LAT + 0.001)
    served.facilities.put_frame(town.facility_frame(1, area=[ground], entrances=[gates], kind_code="M101"), LATER)
    out = tmp_path / f"out{suffix}"

    told = export_facilities(served, out, at=NOW)
    written = out.read_bytes()
    again = import_file(served, "facilities", out, datum="gcj02", valid_from=NOW)
    export_facilities(served, out, at=NOW)

    assert (told.datum, told.rows, told.without_typecode) == ("gcj02", 4, 3)
    assert (again.rows_stored, again.rows_unchanged) == (0, 4)
    assert out.read_bytes() == written


def test_exported_positions_are_those_of_amap_and_say_so(served, tmp_path):
    export_facilities(served, tmp_path / "f.csv", at=NOW)
    export_facilities(served, tmp_path / "f.geojson", at=NOW)

    row = read_csv(tmp_path / "f.csv")[0]
    document = json.loads((tmp_path / "f.geojson").read_text(encoding="utf-8"))
    x, y = (float(v) for v in convert(LON, LAT, "cgcs2000", "gcj02"))
    assert (row["id"], row["datum"], row["location"]) == ("F0000", "gcj02", f"{x:.6f},{y:.6f}")
    assert (document["datum"], "crs" in document) == ("gcj02", False)
    np.testing.assert_allclose(document["features"][0]["geometry"]["coordinates"], [x, y], atol=2e-9)


def test_a_geopackage_cannot_say_gcj02(served, tmp_path):
    with pytest.raises(RequestInvalidError, match="no name for the datum gcj02"):
        export_facilities(served, tmp_path / "f.gpkg", at=NOW)

    assert export_facilities(served, tmp_path / "f.gpkg", at=NOW, datum="cgcs2000").rows == 4
    assert [path.name for path in tmp_path.iterdir()] == ["f.gpkg"]


def test_accepted_corrections_are_listed_with_before_and_after(served, tmp_path):
    for number, what in enumerate(("moved", "renamed", "closed", "new"), 1):
        sent = correction(what, number, **({} if what == "new" else {"facility_code": f"F000{number - 1}"}))
        if what == "moved":
            sent = correction(what, number, note="我的电话是 1380000")
        post(served, sent)
        accept(served, sent, now=NOW + timedelta(minutes=number))
    post(served, correction(number=9, facility_code="F0003"))

    told = export_accepted(served, tmp_path / "c.csv")
    later = export_accepted(served, tmp_path / "later.csv", since=NOW + timedelta(minutes=3))

    rows = read_csv(tmp_path / "c.csv")
    assert (told.rows, later.rows) == (4, 2)
    assert [row["what_zh"] for row in rows] == ["位置错误", "名称错误", "已关闭", "新增"]
    assert rows[0]["location"] != rows[0]["old_location"] != ""
    assert (rows[1]["old_name"], rows[1]["name"]) == ("社区服务站", "新站")
    assert rows[2]["location"] == rows[2]["old_location"]
    assert (rows[3]["old_location"], rows[3]["typecode"]) == ("", "060200")
    assert "wang" not in (tmp_path / "c.csv").read_text(encoding="utf-8-sig")
    assert "1380000" not in (tmp_path / "c.csv").read_text(encoding="utf-8-sig")


def test_an_empty_export_is_refused(served, tmp_path):
    with pytest.raises(NotFoundError):
        export_accepted(served, tmp_path / "c.csv")
    with pytest.raises(NotFoundError):
        export_facilities(served, tmp_path / "f.csv", at=NOW, kind_code="G1001")
    assert list(tmp_path.iterdir()) == []
