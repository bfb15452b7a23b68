"""Migration 0015 keeps the redraws there are: one network becomes a list of one, and back, a list becomes one redraw each."""

import pytest
from sqlalchemy import text

from gridsvc.store import migrate
from gridsvc.store.engine import make_engine

pytestmark = pytest.mark.postgis

COMMUNITY = "420103001001"
SQUARE = "ST_Multi(ST_MakeEnvelope(114, 30, 114.01, 30.01, 4490))"


@pytest.fixture
def before(empty_database):
    """Engine of a database at 0014 with an approved redraw, a draft and a discarded one of the social network."""
    engine = make_engine(empty_database)
    migrate.upgrade(engine, "0014_audit_append_only")
    with engine.begin() as connection:
        for network, kind in (("urban", "unit"), ("social", "governance")):
            connection.execute(
                text(
                    "INSERT INTO networks (network, name_zh, name_en, grid_kind, sort_order) VALUES (:n, '', '', :k, 1)"
                ),
                {"n": network, "k": kind},
            )
        for state in ("approved", "draft", "discarded"):
            connection.execute(text(_redraw(state)))
        connection.execute(text(_grid("redraw_grids", "social", "governance", f"{COMMUNITY}001", "approved")))
    yield engine
    engine.dispose()


def _redraw(state):
    decided = "'boss', now()" if state != "draft" else "NULL, NULL"
    force = "now()" if state == "approved" else "NULL"
    return (
        "INSERT INTO redraws (network, division_code, state, origin, drafted_by, drafted_at, decided_by, decided_at, in_force_from)"
        f" VALUES ('social', '{COMMUNITY}', '{state}', 'automatic', 'me', now(), {decided}, {force})"
    )


def _grid(table, network, kind, code, state):
    return (
        f"INSERT INTO {table} (redraw_id, network, kind, code, community_code, area_m2, geom)"
        f" SELECT redraw_id, '{network}', '{kind}', '{code}', '{COMMUNITY}', 1, {SQUARE} FROM redraws WHERE state = '{state}'"
    )


def test_redraws_go_up_with_their_network_communities_and_number(before):
    migrate.upgrade(before)

    with before.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT state, networks, community_codes, approval_no, based_on, effects_at IS NOT NULL FROM redraws ORDER BY 1"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("approved", ["social"], [COMMUNITY], 1, 0, True),
        ("discarded", ["social"], [], None, 0, False),
        ("draft", ["social"], [], None, 1, False),
    ]


def test_a_redraw_of_two_networks_goes_down_as_two(before):
    migrate.upgrade(before)
    with before.begin() as connection:
        connection.execute(text("UPDATE redraws SET networks = '{urban,social}' WHERE state = 'approved'"))
        connection.execute(text(_grid("redraw_grids", "urban", "unit", f"{COMMUNITY}001", "approved")))

    migrate.downgrade(before, "0014_audit_append_only")

    with before.connect() as connection:
        rows = connection.execute(
            text("SELECT r.network, g.network, r.decided_by FROM redraws r JOIN redraw_grids g USING (redraw_id)"
                 " WHERE r.state = 'approved' ORDER BY 1")
        ).all()  # fmt: skip
    assert [tuple(row) for row in rows] == [("social", "social", "boss"), ("urban", "urban", "boss")]
