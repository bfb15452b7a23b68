"""JSON documents in files: what they say, nothing checked but that it is JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gridsvc.errors import FileUnreadableError


def read_json_file(path: Path, *, most_bytes: int = 10_000_000) -> Any:
    """Return the parsed content of a file.

    Raises
    ------
    FileUnreadableError
        When it is missing, larger than ``most_bytes``, not UTF-8 or not JSON; says where.
    """
    if not path.is_file():
        raise FileUnreadableError(f"There is no file {path}.", path=str(path))
    size = path.stat().st_size
    if size > most_bytes:
        raise FileUnreadableError(f"{path.name} has {size:,} bytes, over {most_bytes:,}.", path=str(path))
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as wrong:
        raise FileUnreadableError(
            f"{path.name} is not UTF-8 text (byte {wrong.start}).", hint="Save it as UTF-8.", path=str(path)
        ) from wrong
    except (json.JSONDecodeError, RecursionError) as wrong:
        reason = str(wrong) if isinstance(wrong, json.JSONDecodeError) else "nested too deep"
        raise FileUnreadableError(
            f"{path.name} is not JSON: {reason}.", hint="Mend it at that place.", path=str(path)
        ) from wrong
