"""Dividing a city as a job: districts side by side, what fails alone, what is resumed, what survives being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from sqlalchemy import text

from gridsvc.bootstrap import App
from gridsvc.errors import ConflictError, GridsvcError, NotFoundError
from gridsvc.jobs.division_job import resume_division, run_division
from gridsvc.services.division_runs import DivisionOrder
from gridsvc.settings import read_settings
from gridsvc.store.engine import make_engine
from tests.factories.undivided_city import CITY, community_codes, district_codes, put_city

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
DRAFT = DivisionOrder(CITY, AT, "planner", draft=True)

pytestmark = pytest.mark.postgis


class Shown:
    """A progress that remembers."""

    def __init__(self):
        self.steps = []
        self.units = 0

    def start(self, label, total=None):
        self.steps.append((label, total))

    def advance(self, units=1):
        self.units += units


@pytest.fixture
def app(clean_database):
    engine = make_engine(clean_database)
    yield App(read_settings({}), engine)
    engine.dispose()


@pytest.fixture
def put(app):
    """Store a city in the test's own database."""

    def store(**changes):
        with app.unit_of_work() as uow:
            names = put_city(uow, AT, **changes)
            uow.commit()
        return names

    return store


def redraws(app):
    with app.unit_of_work() as uow:
        return uow.redraws.list(CITY)


def states(app, run_id):
    with app.unit_of_work() as uow:
        return {part["part_code"]: part["state"] for part in uow.division_runs.parts(run_id)}


def test_each_district_becomes_one_draft_of_both_kinds(app, put):
    put()
    shown = Shown()
    result = run_division(app, DRAFT, now=NOW, processes=2, progress=shown)

    assert (result.communities, result.failed) == (6, [])
    assert (result.gap_area_m2, result.overlap_area_m2, result.buildings_cut) == (0.0, 0.0, 0)
    assert sorted(result.redraws) == district_codes()
    drafts = redraws(app)
    assert sorted(drafts["division_code"]) == district_codes() and set(drafts["state"]) == {"draft"}
    with app.unit_of_work() as uow:
        grids = [uow.redraws.grids(redraw_id) for redraw_id in drafts["redraw_id"]]
        assert uow.grids.list("social", CITY, AT).empty
    for frame in grids:
        assert set(frame["kind"]) == {"unit", "governance"}
        assert shapely.coverage_is_valid(frame.geometry[frame["kind"] == "unit"].to_numpy())
    assert sum(len(f) for f in grids) == result.unit_grids + result.governance_grids
    assert set(states(app, result.run_id).values()) == {"done"}
    assert shown.steps == [("divide communities", 6)] and shown.units == 6


@pytest.mark.slow
def test_processes_change_nothing_but_the_time(app, put):
    put()
    run_division(app, DivisionOrder(CITY, AT, "planner"), now=NOW, processes=2)
    again = run_division(app, DivisionOrder(CITY, AT, "planner"), now=NOW, processes=1)

    assert (again.inserted, again.retired, again.redraws) == (0, 0, {})
    assert again.unchanged == again.unit_grids + again.governance_grids


@pytest.mark.slow
def test_a_dry_run_stores_nothing(app, put):
    put(districts=2)
    result = run_division(app, DRAFT, now=NOW, processes=2, dry_run=True)

    assert result.communities == 4 and result.run_id is None
    with app.unit_of_work() as uow:
        assert uow.redraws.list(CITY).empty
        assert uow.division_runs.find_latest(CITY) is None


def use_up_serials(app, community):
    """Give away all but a few serials of a community, as if it had been drafted over and over."""
    with app.unit_of_work() as uow:
        redraw = uow.redraws.open_draft("urban", community, "imported", "test", AT)
        uow.connection.execute(
            text(
                "INSERT INTO redraw_grids (redraw_id, network, kind, code, community_code, area_m2, geom)"
                " SELECT :redraw, 'urban', 'unit', :code || lpad(i::text, 3, '0'), :code, 1,"
                " ST_Multi(ST_MakeEnvelope(114, 30, 114.0001, 30.0001, 4490)) FROM generate_series(1, 998) AS i"
            ),
            {"redraw": redraw, "code": community},
        )
        uow.redraws.discard(redraw)
        uow.commit()


