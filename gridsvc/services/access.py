"""Users and tokens: who may do what, and where. Every change is audited with who made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.errors import RequestInvalidError
from gridsvc.store.access import ROLES, Principal, token_hash
from gridsvc.store.unit_of_work import UnitOfWork

__all__ = [
    "IssuedToken",
    "add_user",
    "issue_token",
    "list_tokens",
    "list_users",
    "principal_of",
    "token_hash",
    "withdraw_token",
]


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token in the clear, shown this once; ``expires_at`` None: until withdrawn."""

    login: str
    token: str
    label: str
    expires_at: datetime | None


def add_user(
    uow: UnitOfWork, login: str, name: str, role: str, scope_prefix: str = "", *, actor: str, at: datetime
) -> dict[str, Any]:
    """Add a user who may do what ``role`` may within the divisions of ``scope_prefix`` ("" is everything); return the user.

    Raises
    ------
    RequestInvalidError
        When login, name or role is not one.
    ConflictError
        When the login is taken.
    """
    if not login or login != login.strip() or any(character.isspace() for character in login):
        raise RequestInvalidError(
            f"{login!r} is not a login.", hint="Use letters and digits without spaces.", field="login"
        )
    if not name.strip():
        raise RequestInvalidError("The user has no name.", field="name")
    if role not in ROLES:
        raise RequestInvalidError(f"{role!r} is not a role.", hint=f"Use one of: {', '.join(ROLES)}.", field="role")
    uow.access.add_user(login, name, role, scope_prefix)
    user = {"login": login, "name": name, "role": role, "scope_prefix": scope_prefix}
    uow.audit.append(actor, "user.add", "user", login, {"role": role, "scope_prefix": scope_prefix}, at=at)
    uow.commit()
    return user


def list_users(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return the users, by login, with how many tokens of each are not withdrawn."""
    return uow.access.list_users().to_dict("records")


def issue_token(
    uow: UnitOfWork, login: str, label: str = "", expires_at: datetime | None = None, *, actor: str, at: datetime
) -> IssuedToken:
    """Issue a token for a user and return it; it is not kept in the clear and cannot be shown again.

    Raises
    ------
    NotFoundError
        When there is no such user.
    RequestInvalidError
        When it would be expired from the start.
    """
    if expires_at is not None and expires_at <= at:
        raise RequestInvalidError(f"{expires_at.isoformat()} is past.", hint="Give a later time.", field="expires_at")
    token = uow.access.issue_token(login, label, expires_at)
    uow.audit.append(actor, "token.issue", "user", login, {"label": label}, at=at)
    uow.commit()
    return IssuedToken(login, token, label, expires_at)


def list_tokens(uow: UnitOfWork, login: str) -> list[dict[str, Any]]:
    """Return the tokens of a user, oldest first: id, label and times, never the token."""
    rows = uow.access.list_tokens(login).astype(object)
    return rows.where(rows.notna(), None).to_dict("records")


def withdraw_token(uow: UnitOfWork, token_id: int, *, actor: str, at: datetime) -> None:
    """Make a token worthless from ``at`` on.

    Raises
    ------
    NotFoundError
        When there is no such live token.
    """
    uow.access.withdraw_token(token_id, at)
    uow.audit.append(actor, "token.withdraw", "token", str(token_id), at=at)
    uow.commit()


def principal_of(uow: UnitOfWork, token: str, at: datetime) -> Principal | None:
    """Return who a token stands for at ``at``; None when it is unknown, expired, withdrawn, or its user is not active."""
    return uow.access.principal_of(token, at)
