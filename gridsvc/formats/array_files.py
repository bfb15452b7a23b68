"""Arrays in one file that is mapped, not read: processes that open it share its memory, and it is there at once.

A file is written whole under another name and then renamed, so that a reader never sees half of one. It holds what can be
computed again; it is no format for handing over.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridsvc.errors import FileUnreadableError

_MAGIC = b"gridsvc arrays 1"
_ALIGNED = 64


def write_arrays(path: Path, arrays: Mapping[str, NDArray], about: Mapping[str, Any]) -> None:
    """Write ``arrays`` (of numbers) and ``about`` (JSON) to ``path``, replacing what was there; readers of that keep it."""
    places: dict[str, Any] = {}
    offset = 0
    for name, array in arrays.items():
        places[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "offset": offset}
        offset += -(-array.nbytes // _ALIGNED) * _ALIGNED
    head = json.dumps({"arrays": places, "about": about, "bytes": offset}, ensure_ascii=False).encode()
    begin = -(-(len(_MAGIC) + 8 + len(head)) // _ALIGNED) * _ALIGNED
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(_MAGIC + len(head).to_bytes(8, "little") + head)
            for name, array in arrays.items():
                file.seek(begin + places[name]["offset"])
                file.write(np.ascontiguousarray(array).data)
            file.truncate(begin + offset)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_arrays(path: Path) -> tuple[dict[str, NDArray], Any]:
    """Return the arrays of a file, read-only views of its mapped memory, and what was written about them.

    Raises
    ------
    FileUnreadableError
        When it is missing, cut short, or something else.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if mapped[: len(_MAGIC)] != _MAGIC:
            raise ValueError("not such a file")
        size = int.from_bytes(mapped[len(_MAGIC) : len(_MAGIC) + 8], "little")
        head = json.loads(mapped[len(_MAGIC) + 8 : len(_MAGIC) + 8 + size])
        begin = -(-(len(_MAGIC) + 8 + size) // _ALIGNED) * _ALIGNED
        if len(mapped) < begin + head["bytes"]:
            raise ValueError("cut short")
        arrays = {}
        for name, place in head["arrays"].items():
            count = int(np.prod(place["shape"]))
            array = np.frombuffer(mapped, dtype=place["dtype"], count=count, offset=begin + place["offset"])
            arrays[name] = array.reshape(place["shape"])
    except (OSError, ValueError, KeyError) as error:
        raise FileUnreadableError(f"{path} cannot be read: {error}.", hint="Delete it; it is made again.") from error
    return arrays, head["about"]
