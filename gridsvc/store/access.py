"""Users and their tokens. A token is shown once and kept as a hash only."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import func, insert, or_, select, update

from gridsvc.errors import ConflictError, NotFoundError
from gridsvc.store.frames import read_frame
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.tables import tokens, users

ROLES = ("viewer", "field", "dispatcher", "planner", "manager", "admin")
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: login, role, and the division-code prefix they are limited to ("" is everything)."""

    login: str
    role: str
    scope_prefix: str


def token_hash(token: str) -> bytes:
    """Return what is stored of a token. Plain SHA-256 is enough: a token is 256 random bits, not a password."""
    return hashlib.sha256(token.encode()).digest()


class AccessRepository(Repository):
    """Users whose own scope lies within this one."""

    def add_user(
        self, login: str, name: str, role: str, scope_prefix: str = "", password_hash: str | None = None
    ) -> int:
        """Add a user and return the id.

        Raises
        ------
        ConflictError
            When the login is taken.
        ForbiddenError
            When the user's scope would be wider than this one.
        """
        like_pattern(scope_prefix)
        self.refuse_outside([scope_prefix])
        if self.connection.scalar(select(users.c.user_id).where(users.c.login == login)) is not None:
            raise ConflictError(f"There is a user {login} already.", hint="Choose another login.", login=login)
        values = {
            "login": login,
            "name": name,
            "role": role,
            "scope_prefix": scope_prefix,
            "password_hash": password_hash,
        }
        return self.connection.execute(insert(users).values(values).returning(users.c.user_id)).scalar_one()

    def list_users(self) -> pd.DataFrame:
        """Return login, name, role, scope_prefix, is_active and the number of live tokens of each user, by login."""
        live = (
            select(func.count())
            .where(tokens.c.user_id == users.c.user_id, tokens.c.withdrawn_at.is_(None))
            .scalar_subquery()
        )
        statement = (
            select(
                users.c.login, users.c.name, users.c.role, users.c.scope_prefix, users.c.is_active, live.label("tokens")
            )
            .where(self.within(users.c.scope_prefix))
            .order_by(users.c.login)
        )
        return read_frame(self.connection, statement)

    def _user_id(self, login: str) -> int:
        found = self.connection.scalar(
            select(users.c.user_id).where(users.c.login == login, self.within(users.c.scope_prefix))
        )
        if found is None:
            raise NotFoundError(f"There is no user {login}.", hint="Add one with `gridsvc user add`.", login=login)
        return found

    def issue_token(self, login: str, label: str = "", expires_at: datetime | None = None) -> str:
        """Issue a token and return it in the clear, the only time it is seen.

        Raises
        ------
        NotFoundError
            When there is no such user (in this scope).
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {
            "user_id": self._user_id(login),
            "token_sha256": token_hash(token),
            "label": label,
            "expires_at": expires_at,
        }
        self.connection.execute(insert(tokens).values(values))
        return token

    def list_tokens(self, login: str) -> pd.DataFrame:
        """Return token_id, label, expires_at, withdrawn_at, recorded_at of a user's tokens, oldest first; never the token."""
        columns = tokens.c.token_id, tokens.c.label, tokens.c.expires_at, tokens.c.withdrawn_at, tokens.c.recorded_at
        statement = select(*columns).where(tokens.c.user_id == self._user_id(login)).order_by(tokens.c.token_id)
        return read_frame(self.connection, statement)

    def withdraw_token(self, token_id: int, at: datetime) -> None:
        """Make a token worthless from ``at`` on.

        Raises
        ------
        NotFoundError
            When there is no such live token of a user in this scope.
        """
        mine = select(users.c.user_id).where(self.within(users.c.scope_prefix))
        statement = update(tokens).where(
            tokens.c.token_id == token_id, tokens.c.withdrawn_at.is_(None), tokens.c.user_id.in_(mine)
        )
        if self.connection.execute(statement.values(withdrawn_at=at)).rowcount != 1:
            raise NotFoundError(f"There is no live token {token_id}.", token_id=token_id)

    def principal_of(self, token: str, at: datetime) -> Principal | None:
        """Return who a token stands for at ``at``; None when it is unknown, expired, withdrawn, or its user is not active."""
        live = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > at)
        kept = or_(tokens.c.withdrawn_at.is_(None), tokens.c.withdrawn_at > at)
        statement = (
            select(users.c.login, users.c.role, users.c.scope_prefix)
            .join_from(tokens, users, tokens.c.user_id == users.c.user_id)
            .where(tokens.c.token_sha256 == token_hash(token), live, kept, users.c.is_active)
        )
        row = self.connection.execute(statement).one_or_none()
        return None if row is None else Principal(*row)
