"""A position outside of all grids has the nearest one within the tolerance, whichever way it comes in, and moves with it."""

import csv
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from factories import served_town
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    SIDE,
    SOUTH,
    START,
    WEST,
    division_frame,
    frame,
    grid_frame,
    report_frame,
)

from gridsvc.geo.border_distances import metres_per_degree
from gridsvc.services import grid_lookup, relocating, report_reading
from gridsvc.services.grid_lookup import NETWORKS, place_index
from gridsvc.services.locating import locate_point, locate_positions, locate_reports
from gridsvc.services.locating_files import locate_file
from gridsvc.services.relocating import relocate
from gridsvc.services.report_queue import ReportQueue
from gridsvc.services.reporting import NewReport, Poster, submit_reports

pytestmark = pytest.mark.postgis

WITHIN_M = 25.0
FAR_M = (0.5, 5.0, 24.0, 26.0, 200.0)
NOW = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
SINCE = datetime(2026, 2, 1, tzinfo=UTC)
PER_LON, PER_LAT = metres_per_degree(SOUTH)
# the grids of the first community leave its south free, about 555 m
EDGE = round(SOUTH + SIDE / 2, 9)
# beside the town, in no community; and in the first community, in the part that no grid holds
BESIDE = [(round(WEST - far / PER_LON, 9), round(EDGE + SIDE / 4, 9)) for far in FAR_M]
WITHIN = [(round(WEST + SIDE / 4, 9), round(EDGE - far / PER_LAT, 9)) for far in FAR_M]
# the same, 3 m from a grid of the next community, which does not answer there
AT_THE_NEXT = (round(WEST + SIDE - 3 / PER_LON, 9), round(SOUTH + SIDE / 8, 9))
HELD = (round(WEST + SIDE / 4, 9), round(EDGE + SIDE / 4, 9))
# a point of a community without grids of one network only
PLACES = [*BESIDE, *WITHIN, AT_THE_NEXT, HELD]
HAVE_GRID = [True, True, True, False, False] * 2 + [False, True]


def shortened(grids):
    """Return grids of which those of the first community leave its southern half free."""
    first = (grids["community_code"] == COMMUNITIES[0]).to_numpy()
    north = shapely.box(WEST, EDGE, WEST + SIDE, SOUTH + SIDE)
    shapes = [
        shapely.intersection(shape, north) if cut else shape for shape, cut in zip(grids.geometry, first, strict=True)
    ]
    return grids.set_geometry(np.array(shapes, dtype=object), crs=grids.crs)


def put_grids(uow, network, at=START, *, short=True, **changes):
    kind, parts = served_town.NETWORKS[network]
    drawn = grid_frame(network=network, kind=kind, **({"parts": parts} | changes))
    redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "test", at)
    uow.redraws.put_grids(redraw, shortened(drawn) if short else drawn)
    uow.redraws.approve(redraw, "test", at, at, {})


@pytest.fixture
def town(open_uow):
    """The town with a free half of a community, where positions get the nearest grid within 25 m."""
    with open_uow() as uow:
        uow.nearest_within_m = WITHIN_M
        uow.divisions.put_frame(division_frame(), START)
        for network in served_town.NETWORKS:
            put_grids(uow, network)
        yield uow


def new_reports(places, occurred_at=datetime(2026, 3, 5, tzinfo=UTC)):
    return [NewReport(uuid.uuid4(), occurred_at, x, y, "cgcs2000", "E06001") for x, y in places]


def submitted(uow, reports):
    return submit_reports(uow, reports, received_at=NOW, posters=[Poster("wang")] * len(reports))


def told(receipt):
    """Return what a receipt, or None for a refusal, says of where the report is."""
    return None if receipt is None else (receipt["community_code"], receipt["grids"], receipt["outside_m"])


def expected(uow, places=PLACES, at=NOW):
    """Return the same as the locate API answers it, None where it knows no district."""
    found = locate_positions(uow, *zip(*places, strict=True), "cgcs2000", at=at)
    return [
        None
        if found.district[i] is None
        else (
            found.community[i],
            {network: found.grids[network][i] for network in NETWORKS},
            {n: None if np.isnan(far[i]) else round(float(far[i]), 3) for n, far in found.distance_m.items()},
        )
        for i in range(len(places))
    ]


def held(uow):
    place_index(uow, NOW)
    return uow


