"""Users, tokens and the audit log in a real PostGIS."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from gridsvc.errors import ConflictError, ForbiddenError, NotFoundError, RequestInvalidError
from gridsvc.store.access import Principal

pytestmark = pytest.mark.postgis
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_token_stands_for_its_user(uow):
    uow.access.add_user("zhang", "张三", "planner", "420103")

    token = uow.access.issue_token("zhang", "notebook")

    assert uow.access.principal_of(token, NOW) == Principal("zhang", "planner", "420103")
    assert uow.access.principal_of(token + "x", NOW) is None


def test_the_token_itself_is_not_stored(uow):
    uow.access.add_user("zhang", "张三", "planner")
    token = uow.access.issue_token("zhang")

    stored = uow.connection.execute(text("SELECT * FROM tokens")).one()

    assert len(stored.token_sha256) == 32
    assert token not in str(stored) and token.encode() not in bytes(stored.token_sha256)


def test_an_expired_token_is_worthless(uow):
    uow.access.add_user("zhang", "张三", "viewer")
    token = uow.access.issue_token("zhang", expires_at=NOW)

    assert uow.access.principal_of(token, NOW - timedelta(seconds=1)) is not None
    assert uow.access.principal_of(token, NOW) is None


def test_a_withdrawn_token_is_worthless(uow):
    uow.access.add_user("zhang", "张三", "viewer")
    token = uow.access.issue_token("zhang")
    token_id = int(uow.access.list_tokens("zhang")["token_id"].iloc[0])

    uow.access.withdraw_token(token_id, NOW)

    assert uow.access.principal_of(token, NOW) is None
    with pytest.raises(NotFoundError, match="no live token"):
        uow.access.withdraw_token(token_id, NOW)


def test_an_inactive_user_has_no_worth_either(uow):
    uow.access.add_user("zhang", "张三", "viewer")
    token = uow.access.issue_token("zhang")

    uow.connection.execute(text("UPDATE users SET is_active = false"))

    assert uow.access.principal_of(token, NOW) is None


def test_bad_users_are_refused(uow):
    uow.access.add_user("zhang", "张三", "viewer")
    with pytest.raises(ConflictError, match="zhang already"):
        uow.access.add_user("zhang", "又一张三", "viewer")
    with pytest.raises(NotFoundError, match="no user li"):
        uow.access.issue_token("li")
    with pytest.raises(RequestInvalidError, match="role_known"):
        uow.access.add_user("wang", "王五", "king")


def test_a_scope_manages_its_own_users_only(uow, open_uow):
    uow.access.add_user("city", "市", "admin")
    uow.access.add_user("street", "街道", "viewer", "420103001")
    uow.access.issue_token("city")
    of_city = int(uow.access.list_tokens("city")["token_id"].iloc[0])

    with open_uow("420103") as limited:
        assert limited.access.list_users()["login"].tolist() == ["street"]
        with pytest.raises(NotFoundError):
            limited.access.issue_token("city")
        with pytest.raises(NotFoundError):
            limited.access.withdraw_token(of_city, NOW)
        with pytest.raises(ForbiddenError):
            limited.access.add_user("wide", "宽", "admin", "4201")


def three_entries(uow):
    for number, at in enumerate((NOW, NOW + timedelta(hours=1), NOW - timedelta(days=1))):
        uow.audit.append(
            "zhang", "redraw.approve", "redraw", str(number), {"说明": "批准", "n": number, "share": 0.1}, at=at
        )


def test_the_audit_chain_holds(uow):
    three_entries(uow)

    check = uow.audit.verify()

    assert (check.entries, check.first_broken) == (3, None)
    assert uow.audit.list()["object_key"].tolist() == ["2", "1", "0"]


def test_an_entry_cannot_be_changed_or_removed(uow):
    three_entries(uow)

    for statement in ("UPDATE audit_log SET actor = 'li'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(ProgrammingError, match="append-only"), uow.connection.begin_nested():
            uow.connection.execute(text(statement))


@pytest.mark.parametrize(
    ("forgery", "broken"),
    [
        pytest.param("UPDATE audit_log SET actor = 'li' WHERE object_key = '1'", "1", id="changed"),
        pytest.param("DELETE FROM audit_log WHERE object_key = '1'", "2", id="removed"),
        pytest.param("UPDATE audit_log SET details = '{}' WHERE object_key = '0'", "0", id="details changed"),
    ],
)
def test_a_forged_past_shows(uow, forgery, broken):
    three_entries(uow)
    uow.connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only"))
    uow.connection.execute(text(forgery))

    first = uow.audit.verify().first_broken

    assert uow.connection.scalar(text("SELECT object_key FROM audit_log WHERE audit_id = :id"), {"id": first}) == broken


def test_the_audit_log_is_not_read_within_a_limited_scope(open_uow):
    with open_uow("420103") as limited:
        limited.audit.append("li", "login", "user", "li", at=NOW)
        with pytest.raises(ForbiddenError):
            limited.audit.list()
        with pytest.raises(ForbiddenError):
            limited.audit.verify()
