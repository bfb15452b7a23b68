"""SQL of any length lives in ``sql/*.sql`` beside this file and is read here, once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "sql"


@cache
def sql_text(name: str) -> str:
    """Return the text of ``sql/<name>.sql``."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