@pytest.mark.slow
def test_bad_communities_are_listed_with_their_reason_and_stop_nobody(app, put):
    names = community_codes(3, 3)
    put(communities=3, undrawn=[names[1]], stretched=[names[3]])
    use_up_serials(app, names[8])
    result = run_division(app, DRAFT, now=NOW, processes=2)

    reasons = dict(result.failed)
    assert "has no boundary" in reasons[names[1]]
    assert "serial" in reasons[names[8]]
    overlapping = set(reasons) - {names[1], names[8]}
    assert len(overlapping) == 1 and overlapping <= {names[3], names[4]}
    assert result.communities == 6
    with app.unit_of_work() as uow:
        drafted = {
            code
            for r in uow.redraws.list(CITY, "draft")["redraw_id"]
            for code in uow.redraws.grids(r)["community_code"]
        }
    assert drafted == set(names) - set(reasons)


@pytest.mark.slow
def test_a_district_that_cannot_be_divided_is_listed_and_done_when_resumed(app, put):
    put()
    bad = district_codes()[1]
    later = datetime(2026, 6, 1, tzinfo=UTC)
    run_division(app, DivisionOrder(bad, later, "planner"), now=NOW)
    order = DivisionOrder(CITY, AT, "planner")
    result = run_division(app, order, now=NOW, processes=2)

    assert [code for code, _ in result.failed] == [bad] and "change again at" in result.failed[0][1]
    assert result.communities == 4
    assert states(app, result.run_id)[bad] == "failed"

    with app.unit_of_work() as uow:
        uow.connection.execute(text("DELETE FROM grids WHERE community_code LIKE :bad"), {"bad": bad + "%"})
        uow.commit()
    resumed = resume_division(app, CITY, processes=2)

    assert (resumed.run_id, resumed.failed, resumed.communities) == (result.run_id, [], 6)
    assert set(states(app, result.run_id).values()) == {"done"}


def test_the_refusal_of_an_only_district_is_raised_and_recorded(app, put):
    put(districts=1)
    only = district_codes(1)[0]
    run_division(app, DivisionOrder(only, NOW, "planner"), now=NOW)

    with pytest.raises(ConflictError, match="change again"):
        run_division(app, DivisionOrder(only, AT, "planner"), now=NOW)

    with app.unit_of_work() as uow:
        run = uow.division_runs.find_latest(only)
    assert set(states(app, run["division_run_id"]).values()) == {"failed"}


@pytest.mark.slow
def test_resuming_a_finished_run_does_only_what_changed_since(app, put):
    put()
    first = run_division(app, DRAFT, now=NOW, processes=2)
    nothing = resume_division(app, CITY)
    with app.unit_of_work() as uow:
        everything = uow.residences.list(district_codes()[2])
        eastern = int(np.argmax(everything.geometry.bounds["maxx"]))  # out of sight of the district beside
        tower = everything.iloc[[eastern]].assign(households=250).drop(columns=["entrance_lon", "entrance_lat"])
        uow.residences.put_frame(tower, at=AT)
        uow.commit()
    changed = resume_division(app, CITY)

    assert nothing.redraws == first.redraws and nothing.seconds < first.seconds
    west, middle, east = district_codes()
    assert {d: changed.redraws[d] == first.redraws[d] for d in changed.redraws} == {
        west: True,
        middle: True,
        east: False,
    }
    drafts = redraws(app).set_index("redraw_id")["state"]
    assert drafts[first.redraws[east]["unit"]] == "discarded"
    assert sorted(drafts) == ["discarded", "draft", "draft", "draft"]


def test_nothing_to_divide_and_nothing_to_resume_are_refused(app, put):
    put(districts=1)

    with pytest.raises(NotFoundError, match="No communities under 1101"):
        run_division(app, DivisionOrder("1101", AT, "planner"), now=NOW)
    with pytest.raises(NotFoundError, match="no division run of 4201"):
        resume_division(app, CITY)


def test_a_run_of_unknown_rules_is_not_resumed(app, put):
    put(districts=1)
    result = run_division(app, DRAFT, now=NOW)
    with app.unit_of_work() as uow:
        uow.connection.execute(text("UPDATE division_runs SET rules = rules || '{\"sides\": 6}'"))
        uow.commit()

    assert result.run_id
    with pytest.raises(ConflictError, match="rules this gridsvc does not know"):
        resume_division(app, CITY)


# ------------------------------------------------------------------------------------------------ killed and stopped


def hear_ctrl_c():
    """Undo what a shell does to what it runs in the background, and a test run with it: Ctrl-C is ignored there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """``gridsvc divide CITY`` as a process of its own."""

    def __init__(self, url, *options):
        environment = {**os.environ, "GRIDSVC_DATABASE_URL": url}
        arguments = [sys.executable, "-m", "gridsvc.cli.main", "divide", CITY, "--at", AT.isoformat(), *options]
        self.process = subprocess.Popen(
            arguments,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_ctrl_c,
        )

    def helpers(self):
        """Return the ids of all processes below this one."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found, queue = [], [self.process.pid]
        while queue:
            children = parents.get(queue.pop(), [])
            found += children
            queue += children
        return found

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def command(clean_database):
    started = []

    def start(*options):
        started.append(Command(clean_database, *options))
        return started[-1]

    yield start
    for one in started:
        one.end()


