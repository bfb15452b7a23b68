"""The quality report of grids in force, drafted, and in a file, on a stored district."""

import json
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pytest
import shapely

from gridsvc.errors import DatumMissingError, FileUnreadableError, NotFoundError, RequestInvalidError
from gridsvc.services.dividing import divide
from gridsvc.services.division_map import division_content, write_division
from gridsvc.services.division_quality import report_quality
from tests.factories.undivided_district import DISTRICT, codes, put_district

pytestmark = pytest.mark.postgis

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def divided(uow):
    put_district(uow, AT)
    divide(uow, DISTRICT, at=AT, actor="test", processes=1)
    return uow


def drafted(uow, frame):
    """Store a draft of governance grids and return its id."""
    columns = ["kind", "code", "name", "community_code", "households", "population", "area_m2", "geometry"]
    redraw = uow.redraws.open_draft("social", DISTRICT, "edited", "planner", LATER)
    uow.redraws.put_grids(redraw, frame[columns].assign(network="social"))
    return str(redraw)


def test_what_is_in_force_is_exact_and_agrees_with_what_is_stored(divided):
    stored = divided.grids.list("social", DISTRICT, LATER)

    found = report_quality(divided, DISTRICT, at=LATER)

    report = found.report
    assert (found.source, found.network, found.name) == ("in force", "social", "103街道")
    assert (report.grids, report.communities, report.exact_communities) == (len(stored), 4, 4)
    assert [p.area_m2 for p in (report.gaps, report.overlaps, report.outside, report.slivers)] == [0.0] * 4
    assert (report.buildings_cut, report.not_contiguous, report.households_in_no_grid) == (0, 0, 0)
    assert [row.households for row in report.rows] == stored["households"].tolist()
    assert np.allclose([row.area_m2 for row in report.rows], stored["area_m2"], atol=0.01)
    assert report.border["street"].share > 0.8


def test_unit_grids_are_compared_with_the_target_of_the_division(divided):
    found = report_quality(divided, DISTRICT, at=LATER, kind="unit")
    without = report_quality(divided, DISTRICT, at=LATER, kind="unit", targets=False)

    assert found.report.on_target_share > 0.9
    assert found.report.in_bounds_share is None
    assert all(row.target_m2 >= 10_000 - 1e-6 for row in found.report.rows)
    assert without.report.on_target_share is None


def test_targets_are_the_same_in_processes(divided, monkeypatch):
    monkeypatch.setattr("gridsvc.services.division_run._FEW", 2)

    alone, beside = (report_quality(divided, DISTRICT, at=LATER, kind="unit", processes=n).report for n in (1, 2))

    assert [row.target_m2 for row in alone.rows] == [row.target_m2 for row in beside.rows]


def test_one_community_alone(divided):
    community = codes()[0]

    report = report_quality(divided, community, at=LATER).report

    assert {row.community_code for row in report.rows} == {community}
    assert (report.communities, report.exact_communities, report.buildings_cut) == (1, 1, 0)


def test_a_draft_is_measured_against_what_is_in_force(divided):
    community = codes()[0]
    held = divided.grids.list("social", community, LATER)
    assert len(held) >= 2
    renamed = held.copy()
    renamed.loc[0, "code"] = f"{community}900"
    redraw = drafted(divided, renamed)

    found = report_quality(divided, DISTRICT, at=LATER, redraw=redraw)

    report = found.report
    share = 1 - held["households"].iloc[0] / held["households"].sum()
    assert (found.source, report.communities, report.exact_communities) == (f"redraw {redraw}", 1, 1)
    assert report.stability.households_kept_share == pytest.approx(share)
    assert (report.stability.codes_new, report.stability.codes_gone) == (1, 1)


def test_a_draft_with_a_missing_grid_has_a_gap_of_that_grid(divided):
    community = codes()[0]
    held = divided.grids.list("social", community, LATER)
    redraw = drafted(divided, held.iloc[1:])

    found = report_quality(divided, community, at=LATER, redraw=redraw)

    assert found.report.gaps.area_m2 == pytest.approx(held["area_m2"].iloc[0], abs=0.05)
    plain = found.as_dict(rows=False, most_problems=1)
    assert "rows" not in plain
    place = shapely.from_geojson(json.dumps(plain["problems"][0]["place"]))
    assert shapely.symmetric_difference(place, held.geometry.iloc[0]).area < 1e-10
    assert held.geometry.iloc[0].contains(shapely.Point(plain["problems"][0]["at"]))


