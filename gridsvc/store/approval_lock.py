"""One approval after the other, and nobody locates stored reports while grids change under them."""

from __future__ import annotations

from sqlalchemy import Connection, text

# any fixed number; it only has to be ours
_KEY = 4_490_201_515


def lock_approvals(connection: Connection) -> None:
    """Wait until nobody is approving or relocating a block, and keep others waiting until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _KEY})


def keep_grids(connection: Connection) -> None:
    """Wait until nobody is approving, and keep approvals waiting until the transaction ends; others may do the same beside."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _KEY})