def not_held(uow):
    grid_lookup._LOOKUP.held.clear()
    return uow


@pytest.mark.parametrize("prepared", [held, not_held])
def test_the_nearest_grid_of_every_network_answers_up_to_the_tolerance(town, prepared):
    answers = expected(prepared(town))

    for far, beside, within in zip(FAR_M, answers[:5], answers[5:10], strict=True):
        near = far <= WITHIN_M
        assert (beside is not None) == near
        assert within[0] == COMMUNITIES[0]
        for network in NETWORKS:
            assert within[1][network] == (f"{COMMUNITIES[0]}001" if near else None)
            for answer in filter(None, (beside, within)):
                assert answer[2][network] == (pytest.approx(far, abs=0.01) if near else None)
                assert (*answer[:1], answer[1][network]) == (COMMUNITIES[0], f"{COMMUNITIES[0]}001" if near else None)
    assert answers[10] == (COMMUNITIES[0], dict.fromkeys(NETWORKS), dict.fromkeys(NETWORKS))
    assert set(answers[11][2].values()) == {0.0}
    assert [answer is not None and answer[1]["social"] is not None for answer in answers] == HAVE_GRID


def test_single_batch_and_retry_give_the_grid_and_distance_of_the_locate_api(town):
    answers = expected(held(town))
    reports = new_reports(PLACES)

    batch = submitted(town, reports)
    singles = [submitted(town, [report])[0] for report in new_reports(PLACES)]
    again = submitted(town, reports)

    assert [told(outcome.receipt) for outcome in batch] == answers
    assert [told(outcome.receipt) for outcome in singles] == answers
    assert [outcome.receipt for outcome in again] == [outcome.receipt for outcome in batch]
    assert {outcome.refusal.code for outcome in batch if outcome.receipt is None} == {"position-outside-coverage"}
    for outcome, answer in zip(batch, answers, strict=True):
        if answer is not None:
            stored = report_reading.get_report(town, outcome.receipt["report_id"])
            assert told(stored) == answer


def test_the_queue_of_single_posts_follows_the_rule(town):
    queue = ReportQueue(lambda: town.save_point())
    (report,) = new_reports(BESIDE[1:2])

    receipt, created = queue.submit(report, received_at=NOW, poster=Poster("wang"))

    assert created
    assert told(receipt) == expected(town, BESIDE[1:2])[0]


