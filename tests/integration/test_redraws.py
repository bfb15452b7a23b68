"""Redraws of a district at work: what is known before, what happens at the instant of force, what stays as it was."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import shapely
from sqlalchemy import text

from gridsvc.errors import ConflictError, ForbiddenError, PartitionError, RequestInvalidError
from gridsvc.services import redraws
from gridsvc.services.redraw_drafting import draft_automatic, draft_copy
from gridsvc.services.redraw_effects import settle
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories import served_district as town
from tests.factories.served_district import COMMUNITIES, DISTRICT, NOW, START

pytestmark = pytest.mark.postgis
HERE = COMMUNITIES[0]
LATER = NOW + timedelta(days=10)


@pytest.fixture(scope="module")
def served_engine(postgis_server, template_database):
    """Engine of a database with the district in it; tests work in a transaction that is thrown away."""
    name = f"gridsvc_test_{os.getpid()}_redraws"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        town.put_served_district(uow)
        uow.commit()
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(served_engine):
    with served_engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


def drafted(uow, change, community=HERE, by="planner"):
    """Return the id of a draft: a copy of a community's grids, changed."""
    redraw_id = draft_copy(uow, community, by=by, now=NOW)
    uow.redraws.put_grids(redraw_id, change(uow.redraws.grids(redraw_id)))
    return redraw_id


def merging(community=HERE, serial=900):
    """Return a change that makes two governance grids one."""
    return lambda frame: town.with_merged(frame, town.pair_of_neighbours(frame, community), f"{community}{serial}")


def shifting(community=HERE):
    """Return a change that moves a border between two governance grids by one unit grid."""
    return lambda frame: town.with_unit_moved(frame, town.pair_of_neighbours(frame, community))


def approve(uow, redraw_id, **options):
    return redraws.approve_redraw(uow, redraw_id, by="manager", now=NOW, **options)


def state_of(uow, at=None):
    """Return everything a redraw may change: grids, assignments, cases, as comparable values."""
    grids = pd.concat([uow.grids.list(network, DISTRICT, at) for network in ("urban", "social", "unified")])
    shapes = shapely.to_wkb(grids.geometry.to_numpy()).tolist()
    assignments = uow.assignments.list("social", DISTRICT, at)
    cases = pd.read_sql(
        "SELECT case_code, stage, urban_grid, social_grid, unified_grid FROM cases ORDER BY 1", uow.connection
    )
    return (
        grids[["network", "code", "parent_code"]].astype(str).to_numpy().tolist(),
        shapes,
        assignments[["worker_code", "grid_code", "role"]].to_numpy().tolist(),
        cases.astype(str).to_numpy().tolist(),
    )


def test_a_draft_that_changes_nothing_passes_every_check(uow):
    redraw_id = draft_copy(uow, DISTRICT, by="planner", now=NOW)

    shown = redraws.show_redraw(uow, redraw_id, now=NOW)

    assert shown["checks"]["passed"], shown["checks"]["faults"]
    assert {row["kind"] for row in shown["lineage"]} == {"kept"}
    assert shown["impact"]["grids"] == () and shown["impact"]["case_moves"] == ()
    assert all(row["households_moved"] == 0 for row in shown["impact"]["networks"])


def test_the_impact_of_a_merge_is_known_before(uow):
    redraw_id = drafted(uow, merging())
    pair = town.pair_of_neighbours(draft_frame(uow, HERE), HERE)

    checks, impact = redraws.foresee(uow, redraw_id, at=NOW)

    assert checks.passed, checks.faults
    before = uow.grids.list("social", HERE).set_index("code")["households"]
    social = next(row for row in impact.networks if row.network == "social")
    assert set(social.codes_retired) == set(pair) and social.codes_new == (f"{HERE}900",)
    assert social.relations["merge"] == 1
    assert social.households_moved == before[list(pair)].sum()
    merged = next(change for change in impact.grids if change.code == f"{HERE}900")
    assert (merged.kind, merged.households_before, merged.households_after) == ("merge", None, before[list(pair)].sum())
    assert {(move.network, move.from_grid, move.to_grid, move.cases) for move in impact.case_moves} == {
        ("social", code, f"{HERE}900", 2) for code in pair
    }
    assert [row["grid_code"] for row in impact.inheriting] == [f"{HERE}900"]
    assert impact.without_worker == () and not impact.circle.available and impact.circle.reason
    assert uow.grids.list("social", HERE)["code"].tolist() == before.index.tolist()


def draft_frame(uow, community):
    """Return the grids in force of a community in the form of a draft."""
    return pd.concat([uow.grids.list(network, community) for network in ("urban", "social")], ignore_index=True)


