"""``gridsvc user`` and ``gridsvc token``: who may use the API, and how they prove it."""

from __future__ import annotations

import getpass
from datetime import timedelta

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result

_ROLES = ("viewer", "field", "dispatcher", "planner", "manager", "admin")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def _actor() -> str:
    """Return who is at the keyboard, for the audit log."""
    return f"cli:{getpass.getuser()}"


@click.group()
def user() -> None:
    """Add and list users.

    Example: gridsvc user add zhang --name 张三 --role planner --scope 420103
    """


@user.command("add")
@click.argument("login")
@click.option("--name", required=True, help="Name shown to others.")
@click.option("--role", type=click.Choice(_ROLES), default="viewer", show_default=True, help="What the user may do.")
@click.option("--scope", default="", metavar="CODE", help="Division code the user is limited to; default: no limit.")
@_as_json
def add_user(login: str, name: str, role: str, scope: str, as_json: bool) -> None:
    """Add a user LOGIN.

    Example: gridsvc user add zhang --name 张三 --role planner --scope 420103
    """
    from gridsvc.services import access

    with open_app() as app, app.unit_of_work() as uow:
        print_result(access.add_user(uow, login, name, role, scope, actor=_actor(), at=now()), as_json)


@user.command("list")
@_as_json
def list_users(as_json: bool) -> None:
    """List the users and how many live tokens each has.

    Example: gridsvc user list --json
    """
    from gridsvc.services import access

    with open_app() as app, app.unit_of_work() as uow:
        print_result(access.list_users(uow), as_json)


@click.group()
def token() -> None:
    """Issue, list and withdraw API tokens.

    Example: gridsvc token issue zhang --label phone --days 365
    """


@token.command("issue")
@click.argument("login")
@click.option("--label", default="", help="What the token is for.")
@click.option("--days", type=click.IntRange(min=1), help="Days it is good for; default: until withdrawn.")
@_as_json
def issue_token(login: str, label: str, days: int | None, as_json: bool) -> None:
    """Issue a token for the user LOGIN and print it, the only time it is shown.

    Example: curl -H "Authorization: Bearer $(gridsvc token issue zhang)" http://127.0.0.1:8000/api/v1/grids
    """
    from gridsvc.services import access

    at = now()
    expires_at = at + timedelta(days=days) if days else None
    with open_app() as app, app.unit_of_work() as uow:
        issued = access.issue_token(uow, login, label, expires_at, actor=_actor(), at=at)
    # without --json nothing but the token: it is meant to be put into a variable
    print_result(issued if as_json else issued.token, as_json)


@token.command("list")
@click.argument("login")
@_as_json
def list_tokens(login: str, as_json: bool) -> None:
    """List the tokens of the user LOGIN, never the tokens themselves.

    Example: gridsvc token list zhang
    """
    from gridsvc.services import access

    with open_app() as app, app.unit_of_work() as uow:
        print_result(access.list_tokens(uow, login), as_json)


@token.command("withdraw")
@click.argument("token_id", type=int)
@_as_json
def withdraw_token(token_id: int, as_json: bool) -> None:
    """Make the token with the number TOKEN_ID (see `gridsvc token list`) worthless.

    Example: gridsvc token withdraw 3
    """
    from gridsvc.services import access

    with open_app() as app, app.unit_of_work() as uow:
        access.withdraw_token(uow, token_id, actor=_actor(), at=now())
    print_result({"withdrawn": token_id}, as_json)
