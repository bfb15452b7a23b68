"""A planner's list of facility kinds in a file: JSON, or CSV with one kind a row. What the file says, nothing checked but its form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.json_files import read_json_file
from gridsvc.formats.vector_files import read_table

_MOST_BYTES = 1_000_000


def read_kind_list(path: Path) -> Any:
    """Return the parsed content of a list.

    A CSV has the columns code, minutes, required, group, of which only code is needed; the id of its list is the name of the file
    in small letters, with hyphens for what is neither letter nor digit.

    Raises
    ------
    FileUnreadableError
        When the file is missing, too large, neither JSON nor CSV, or broken.
    """
    if not path.is_file():
        raise FileUnreadableError(f"There is no file {path}.", path=str(path))
    if path.stat().st_size > _MOST_BYTES:
        raise FileUnreadableError(
            f"{path.name} has {path.stat().st_size:,} bytes; a list of kinds has at most {_MOST_BYTES:,}.",
            hint="Give a list of facility kinds, not of facilities.",
            path=str(path),
        )
    if path.suffix.lower() == ".json":
        return read_json_file(path)
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    raise FileUnreadableError(
        f"{path.name} is no list of kinds: its suffix is not known here.", hint="Use .json or .csv.", path=str(path)
    )


def _from_csv(path: Path) -> dict[str, Any]:
    rows = read_table(path).frame.to_dict("records")
    kinds = [{str(name): value for name, value in row.items() if value != "" or name == "code"} for row in rows]
    return {"id": re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-"), "kinds": kinds}