def test_an_approval_moves_grids_cases_and_assignments_at_once(uow):
    pair = town.pair_of_neighbours(draft_frame(uow, HERE), HERE)
    primary = uow.assignments.list("social", HERE).query("is_primary").set_index("grid_code")["worker_code"]
    before = state_of(uow, START)
    closed = uow.connection.execute(
        text("UPDATE cases SET stage = 'closed', closed_at = :at WHERE social_grid = :grid AND opened_at ="
             " (SELECT min(opened_at) FROM cases WHERE social_grid = :grid) RETURNING case_code"),
        {"grid": pair[0], "at": NOW},
    ).scalar_one()  # fmt: skip
    redraw_id = drafted(uow, merging())

    done = approve(uow, redraw_id)

    fresh = f"{HERE}900"
    assert (done.grids.retired, done.grids.inserted) == (len(pair) + units_of(uow, pair), 1 + units_of(uow, pair))
    grids = uow.grids.list("social", HERE, NOW)
    assert fresh in set(grids["code"]) and not set(pair) & set(grids["code"])
    assert set(uow.grids.list("unified", HERE, NOW)["code"]) == set(grids["code"])
    cases = pd.read_sql("SELECT case_code, social_grid, unified_grid FROM cases", uow.connection).set_index("case_code")
    assert cases.loc[closed, "social_grid"] == pair[0]
    assert (cases["social_grid"] == fresh).sum() == 3 == done.effects.cases_moved
    assert (cases["unified_grid"] == fresh).sum() == 3
    reports = pd.read_sql("SELECT social_grid FROM reports", uow.connection)["social_grid"]
    assert (reports == fresh).sum() == 0 and reports.isin(pair).sum() == 4
    moves = uow.case_moves.list(redraw_id=redraw_id)
    assert set(moves["from_grid"]) == set(pair) and set(moves["to_grid"]) == {fresh}
    heirs = uow.assignments.list("social", HERE, NOW)
    heir = heirs[heirs["is_primary"] & (heirs["grid_code"] == fresh)]["worker_code"].tolist()
    households = uow.grids.list("social", HERE, START).set_index("code")["households"]
    assert heir == [primary[max(pair, key=lambda code: (households[code], -int(code)))]]
    assert done.effects.inherited == 1 and done.effects.unstaffed == ()
    assert state_of(uow, START)[:3] == before[:3]


def units_of(uow, pair):
    """Return how many unit grids belonged to two governance grids."""
    return int(uow.grids.list("urban", HERE, START)["parent_code"].isin(pair).sum())


def test_locate_answers_by_instant(uow):
    pair = town.pair_of_neighbours(draft_frame(uow, HERE), HERE)
    place = shapely.point_on_surface(uow.grids.get("social", pair[0]).geometry.iloc[0])
    approve(uow, drafted(uow, merging()))

    before, after = (uow.grids.locate_one(place.x, place.y, at) for at in (NOW - timedelta(seconds=1), NOW))

    assert (before["social"], before["unified"]) == (pair[0], pair[0])
    assert (after["social"], after["unified"]) == (f"{HERE}900", f"{HERE}900")
    assert before["urban"] == after["urban"]


def test_a_moved_border_keeps_both_codes_and_their_workers(uow):
    workers = uow.assignments.list("social", HERE)

    done = approve(uow, drafted(uow, shifting()))

    lineage = uow.lineage.of_redraw(done.redraw_id).query("network == 'social'")
    assert "reshape" in set(lineage["kind"])
    for side in ("old", "new"):
        assert (lineage.groupby(f"{side}_code")[f"{side}_household_share"].sum() == 1.0).all()
    assert uow.assignments.list("social", HERE, NOW).equals(workers)


def test_the_drafter_may_not_approve(uow):
    redraw_id = drafted(uow, merging())

    with pytest.raises(ForbiddenError, match="planner drafted"):
        redraws.approve_redraw(uow, redraw_id, by="planner", now=NOW)


def test_discarding_leaves_nothing_behind_but_the_record_and_its_codes(uow):
    before = state_of(uow)
    redraw_id = drafted(uow, merging())

    redraws.discard_redraw(uow, redraw_id, by="planner", now=NOW)

    assert state_of(uow) == before
    assert uow.redraws.get(redraw_id)["state"] == "discarded"
    assert f"{HERE}900" in uow.grids.used_codes("social", [HERE])
    with pytest.raises(ConflictError, match="is discarded, not a draft"):
        approve(uow, redraw_id)


def test_a_code_of_another_draft_is_not_given_again(uow):
    redraws.discard_redraw(uow, drafted(uow, merging()), by="planner", now=NOW)

    checks = redraws.check_redraw(uow, drafted(uow, merging()))

    assert [(fault.check, fault.grids) for fault in checks.faults] == [("code", (f"{HERE}900",))]


def test_an_approval_of_the_same_grids_makes_other_drafts_stale(uow):
    first, second = drafted(uow, merging(serial=900)), drafted(uow, shifting(), by="other")
    approve(uow, first)

    with pytest.raises(ConflictError, match=f"redraw {first} of {HERE} was approved by manager") as refused:
        approve(uow, second)

    assert refused.value.details["other_redraw_id"] == first and "Open a new draft" in refused.value.hint


