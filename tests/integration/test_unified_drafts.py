"""An alternative of the unified net from what is stored: drafted, checked, approved, in force as it was proposed."""

from __future__ import annotations

import os
from datetime import timedelta

import numpy as np
import pytest
import shapely

from gridsvc.errors import ConflictError, NotFoundError, RequestInvalidError
from gridsvc.geo.partitions import is_exact
from gridsvc.networks.unified import HouseholdBounds
from gridsvc.services import redraws
from gridsvc.services.unified_drafts import StoredAlternatives, draft_unified, stored_alternatives
from gridsvc.services.unified_tables import chosen
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories import served_district as town
from tests.factories.served_district import COMMUNITIES, DISTRICT, NOW
from tests.integration.test_merging_district import put_police_grids

pytestmark = pytest.mark.postgis
LATER = NOW + timedelta(days=1)
# the town has governance grids of 300 to 500 households: larger ones have to be joined
LARGE = HouseholdBounds(600, 1100)


@pytest.fixture(scope="module")
def served_engine(postgis_server, template_database):
    """Engine of a database with a merged district and police grids in it; tests work in a transaction that is thrown away."""
    name = f"gridsvc_test_{os.getpid()}_unified"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        town.put_served_district(uow)
        put_police_grids(uow)
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


def proposed(uow, **options) -> StoredAlternatives:
    return stored_alternatives(uow, DISTRICT, at=NOW, bounds=options.pop("bounds", LARGE), **options)


def as_stored(frame) -> dict[str, shapely.Geometry]:
    return dict(zip(frame["code"], shapely.normalize(frame.geometry.to_numpy()), strict=True))


@pytest.mark.parametrize("choose", ["balanced", "agreed"])
def test_an_approved_draft_is_in_force_as_it_was_proposed(uow, choose):
    found = proposed(uow, reference="security" if choose == "agreed" else "social")
    taken = chosen(found.found, choose)

    redraw_id = draft_unified(uow, found, choose, by="planner", now=NOW)
    checks = redraws.check_redraw(uow, redraw_id)
    shown = redraws.show_redraw(uow, redraw_id, now=NOW)
    assert checks.passed, checks.faults
    assert (shown["origin"], shown["networks"]) == ("merged", ["unified"])
    approval = redraws.approve_redraw(uow, redraw_id, by="manager", now=NOW)

    assert approval.effects is not None and approval.effects.failed == ""
    in_force = as_stored(uow.grids.list("unified", DISTRICT, NOW))
    wanted = {
        code: shapely.normalize(shapely.multipolygons(shapely.get_parts(shape)))
        for code, shape in zip(taken.code, taken.geometry, strict=True)
    }
    assert in_force.keys() == wanted.keys()
    assert all(shapely.equals_exact(in_force[code], shape, tolerance=0.0) for code, shape in wanted.items())
    shapes = np.array(list(in_force.values()), dtype=object)
    assert is_exact(shapes)
    units = uow.grids.list("urban", DISTRICT, NOW)
    assert shapely.union_all(shapes).equals(shapely.union_all(units.geometry.to_numpy()))
    assert uow.grids.list("unified", DISTRICT, NOW)["households"].sum() == units["households"].sum()
    with pytest.raises(ConflictError, match="nothing to draft"):
        draft_unified(uow, proposed(uow, reference=found.reference), choose, by="planner", now=LATER)


def test_grids_are_unions_of_unit_grids_inside_one_community_with_an_answer_of_every_network(uow):
    found = proposed(uow)

    redraw_id = draft_unified(uow, found, "balanced", by="planner", now=NOW, reason="three nets in one")
    frame = redraws.redraw_grids(uow, redraw_id)

    units = uow.grids.list("urban", DISTRICT, NOW)
    community = dict(zip(units["code"], units["community_code"], strict=True))
    holder = shapely.STRtree(frame.geometry.to_numpy()).query(
        shapely.point_on_surface(units.geometry.to_numpy()), predicate="intersects"
    )[1]
    assert [frame["community_code"].iloc[k] for k in holder] == [community[code] for code in units["code"]]
    assert all(set(answer) == {"urban", "social", "security"} for answer in frame["responsible"])
    assert (frame["code"].str[:12] == frame["community_code"]).all()
    assert redraws.head_of(uow, redraw_id)["reason"] == "three nets in one"


def test_costs_count_stored_people_workers_and_bounds(uow):
    found = proposed(uow)

    costs = {each.proposal.name: each.cost for each in found.found}
    units = uow.grids.list("urban", DISTRICT, NOW)
    assert all(each.people == pytest.approx(units["population"].sum()) for each in costs.values())
    social = {name: next(n for n in cost.networks if n.network == "social") for name, cost in costs.items()}
    assert social["reference"].people_moved == social["reference"].workers_moved == 0
    assert social["reference"].unchanged == social["reference"].grids
    assert social["balanced"].workers_moved > 0
    assert social["balanced"].workers == len(uow.assignments.list("social", DISTRICT, NOW)["worker_code"])
    assert costs["balanced"].too_few + costs["balanced"].too_many < costs["reference"].too_few
    assert costs["reference"].border_off_lines_m is not None
    report = found.report()
    assert set(report.layers) == {f"{n}{s}" for n in costs for s in ("", "_moved")}
    walk = report.tables["crosswalk"]
    sums = walk[walk["network"] == "social"].groupby(["alternative", "code"])["share"].sum()
    assert sums.to_numpy() == pytest.approx(1.0)
    assert walk.groupby(["alternative", "network"])["weight"].sum().to_numpy() == pytest.approx(
        units["population"].sum()
    )


def test_a_code_given_to_other_ground_is_not_given_again(uow):
    found = proposed(uow)
    redraws.approve_redraw(uow, draft_unified(uow, found, "balanced", by="planner", now=NOW), by="manager", now=NOW)

    again = draft_unified(
        uow, stored_alternatives(uow, DISTRICT, at=LATER, bounds=LARGE), "reference", by="planner", now=LATER
    )

    checks = redraws.check_redraw(uow, again)
    assert checks.passed, checks.faults
    balanced, reference = set(chosen(found.found, "balanced").code), set(redraws.redraw_grids(uow, again)["code"])
    retired = set(uow.grids.list("social", DISTRICT, NOW)["code"]) - balanced
    assert retired and not retired & reference


def test_what_cannot_be_proposed_is_refused(uow):
    with pytest.raises(RequestInvalidError, match="'urban' is no network with grids"):
        proposed(uow, reference="urban")
    with pytest.raises(NotFoundError, match="no unit grids"):
        stored_alternatives(uow, "420199", at=NOW)
    with pytest.raises(NotFoundError, match="no alternative best"):
        draft_unified(uow, proposed(uow), "best", by="planner", now=NOW)


def test_alternatives_of_one_community(uow):
    found = stored_alternatives(uow, COMMUNITIES[0], at=NOW, bounds=LARGE)

    redraw_id = draft_unified(uow, found, "balanced", by="planner", now=NOW)

    assert redraws.check_redraw(uow, redraw_id).passed
    assert redraws.head_of(uow, redraw_id)["community_codes"] == [COMMUNITIES[0]]
