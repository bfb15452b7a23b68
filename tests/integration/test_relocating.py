"""Stored reports follow a redraw that reaches back to their time: those on the changed ground, whatever stops the work."""

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    SIDE,
    SOUTH,
    START,
    WEST,
    community_box,
    division_frame,
    frame,
    grid_frame,
    report_frame,
)
from sqlalchemy import text

from gridsvc.services import relocating
from gridsvc.services.locating import NETWORKS, locate_reports
from gridsvc.services.relocating import foresee_relocation, relocate, relocate_at_once
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis

SINCE = datetime(2026, 2, 1, tzinfo=UTC)
AGAIN = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = 600


def put_grids(uow, grids, network="social", at=START):
    redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "planner", at)
    uow.redraws.put_grids(redraw, grids)
    uow.redraws.approve(redraw, "manager", at, at, {})
    return redraw


def scattered_reports(count=COUNT):
    """Return reports at random places of the town, on its borders too, over three months."""
    draw = np.random.default_rng(8)
    lon = np.round(draw.uniform(WEST, WEST + 2 * SIDE, count), 9)
    lat = np.round(draw.uniform(SOUTH, SOUTH + 2 * SIDE, count), 9)
    lon[::7] = np.round(WEST + SIDE / 2 * draw.integers(0, 5, len(lon[::7])), 9)
    begin = datetime(2026, 1, 5, tzinfo=UTC)
    return frame(
        {
            **report_frame(count).drop(columns=["geometry", "community_code"]).to_dict("list"),
            "report_id": [str(uuid.UUID(int=i + 1)) for i in range(count)],
            "reported_at": [begin + timedelta(hours=3.4 * i) for i in range(count)],
            "original_lon": lon,
            "original_lat": lat,
        },
        shapely.points(lon, lat),
    )


def put_town(uow):
    uow.divisions.put_frame(division_frame(), START)
    put_grids(uow, grid_frame())
    put_grids(uow, grid_frame(network="security", kind="security", parts=3), network="security")
    uow.reports.add_frame(scattered_reports())
    locate_reports(uow)


@pytest.fixture
def town(uow):
    put_town(uow)
    return uow


def one_community_redrawn(first_serial=3):
    """Return the grids of the town with other ones in the first community."""
    here = grid_frame(COMMUNITIES[:1], parts=3, first_serial=first_serial)
    return frame(
        {**_columns(here, grid_frame(COMMUNITIES[1:]))}, [*here.geometry, *grid_frame(COMMUNITIES[1:]).geometry]
    )


def _columns(first, second):
    return {name: [*first[name], *second[name]] for name in first.columns if name != "geometry"}


def stored(uow):
    """Return all reports by id, as stored."""
    return uow.reports.list(limit=None).set_index("report_id").sort_index()


def versions(uow):
    """Return where the database keeps each report, by id: another place once the row was written again."""
    statement = text("SELECT tableoid::text || ctid::text FROM reports ORDER BY report_id")
    return uow.connection.scalars(statement).all()


def by_the_database(uow, reports, network="social"):
    """Return the grid of each report at its own time as SQL answers it."""
    return [uow.grids.locate_one(x, y, at)[network] for x, y, at in zip(reports["lon"], reports["lat"], reports["reported_at"], strict=True)]  # fmt: skip


def as_codes(values):
    return [value if isinstance(value, str) else None for value in values]


def test_only_reports_on_the_changed_ground_move(town):
    before = stored(town)
    rows = versions(town)

    put_grids(town, one_community_redrawn(), at=SINCE)
    result = relocate(town)

    after = stored(town)
    assert as_codes(after["social_grid"]) == by_the_database(town, after)
    touched = np.array([now != then for now, then in zip(versions(town), rows, strict=True)])
    in_community = np.array([community_box(COMMUNITIES[0]).intersects(point) for point in after.geometry])
    assert touched.sum() == result.reports_moved == result.cases_moved > 0
    assert (in_community[touched] & (after.loc[touched, "reported_at"] >= SINCE)).all()
    assert as_codes(after["security_grid"]) == as_codes(before["security_grid"])
    cases = town.cases.list(limit=None).set_index("report_id").sort_index()
    assert as_codes(cases["social_grid"]) == as_codes(after["social_grid"])
    assert (result.changes, result.pending) == (1, 0)
    assert relocate(town) == relocating.Relocated()