def test_a_redraw_in_force_later_takes_effect_then(uow):
    before = state_of(uow)
    redraw_id = drafted(uow, merging())
    fresh = f"{HERE}900"

    done = approve(uow, redraw_id, in_force_from=LATER)

    assert done.effects is None
    assert state_of(uow, NOW)[:3] == state_of(uow, START)[:3]
    assert state_of(uow)[3] == before[3]
    assert fresh in set(uow.grids.list("social", HERE, LATER)["code"])
    assert settle(uow, LATER - timedelta(seconds=1)) == []
    (effects,) = settle(uow, LATER + timedelta(seconds=30))
    assert (effects.redraw_id, effects.cases_moved, effects.inherited, effects.failed) == (redraw_id, 4, 1, "")
    assert fresh in set(uow.grids.list("unified", HERE, LATER)["code"])
    assert fresh not in set(uow.grids.list("unified", HERE, LATER - timedelta(seconds=1))["code"])
    later = uow.assignments.list("social", HERE, LATER)
    assert later[later["is_primary"] & (later["grid_code"] == fresh)]["valid_from"].tolist() == [pd.Timestamp(LATER)]
    assert settle(uow, LATER + timedelta(days=1)) == []


def test_nothing_comes_before_what_is_approved_for_later(uow):
    first = drafted(uow, merging())
    approve(uow, first, in_force_from=LATER)
    second = drafted(uow, lambda frame: frame, by="other")

    with pytest.raises(ConflictError, match=f"Redraw {first} of the same grids comes in force at"):
        approve(uow, second)
    assert approve(uow, second, in_force_from=LATER + timedelta(days=1)).grids.inserted == 0


def test_a_division_drafted_before_an_approved_redraw_comes_in_force_follows_it(uow):
    first = drafted(uow, merging())
    approve(uow, first, in_force_from=LATER)
    given = uow.grids.used_codes("social", [HERE])

    # the streets say to divide as it was; the grids it follows are those with two of them merged
    second = draft_automatic(uow, HERE, by="planner", now=NOW)
    approve(uow, second, in_force_from=LATER + timedelta(days=1))

    codes = [set(uow.grids.list("social", HERE, LATER + timedelta(days=days))["code"]) for days in (0, 1)]
    assert f"{HERE}900" in codes[0]
    assert len(codes[1]) == len(codes[0]) + 1 and (codes[1] - codes[0]).isdisjoint(given)


def test_the_past_is_not_redrawn(uow):
    with pytest.raises(RequestInvalidError, match="has passed"):
        approve(uow, drafted(uow, merging()), in_force_from=NOW - timedelta(days=1))


def broken(what):
    """Return a change that breaks one rule."""

    def change(frame):
        frame = frame.copy()
        unit = np.flatnonzero(frame["network"] == "urban")[0]
        if what == "gap":
            return frame.drop(index=frame.index[unit])
        shapes = frame.geometry.to_numpy().copy()
        if what == "overlap":
            grown = shapes[unit].buffer(0.00005, join_style="mitre")
            shapes[unit] = shapely.MultiPolygon([grown])
        if what == "nesting":
            frame.loc[frame.index[unit], "parent_code"] = None
        if what == "code":
            frame.loc[frame.index[unit], "code"] = f"{HERE}1"
        return frame.set_geometry(shapes, crs=frame.crs)

    return change


def cut_across_buildings(frame, buildings):
    """Return the grids with two neighbouring unit grids cut anew, straight through a building."""
    own = frame[frame["network"] == "urban"]
    for first, second in itertools.combinations(range(len(own)), 2):
        both = shapely.union(own.geometry.iloc[first], own.geometry.iloc[second])
        inside = buildings[buildings.geometry.within(both)]
        same = own["parent_code"].iloc[first] == own["parent_code"].iloc[second]
        if inside.empty or not same or len(shapely.get_parts(both)) > 1:
            continue
        west, south, east, _ = both.bounds
        low = both.intersection(shapely.box(west - 1, south - 1, east + 1, inside.geometry.iloc[0].centroid.y))
        halves = [
            shapely.MultiPolygon(shapely.get_parts(shapely.set_precision(half, 1e-9)).tolist())
            for half in (low, both.difference(low))
        ]
        if [len(half.geoms) for half in halves] == [1, 1]:
            shapes = frame.geometry.to_numpy().copy()
            for row, half in zip((first, second), halves, strict=True):
                shapes[frame.index.get_loc(own.index[row])] = half
            return frame.set_geometry(shapes, crs=frame.crs)
    raise AssertionError("no two unit grids to cut")


def test_a_draft_that_cuts_a_building_is_not_approved(uow):
    redraw_id = drafted(uow, lambda frame: cut_across_buildings(frame, uow.residences.list(HERE)))

    with pytest.raises(PartitionError) as refused:
        approve(uow, redraw_id)

    assert "building-cut" in {fault["check"] for fault in refused.value.details["faults"]}


@pytest.mark.parametrize("what", ["gap", "overlap", "nesting", "code"])
def test_a_draft_that_fails_its_checks_is_not_approved(uow, what):
    redraw_id = drafted(uow, broken(what))

    checks = redraws.check_redraw(uow, redraw_id)

    assert what in {fault.check for fault in checks.faults} and not checks.passed
    with pytest.raises(PartitionError, match="does not pass its checks"):
        approve(uow, redraw_id)
    assert uow.redraws.get(redraw_id)["state"] == "draft"
