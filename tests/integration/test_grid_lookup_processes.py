"""Several processes look up places while redraws come in force: none answers old, none answers mixed, none is restarted."""

import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from factories.stored_town import COMMUNITIES, DISTRICT, SIDE, SOUTH, START, WEST, division_frame, grid_frame
from sqlalchemy import text

from gridsvc.errors import GridsvcError
from gridsvc.services.grid_lookup import find_places, keep_current
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis

PROCESSES = 3
ACROSS, UP = np.meshgrid(np.arange(8) * SIDE / 4 + SIDE / 8, np.arange(8) * SIDE / 4 + SIDE / 8)
LON, LAT = np.round(WEST + ACROSS.ravel(), 9), np.round(SOUTH + UP.ravel(), 9)


def put_grids(uow, grids, at, network="social"):
    redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "planner", at)
    uow.redraws.put_grids(redraw, grids)
    uow.redraws.approve(redraw, "manager", datetime.now(UTC), at, {"gap_area_m2": 0.0})


@pytest.fixture
def database(clean_database):
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(division_frame(), START)
        put_grids(uow, grid_frame(), START)
        put_grids(uow, grid_frame(network="security", kind="security"), START, "security")
        uow.commit()
    yield engine
    engine.dispose()


def ask_again_and_again(url, folder, number, last, ending, answers):
    """Ask for all points at the present instant until told to end; note when each answer began and what it was."""
    engine = make_engine(url)
    noted = []
    while not ending.is_set():
        began = datetime.now(UTC)
        # some processes hold an index, as a server does; others read the grids around the points
        with UnitOfWork(engine, cache_dir=folder) as uow:
            if folder is not None:
                keep_current(uow, began)
            found = find_places(uow, LON, LAT, began)
        serials = tuple(sorted({code[12:] for net in ("social", "security") for code in found.grids[net] if code}))
        noted.append((began, serials))
        last[number] = began.timestamp()
    answers.put(noted)


def wait_for_answers(last, since):
    """Wait until every process has given an answer that began after ``since``; how fast they are does not matter."""
    deadline = time.monotonic() + 300
    while min(last) <= since.timestamp():
        assert time.monotonic() < deadline, "a process stopped answering"
        time.sleep(0.05)


@pytest.mark.slow
def test_redraws_now_and_later_reach_every_process_whole(database, clean_database, tmp_path):
    context = multiprocessing.get_context("spawn")
    ending, answers, last = context.Event(), context.Queue(), context.Array("d", PROCESSES)
    folders = [tmp_path, tmp_path, None]
    running = [
        context.Process(target=ask_again_and_again, args=(clean_database, folders[n], n, last, ending, answers))
        for n in range(PROCESSES)
    ]
    for process in running:
        process.start()
    wait_for_answers(last, START)

    with UnitOfWork(database) as uow:
        both = datetime.now(UTC)
        put_grids(uow, grid_frame(parts=2, first_serial=11), both)
        # between the two networks of one redraw others must see neither
        time.sleep(0.5)
        put_grids(uow, grid_frame(parts=2, first_serial=11, network="security", kind="security"), both, "security")
        uow.commit()
    committed = datetime.now(UTC)
    wait_for_answers(last, committed)
    with UnitOfWork(database) as uow:
        later = datetime.now(UTC) + timedelta(seconds=2)
        put_grids(uow, grid_frame(parts=2, first_serial=21), later)
        put_grids(uow, grid_frame(parts=2, first_serial=21, network="security", kind="security"), later, "security")
        uow.commit()
    approved = datetime.now(UTC)
    wait_for_answers(last, max(later, approved))
    ending.set()
    noted = [answers.get(timeout=300) for _ in running]
    for process in running:
        process.join(60)

    before, after, then = ("001", "002"), ("011", "012"), ("021", "022")
    for answered in noted:
        assert {serials for _, serials in answered} == {before, after, then}
        assert all(serials == after for began, serials in answered if committed < began < later)
        assert all(serials == then for began, serials in answered if began >= max(later, approved))
    assert len(list(Path(tmp_path).glob("*.grids"))) >= 2


def test_a_change_of_grids_waits_for_reports_being_stored_and_they_for_it(database):
    with UnitOfWork(database) as storing, UnitOfWork(database) as changing:
        for uow in (storing, changing):
            uow.connection.execute(text("SET LOCAL lock_timeout = '300ms'"))
        find_places(storing, LON, LAT, START, hold=True)
        with pytest.raises(GridsvcError):
            put_grids(changing, grid_frame(parts=1, first_serial=31), START + timedelta(days=1))
        storing.commit()
        changing.rollback()
    with UnitOfWork(database) as changing, UnitOfWork(database) as storing:
        put_grids(changing, grid_frame(parts=1, first_serial=31), START + timedelta(days=1))
        storing.connection.execute(text("SET LOCAL lock_timeout = '300ms'"))
        # whoever only asks is answered as of before
        asked = find_places(storing, LON[:1], LAT[:1], START + timedelta(days=2))
        with pytest.raises(GridsvcError):
            find_places(storing, LON, LAT, START, hold=True)
        changing.commit()

    assert asked.grids["social"].tolist() == [f"{COMMUNITIES[0]}001"]
    with UnitOfWork(database) as uow:
        assert find_places(uow, LON[:1], LAT[:1], START + timedelta(days=2), hold=True).grids["social"].tolist() == [
            f"{COMMUNITIES[0]}031"
        ]


def test_processes_share_one_file_and_a_damaged_one_is_made_again(database, tmp_path):
    with UnitOfWork(database, cache_dir=tmp_path) as uow:
        keep_current(uow, START)
        first = find_places(uow, LON, LAT, START)
    (made,) = tmp_path.glob("*.grids")
    made.write_bytes(made.read_bytes()[:1000])
    from gridsvc.services import grid_lookup

    grid_lookup._LOOKUP.held.clear()
    with UnitOfWork(database, cache_dir=tmp_path) as uow:
        keep_current(uow, START)
        again = find_places(uow, LON, LAT, START)

    assert again.grids["social"].tolist() == first.grids["social"].tolist()
    assert made.stat().st_size > 1000