def test_one_place_and_a_file_say_the_same(town, tmp_path):
    answers = expected(town)
    with (tmp_path / "points.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("lon", "lat"), *PLACES])

    result = locate_file(town, tmp_path / "points.csv", tmp_path / "out.csv", datum="cgcs2000", at=NOW)
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert result.located == dict.fromkeys(NETWORKS, sum(HAVE_GRID))
    for place, row, answer in zip(PLACES, rows, answers, strict=True):
        community, grids, outside_m = answer or (None, dict.fromkeys(NETWORKS), dict.fromkeys(NETWORKS))
        assert row["community_code"] == (community or "")
        assert [row[f"{network}_grid"] for network in NETWORKS] == [grids[network] or "" for network in NETWORKS]
        assert (float(row["outside_m"]) if row["outside_m"] else None) == outside_m["social"]
        if answer is not None:
            found = locate_point(town, *place, "cgcs2000", at=NOW)
            assert {grid.network: grid.outside_m for grid in found.grids} == {
                n: d for n, d in outside_m.items() if d is not None
            }


def test_imported_reports_are_located_by_the_same_rule(town):
    answers = expected(town, WITHIN)
    town.reports.add_frame(reports_at(WITHIN))

    locate_reports(town)

    stored = town.reports.get_many([str(uuid.UUID(int=i + 1)) for i in range(len(WITHIN))])
    assert [{n: row[f"{n}_grid"] for n in NETWORKS} for _, row in sorted(stored.items())] == [a[1] for a in answers]


def reports_at(places, **changes):
    lon, lat = np.array(places).T
    columns = report_frame(len(places)).drop(columns=["geometry", "community_code"]).to_dict("list")
    return frame(columns | {"original_lon": lon, "original_lat": lat} | changes, shapely.points(lon, lat))


def grids_of(uow, reports):
    stored = uow.reports.get_many([str(report.report_id) for report in reports])
    return [
        (row["community_code"], {network: row[f"{network}_grid"] for network in NETWORKS})
        for row in (stored[str(report.report_id)] for report in reports)
    ]


@pytest.mark.parametrize("within_m", [0.0, WITHIN_M])
def test_after_a_redraw_reports_outside_of_the_new_grids_are_where_a_new_report_would_be(town, within_m):
    # before: the grids hold the whole community; the redraw leaves its south free
    town.nearest_within_m = within_m
    for network in NETWORKS:
        put_grids(town, network, SINCE - timedelta(days=9), short=False, first_serial=11)
    places = [place for place in PLACES if place not in BESIDE]
    before, after = new_reports(places, SINCE - timedelta(days=1)), new_reports(places, SINCE)
    submitted(town, [*before, *after])
    earlier = grids_of(town, before)
    for network in NETWORKS:
        put_grids(town, network, SINCE, first_serial=21)

    relocate(town)

    assert grids_of(town, before) == earlier
    assert grids_of(town, after) == [answer[:2] for answer in expected(town, places)]
    located = [grids["social"] is not None for _, grids in grids_of(town, after)]
    assert located == ([True, True, True, False, False, False, True] if within_m else [False] * 6 + [True])
    listed = report_reading.list_reports(town, unlocated=True, since=SINCE)
    assert len(listed.rows) == (3 if within_m else 6)


def test_reports_beside_a_redrawn_grid_follow_it_though_they_lie_on_no_changed_ground(town):
    # other codes on the same ground of the first community; all that is outside of it and near has a new nearest grid
    places = [*BESIDE[:3], *WITHIN, HELD]
    reports = new_reports(places)
    submitted(town, reports)
    for network in NETWORKS:
        put_grids(town, network, SINCE, first_serial=31)

    result = relocate(town)

    assert grids_of(town, reports) == [answer[:2] for answer in expected(town, places)]
    # each network is worked off by itself; 24 m away is within, 26 m away is not
    assert result.reports_moved == len(NETWORKS) * 7
    assert relocate(town) == relocating.Relocated()


def test_reports_whom_the_first_grids_come_near_are_given_them_and_their_community(town):
    town.connection.exec_driver_sql("DELETE FROM grids")
    divisions = division_frame()
    wide = shapely.MultiPolygon([shapely.box(WEST - 0.01, SOUTH - 0.01, WEST + 0.03, SOUTH + 0.03)])
    shapes = [
        wide if level == "district" else shape
        for level, shape in zip(divisions["level"], divisions.geometry, strict=True)
    ]
    town.divisions.put_frame(
        divisions.set_geometry(np.array(shapes, dtype=object), crs=divisions.crs), SINCE - timedelta(days=20)
    )
    reports = new_reports(BESIDE)
    submitted(town, reports)
    assert grids_of(town, reports) == [(None, dict.fromkeys(NETWORKS))] * 5
    put_grids(town, "social", SINCE)

    relocate(town)

    assert [community for community, _ in grids_of(town, reports)] == [COMMUNITIES[0]] * 3 + [None] * 2
    assert grids_of(town, reports) == [answer[:2] for answer in expected(town, BESIDE)]


def test_relocating_reads_no_report_that_other_grids_hold(town, monkeypatch):
    # the second community is redrawn; west of it, within the tolerance, all is held by grids of the first, but for its free south
    edge = [
        (round(WEST + SIDE - 3 / PER_LON, 9), round(y, 9)) for y in np.linspace(EDGE + 1e-4, SOUTH + SIDE - 1e-4, 20)
    ]
    reports = new_reports([*edge, AT_THE_NEXT])
    submitted(town, reports)
    seen = []
    real = relocating._move
    monkeypatch.setattr(
        relocating,
        "_move",
        lambda uow, network, ground, grids, found: (
            seen.append((ground, found)) or real(uow, network, ground, grids, found)
        ),
    )
    drawn = grid_frame(COMMUNITIES[1:2], network="social", first_serial=5)
    redraw = town.redraws.open_draft("social", COMMUNITIES[1], "automatic", "test", SINCE)
    town.redraws.put_grids(redraw, drawn)
    town.redraws.approve(redraw, "test", SINCE, SINCE, {})

    relocate(town)

    asked = seen[0][0]
    assert [bool(shapely.intersects_xy(asked, *place)) for place in edge] == [False] * 20
    assert shapely.intersects_xy(asked, *AT_THE_NEXT)
    assert grids_of(town, reports) == [answer[:2] for answer in expected(town, [*edge, AT_THE_NEXT])]
