"""The audit log: entries chained by hashes, so that a change of the past shows.

Each entry's hash covers its content and the hash before it. Cutting entries off the *end* cannot be seen from inside; keep
the last hash elsewhere (backups do) to see that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from sqlalchemy import insert, select, text

from gridsvc.errors import ForbiddenError
from gridsvc.store.frames import read_frame
from gridsvc.store.repository import Repository
from gridsvc.store.tables import audit_log

_LOCK_KEY = 4_490_201_513
_BEGIN = bytes(32)


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What :meth:`AuditRepository.verify` found: entries read, the first that does not fit (None: all do), and the last hash."""

    entries: int
    first_broken: int | None
    last_hash: str


def _digest(
    previous: bytes, at: datetime, actor: str, action: str, kind: str, key: str, details: Mapping[str, Any]
) -> bytes:
    instant = at.astimezone(UTC).isoformat(timespec="microseconds")
    content = json.dumps(
        [instant, actor, action, kind, key, details], ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(previous + content.encode()).digest()


class AuditRepository(Repository):
    """Anybody's actions are appended; only an unlimited scope may read."""

    def append(
        self,
        actor: str,
        action: str,
        object_kind: str,
        object_key: str,
        details: Mapping[str, Any] | None = None,
        *,
        at: datetime,
    ) -> int:
        """Append an entry and return its id.

        Writers wait for each other until they commit, since each needs the hash before its own: audit decisions, not traffic.
        """
        self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        last = self.connection.scalar(select(audit_log.c.hash).order_by(audit_log.c.audit_id.desc()).limit(1))
        previous = bytes(last) if last is not None else _BEGIN
        facts = json.loads(json.dumps(dict(details or {})))  # hash what will be read back
        digest = _digest(previous, at, actor, action, object_kind, object_key, facts)
        values = {
            "at": at, "actor": actor, "action": action, "object_kind": object_kind, "object_key": object_key, "details": facts,
            "previous_hash": previous, "hash": digest,
        }  # fmt: skip
        return self.connection.execute(insert(audit_log).values(values).returning(audit_log.c.audit_id)).scalar_one()

    def _refuse_limited(self) -> None:
        if self.scope:
            raise ForbiddenError("The audit log is read by those without a limited area only.", scope=self.scope)

    def list(
        self, object_kind: str | None = None, object_key: str | None = None, limit: int | None = 100
    ) -> pd.DataFrame:
        """Return entries, newest first, without their hashes."""
        self._refuse_limited()
        columns = [column for column in audit_log.columns if not column.name.endswith("hash")]
        statement = select(*columns).order_by(audit_log.c.audit_id.desc()).limit(limit)
        if object_kind is not None:
            statement = statement.where(audit_log.c.object_kind == object_kind)
        if object_key is not None:
            statement = statement.where(audit_log.c.object_key == object_key)
        return read_frame(self.connection, statement)

    def verify(self) -> AuditCheck:
        """Recompute the chain from its beginning and say where it first breaks."""
        self._refuse_limited()
        statement = select(*audit_log.columns).order_by(audit_log.c.audit_id).execution_options(yield_per=1000)
        previous, count = _BEGIN, 0
        with self.connection.execute(statement) as rows:
            for count, row in enumerate(rows, 1):
                digest = _digest(previous, row.at, row.actor, row.action, row.object_kind, row.object_key, row.details)
                if bytes(row.previous_hash) != previous or bytes(row.hash) != digest:
                    return AuditCheck(count, row.audit_id, previous.hex())
                previous = digest
        return AuditCheck(count, None, previous.hex())