def wait_until(answer, seconds=120.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = answer()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("did not come about in time")


def done_parts(app):
    with app.unit_of_work() as uow:
        run = uow.division_runs.find_latest(CITY)
        return (
            [] if run is None else [p for p in uow.division_runs.parts(run["division_run_id"]) if p["state"] == "done"]
        )


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
def test_a_killed_run_leaves_whole_districts_only_and_is_resumed(app, put, command):
    put(districts=9)
    killed = command("--draft", "--processes", "2")
    wait_until(lambda: done_parts(app))
    helpers = killed.helpers()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in helpers), 30.0)

    done = done_parts(app)
    drafts = redraws(app)
    assert helpers and 1 <= len(done) < 9
    assert sorted(drafts["division_code"]) == sorted(p["part_code"] for p in done)
    with app.unit_of_work() as uow:
        for part in done:
            kept = len(uow.redraws.grids(part["outcome"]["redraws"]["unit"]))
            assert kept == part["outcome"]["unit_grids"] + part["outcome"]["governance_grids"]

    resumed = resume_division(app, CITY, processes=2)

    assert (resumed.communities, resumed.failed) == (18, [])
    assert sorted(redraws(app)["division_code"]) == district_codes(9)
    for part in done:
        assert resumed.redraws[part["part_code"]] == part["outcome"]["redraws"]
    whole = run_division(app, DivisionOrder(CITY, AT, "planner"), now=NOW, dry_run=True)
    assert (whole.unit_grids, whole.governance_grids) == (resumed.unit_grids, resumed.governance_grids)


@pytest.mark.slow
def test_a_killed_helper_takes_only_its_district_with_it(app, put, command):
    put(districts=4)
    running = command("--draft", "--processes", "2", "--json")

    def connected():
        with app.unit_of_work() as uow:
            waiting = uow.connection.scalars(
                text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            ).all()
        return len(waiting) >= 3 and running.helpers()

    wait_until(connected)
    victim = max(running.helpers())
    os.kill(victim, signal.SIGKILL)
    output, _ = running.process.communicate(timeout=240)
    result = json.loads(output)

    assert running.process.returncode == 0
    assert [reason for _, reason in result["failed"] if "signal 9" in reason]
    assert result["communities"] == 2 * (4 - len(result["failed"]))
    assert resume_division(app, CITY).communities == 8


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_says_how_to_go_on(app, put, command):
    put(districts=9)
    with app.unit_of_work() as somebody:
        # somebody divides the last district, so that the run is not over before it is stopped
        somebody.division_runs.wait_for_turn(district_codes(9)[-1])
        stopped = command("--draft", "--processes", "2")
        wait_until(lambda: done_parts(app))
        helpers = stopped.helpers()
        for pid in [stopped.process.pid, *helpers]:  # as the terminal does
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        _, said = stopped.process.communicate(timeout=60)

    assert stopped.process.returncode == 130, said
    assert f"gridsvc divide {CITY} --resume" in said and "Traceback" not in said
    wait_until(lambda: not any(is_alive(pid) for pid in helpers), 30.0)
    assert len(redraws(app)) == len(done_parts(app)) < 9


# ------------------------------------------------------------------------------------------------ Dask


@pytest.mark.slow
def test_a_dask_cluster_divides_the_districts(app, put):
    from dask.distributed import LocalCluster

    put()
    shown = Shown()
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
        host="127.0.0.1",
    ) as cluster:
        result = run_division(app, DRAFT, now=NOW, dask=cluster.scheduler_address, progress=shown)

    assert (result.communities, result.failed, shown.units) == (6, [], 6)
    assert sorted(redraws(app)["division_code"]) == district_codes()


def test_a_dask_scheduler_that_does_not_answer_is_named(app, put, monkeypatch):
    put(districts=1)
    monkeypatch.setattr("gridsvc.jobs.division_job._END_S", 0.5)

    with pytest.raises(GridsvcError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_division(app, DRAFT, now=NOW, dask="tcp://127.0.0.1:9")


def test_without_dask_the_refusal_says_how_to_get_it(app, put, monkeypatch):
    put(districts=1)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)

    with pytest.raises(GridsvcError, match="pip install"):
        run_division(app, DRAFT, now=NOW, dask="tcp://127.0.0.1:9")