def file_of(frame, path):
    gpd.GeoDataFrame(
        {"网格编码": frame["code"], "户数": frame["households"]}, geometry=frame.geometry.to_numpy(), crs=4326
    ).to_file(path)
    return path


def test_a_file_is_measured_where_it_says_it_lies(divided, tmp_path):
    held = divided.grids.list("social", DISTRICT, LATER)
    same = file_of(held, tmp_path / "grids.gpkg")
    broken = file_of(held.iloc[1:], tmp_path / "broken.geojson")

    whole = report_quality(divided, DISTRICT, at=LATER, file=same, datum="cgcs2000")
    partly = report_quality(divided, DISTRICT, at=LATER, file=broken, datum="cgcs2000")
    aside = report_quality(divided, DISTRICT, at=LATER, file=broken, datum="gcj02")

    assert whole.source == "file grids.gpkg"
    assert (whole.report.exact_communities, whole.report.gaps.area_m2) == (4, 0.0)
    assert whole.report.stability.households_kept_share == 1.0
    assert partly.report.gaps.area_m2 == pytest.approx(held["area_m2"].iloc[0], abs=0.1)
    # some 500 m away nothing fits any more
    assert aside.report.outside.area_m2 > partly.report.outside.area_m2 + 10_000


def test_what_cannot_be_reported_on_is_refused(divided, tmp_path):
    plain = tmp_path / "plain.csv"
    plain.write_text("code\n420103001001001\n", encoding="utf-8")
    grids = file_of(divided.grids.list("social", DISTRICT, LATER), tmp_path / "grids.gpkg")

    with pytest.raises(DatumMissingError):
        report_quality(divided, DISTRICT, at=LATER, file=grids)
    with pytest.raises(FileUnreadableError, match="no shapes"):
        report_quality(divided, DISTRICT, at=LATER, file=plain, datum="wgs84")
    with pytest.raises(RequestInvalidError, match="together"):
        report_quality(divided, DISTRICT, at=LATER, file=grids, datum="cgcs2000", redraw="x")
    with pytest.raises(RequestInvalidError, match="no kind"):
        report_quality(divided, DISTRICT, at=LATER, kind="block")
    with pytest.raises(NotFoundError, match="no redraw"):
        report_quality(divided, DISTRICT, at=LATER, redraw="x")
    with pytest.raises(NotFoundError, match="Divide it first"):
        report_quality(divided, "110101", at=LATER)
    with pytest.raises(NotFoundError, match="Divide it first"):
        report_quality(divided, DISTRICT, at=datetime(2025, 1, 1, tzinfo=UTC))


def test_the_scope_cuts_the_report(divided, open_uow):
    with open_uow(codes()[0]) as narrow:
        report = report_quality(narrow, DISTRICT, at=LATER).report

    assert {row.community_code for row in report.rows} == {codes()[0]}


def test_the_map_holds_both_kinds_of_grids_and_every_building(divided, tmp_path):
    out = tmp_path / "division.html"

    written = write_division(divided, DISTRICT, at=LATER, out=out)
    again = write_division(divided, DISTRICT, at=LATER, out=tmp_path / "again.html")

    assert written.features["division_households"] == divided.grids.count("social", DISTRICT, LATER)
    assert written.features["grids_urban"] == divided.grids.count("urban", DISTRICT, LATER)
    assert written.features["residences"] == divided.residences.count(DISTRICT)
    assert written.features["communities"] == 4
    assert written.sha256 == again.sha256


def test_the_map_of_a_draft_shows_before_and_after(divided):
    community = codes()[0]
    held = divided.grids.list("social", community, LATER)
    one = held.iloc[:1].assign(geometry=[shapely.MultiPolygon([shapely.union_all(held.geometry.to_numpy())])])
    redraw = drafted(divided, one.assign(households=held["households"].sum()))

    content = division_content(divided, DISTRICT, at=LATER, redraw=redraw)

    assert (len(content.grids["governance"]), len(content.before["governance"])) == (1, len(held))
    assert content.reports["governance"].stability is not None
    assert content.reports_before["governance"].grids == len(held)
