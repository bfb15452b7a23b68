"""Drafts side by side: neighbours both approved with an exact partition at every instant, the same grids only once."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import shapely

from gridsvc.errors import ConflictError
from gridsvc.geo.partitions import check_partition
from gridsvc.geo.projections import to_metric
from gridsvc.services import redraws
from gridsvc.services.redraw_drafting import draft_copy
from gridsvc.services.redraw_effects import settle
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories import served_district as town
from tests.factories.served_district import COMMUNITIES, DISTRICT, NOW, START
from tests.factories.undivided_district import EPSG

pytestmark = pytest.mark.postgis
WEST, EAST = COMMUNITIES[:2]
LATER = NOW + timedelta(days=10)


@pytest.fixture(scope="module")
def served_template(postgis_server, template_database):
    """Name of a database with the district in it, to be copied by tests that commit."""
    name = f"gridsvc_test_{os.getpid()}_side_by_side"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        town.put_served_district(uow)
        uow.commit()
    made.dispose()
    yield name
    postgis_server.drop(name)


@pytest.fixture
def district(postgis_server, served_template, request):
    """Engine of a copy of the district, for several connections and real commits."""
    name = f"{served_template}_{abs(hash(request.node.name)) % 10**6}"
    made = make_engine(postgis_server.create(name, served_template))
    yield made
    made.dispose()
    postgis_server.drop(name)


def bent(frame, side):
    """Return the grids with a vertex of their own in every outer edge on one side of the community: east or west."""
    shapes = frame.geometry.to_numpy()
    west, _, east, _ = shapely.total_bounds(shapes)
    border, share = (east, 0.5) if side == "east" else (west, 0.3)
    return frame.set_geometry(
        np.array([_with_vertices(shape, border, share) for shape in shapes], dtype=object), crs=frame.crs
    )


def _with_vertices(shape, border, share):
    """Return a grid with a vertex at that share, from the south, of each of its edges along a meridian (within 2 m)."""
    assert len(shape.geoms) == 1
    rings = []
    for ring in shapely.get_rings(shape.geoms[0]):
        xy = shapely.get_coordinates(ring)
        start, end = xy[:-1], xy[1:]
        along = (np.abs(start[:, 0] - border) < 2e-5) & (np.abs(end[:, 0] - border) < 2e-5)
        northward = (end[:, 1] > start[:, 1])[:, None]
        south, north = np.where(northward, start, end), np.where(northward, end, start)
        between = np.round(south + (north - south) * share, 9)
        at = np.flatnonzero(along)
        rings.append(np.insert(xy, at + 1, between[at], axis=0))
    return shapely.MultiPolygon([shapely.Polygon(rings[0], rings[1:])])


def drafted(uow, community, side, by):
    """Return the id of a draft of a community whose border towards the other one has vertices of its own."""
    redraw_id = draft_copy(uow, community, by=by, now=NOW)
    frame = uow.redraws.grids(redraw_id)
    changed = bent(frame, side)
    assert shapely.get_num_coordinates(changed.geometry).sum() > shapely.get_num_coordinates(frame.geometry).sum()
    uow.redraws.put_grids(redraw_id, changed)
    uow.commit()
    return redraw_id


def approve(engine, redraw_id, **options):
    with UnitOfWork(engine) as uow:
        done = redraws.approve_redraw(uow, redraw_id, by="manager", now=NOW, **options)
        uow.commit()
    return done


def assert_exact_at_every_instant(uow):
    """Check the whole district at every instant at which any of its grids changes."""
    whole = to_metric([uow.divisions.get(DISTRICT, START)["geometry"]], EPSG)[0]
    rows = pd.read_sql("SELECT DISTINCT valid_from FROM grids ORDER BY 1", uow.connection)["valid_from"]
    for instant in (*rows, rows.iloc[-1] + timedelta(days=1)):
        for network in ("urban", "social", "unified"):
            shapes = uow.grids.list(network, DISTRICT, instant).geometry.to_numpy()
            assert shapely.coverage_is_valid(shapes), (network, instant)
            assert check_partition(whole, to_metric(shapes, EPSG)).is_exact, (network, instant)


@pytest.mark.parametrize(
    ("first_at", "second_at"),
    [
        pytest.param(None, None, id="both now"),
        pytest.param(LATER, LATER, id="both later, at one instant"),
        pytest.param(LATER, None, id="the second comes before the first"),
        pytest.param(None, LATER, id="the second comes after the first"),
    ],
)
def test_neighbours_drafted_side_by_side_are_both_approved_and_fit(district, first_at, second_at):
    with UnitOfWork(district) as uow:
        first, second = drafted(uow, WEST, "east", "planner"), drafted(uow, EAST, "west", "other")

    one = approve(district, first, in_force_from=first_at)
    two = approve(district, second, in_force_from=second_at)

    assert one.grids.neighbours > 0 and two.grids.inserted > 0
    with UnitOfWork(district) as uow:
        assert not any(effects.failed for effects in settle(uow, LATER))
        assert_exact_at_every_instant(uow)
        assert set(uow.grids.list("social", DISTRICT, LATER)["code"]) == set(
            uow.grids.list("social", DISTRICT, START)["code"]
        )


@pytest.mark.slow
def test_of_two_approvals_of_the_same_grids_at_the_same_time_one_is_refused_and_told_why(district):
    with UnitOfWork(district) as uow:
        ids = [drafted(uow, WEST, "east", "planner"), drafted(uow, WEST, "east", "other")]
    outcomes: dict[str, object] = {}
    first_is_in = threading.Event()

    def second():
        first_is_in.wait()
        try:
            outcomes["second"] = approve(district, ids[1])
        except ConflictError as refused:
            outcomes["second"] = refused

    waiting = threading.Thread(target=second)
    waiting.start()
    with UnitOfWork(district) as uow:
        redraws.approve_redraw(uow, ids[0], by="manager", now=NOW)
        first_is_in.set()
        # the other transaction has to wait for this one, which is not committed yet
        waiting.join(timeout=1.5)
        assert waiting.is_alive() and not outcomes
        uow.commit()
    waiting.join()

    assert isinstance(outcomes["second"], ConflictError)
    assert outcomes["second"].details["other_redraw_id"] == ids[0]
    with UnitOfWork(district) as uow:
        assert [uow.redraws.get(redraw_id)["state"] for redraw_id in ids] == ["approved", "draft"]


def test_a_draft_begun_while_an_approval_was_under_way_is_stale(district):
    with UnitOfWork(district) as uow:
        first = drafted(uow, WEST, "east", "planner")
    with UnitOfWork(district) as approving, UnitOfWork(district) as drafting:
        redraws.approve_redraw(approving, first, by="manager", now=NOW)
        # without the audit log, whose entries are written one transaction after the other
        second = drafting.redraws.open_draft(["urban", "social"], WEST, "edited", "other", NOW)
        held = pd.concat([drafting.grids.list(network, WEST) for network in ("urban", "social")], ignore_index=True)
        drafting.redraws.put_grids(second, held.drop(columns=["redraw_id", "valid_from", "valid_to"]))
        drafting.commit()
        approving.commit()

    with pytest.raises(ConflictError, match=first):
        approve(district, second)


def test_two_programs_settle_a_redraw_once(district):
    with UnitOfWork(district) as uow:
        redraw_id = drafted(uow, WEST, "east", "planner")
    approve(district, redraw_id, in_force_from=LATER)
    done: list[list] = []

    def run():
        with UnitOfWork(district) as uow:
            done.append(settle(uow, LATER))
            uow.commit()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(len(effects) for effects in done) == [0, 0, 1]
