"""tipg over a database on a socket: its settings take addresses with a host only, so the one it opens is named here.

GRIDSVC_BENCH_DATABASE_URL=... uvicorn benchmarks._tipg_served:app
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DATABASE_URL", "postgresql://nobody@localhost/none")

import asyncpg

_open = asyncpg.create_pool


def _create_pool(_address: str, **options: Any) -> Any:
    return _open(os.environ["GRIDSVC_BENCH_DATABASE_URL"], **options)


asyncpg.create_pool = _create_pool

from tipg.main import app  # noqa: E402  # after the pool is ours

__all__ = ["app"]
