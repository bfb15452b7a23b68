"""``gridsvc user`` and ``gridsvc token`` on a real database."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from gridsvc.cli.access import token, user
from gridsvc.cli.main import COMMANDS
from gridsvc.errors import ConflictError, NotFoundError
from gridsvc.store.access import ROLES
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis


@pytest.fixture
def run(clean_database, monkeypatch):
    monkeypatch.setenv("GRIDSVC_DATABASE_URL", clean_database)

    def run(group, *arguments):
        done = CliRunner().invoke(group, arguments)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_from_user_to_token_to_nothing(run, clean_database):
    run(user, "add", "zhang", "--name", "张三", "--role", "planner", "--scope", "420103")
    plain = run(token, "issue", "zhang", "--label", "phone").strip()

    engine, at = make_engine(clean_database), datetime(2090, 1, 1, tzinfo=UTC)
    with UnitOfWork(engine) as uow:
        assert uow.access.principal_of(plain, at).scope_prefix == "420103"
        listed = json.loads(run(token, "list", "zhang", "--json"))
        run(token, "withdraw", str(listed[0]["token_id"]))
        uow.rollback()
    with UnitOfWork(engine) as uow:
        assert uow.access.principal_of(plain, at) is None
        assert uow.audit.list()["action"].tolist() == ["token.withdraw", "token.issue", "user.add"]
        assert uow.audit.verify().first_broken is None
    engine.dispose()

    assert listed[0]["label"] == "phone"
    assert plain not in json.dumps(listed)


def test_users_as_json(run):
    run(user, "add", "zhang", "--name", "张三")

    assert json.loads(run(user, "list", "--json")) == [
        {"login": "zhang", "name": "张三", "role": "viewer", "scope_prefix": "", "is_active": True, "tokens": 0}
    ]


def test_refusals_are_ours(run):
    run(user, "add", "zhang", "--name", "张三")

    with pytest.raises(ConflictError):
        run(user, "add", "zhang", "--name", "张三")
    with pytest.raises(NotFoundError):
        run(token, "issue", "li")


def test_roles_on_the_command_line_are_those_of_the_store():
    role = next(option for option in user.commands["add"].params if option.name == "role")

    assert tuple(role.type.choices) == ROLES


@pytest.mark.parametrize("group", [user, token], ids=["user", "token"])
def test_every_command_shows_an_example(group):
    assert group.name in COMMANDS
    for command in (group, *group.commands.values()):
        assert "Example:" in command.help