def test_each_report_gets_the_grid_of_its_own_time_among_several_redraws(town):
    put_grids(town, one_community_redrawn(3), at=SINCE)
    put_grids(town, one_community_redrawn(6), at=AGAIN)

    relocate(town)

    after = stored(town)
    assert as_codes(after["social_grid"]) == by_the_database(town, after)
    serials = {code[-3:] for code in after["social_grid"] if code.startswith(COMMUNITIES[0])}
    assert serials == {"001", "002", "003", "004", "005", "006", "007", "008"}


def test_a_redraw_in_another_order_of_approval_gives_the_same(town):
    put_grids(town, one_community_redrawn(6), at=AGAIN)
    relocate(town)
    with pytest.raises(Exception, match="change again"):
        put_grids(town, one_community_redrawn(3), at=SINCE)

    assert as_codes(stored(town)["social_grid"]) == by_the_database(town, stored(town))


@pytest.mark.slow
def test_small_blocks_and_many_reports_at_one_instant_come_to_the_same(town, monkeypatch):
    town.connection.execute(text("DELETE FROM reports"))
    town.connection.execute(text("DELETE FROM cases"))
    town.connection.execute(text("DELETE FROM report_receipts"))
    many = scattered_reports()
    many.loc[many.index[100:300], "reported_at"] = datetime(2026, 2, 11, tzinfo=UTC)
    town.reports.add_frame(many)
    locate_reports(town)
    monkeypatch.setattr(relocating, "BLOCK_REPORTS", 20)

    put_grids(town, one_community_redrawn(), at=SINCE)
    relocate(town)

    after = stored(town)
    assert as_codes(after["social_grid"]) == by_the_database(town, after)


def test_a_case_that_a_later_redraw_moved_on_stays_there(town):
    put_grids(
        town, grid_frame(network="security", kind="security", parts=3, first_serial=4), network="security", at=SINCE
    )
    town.connection.execute(text("UPDATE cases SET security_grid = 'moved on' WHERE opened_at >= :at"), {"at": AGAIN})

    relocate(town)

    cases = town.cases.list(limit=None).set_index("report_id").sort_index()
    later = cases["opened_at"] >= AGAIN
    assert (cases.loc[later, "security_grid"] == "moved on").all() and later.any()
    reports = stored(town)
    assert as_codes(reports["security_grid"]) == by_the_database(town, reports, "security")


def test_an_approval_relocates_by_itself_only_what_is_little(town, monkeypatch):
    monkeypatch.setattr(relocating, "AT_ONCE_REPORTS", 10)
    put_grids(town, one_community_redrawn(), at=SINCE)

    done = relocate_at_once(town)

    assert (done.changes, done.pending) == (0, 1)
    assert [row["network"] for row in foresee_relocation(town)] == ["social"]
    assert relocate(town).pending == 0
    assert as_codes(stored(town)["social_grid"]) == by_the_database(town, stored(town))


def test_another_area_has_nothing_to_do(town, open_uow):
    put_grids(town, one_community_redrawn(), at=SINCE)

    with open_uow("420105") as elsewhere:
        assert foresee_relocation(elsewhere) == [] and relocate(elsewhere).changes == 0
    assert relocate(town, "420105").changes == 0
    assert len(foresee_relocation(town, DISTRICT)) == 1


def test_reports_that_wait_for_their_first_grids_get_them(town):
    more = scattered_reports(40)
    more["report_id"] = [str(uuid.UUID(int=9000 + i)) for i in range(40)]
    town.reports.add_frame(more)

    assert relocate(town).located == 40
    reports = stored(town)
    for network in NETWORKS:
        assert as_codes(reports[f"{network}_grid"]) == by_the_database(town, reports, network)


_KILLED = """
import os, signal, sys
from gridsvc.services import relocating
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
relocating.BLOCK_REPORTS = 20
blocks = []
class Killing:
    def start(self, label, total=None): pass
    def advance(self, units=1):
        blocks.append(units)
        if len(blocks) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
with UnitOfWork(make_engine(sys.argv[1])) as uow:
    relocating.relocate(uow, progress=Killing())
"""


@pytest.mark.slow
def test_killed_half_way_it_goes_on_from_there(clean_database):
    engine = make_engine(clean_database)
    try:
        with UnitOfWork(engine) as uow:
            put_town(uow)
            put_grids(uow, one_community_redrawn(), at=SINCE)
            uow.commit()

        killed = subprocess.run([sys.executable, "-c", _KILLED, clean_database], check=False, timeout=120)

        assert killed.returncode == -9
        with UnitOfWork(engine) as uow:
            half = uow.relocations.pending()[0]
            assert half["done_until"] > SINCE and half["reports_seen"] > 0
            relocate(uow)
            after = stored(uow)
            assert as_codes(after["social_grid"]) == by_the_database(uow, after)
    finally:
        engine.dispose()
