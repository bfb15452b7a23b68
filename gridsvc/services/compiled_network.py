"""A walking network ready for use, and as one file of arrays that the processes of an installation map and share."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from gridsvc.circle.edge_grid import EdgeGrid
from gridsvc.circle.gates import Compounds, WallPassages
from gridsvc.circle.walk_network import Floats, Numbers, WalkNetwork, with_gates
from gridsvc.errors import RequestInvalidError
from gridsvc.formats.array_files import read_arrays, write_arrays


@dataclass(frozen=True, eq=False, slots=True)
class CompiledNetwork:
    """A network in memory, the metric CRS it is in, its compounds and gates, and how it was built."""

    network: WalkNetwork
    epsg: int
    compounds: Compounds
    passages: WallPassages
    yards: tuple[int, ...] = ()
    build: dict[str, Any] = field(default_factory=dict)

    def closed_at(self, hour: float) -> tuple[int, ...]:
        """Return the numbers of the gates (and gaps in walls) that are closed at an hour of the day, for good or then.

        Raises
        ------
        RequestInvalidError
            When it is no hour, 0 up to 24.
        """
        if not 0.0 <= hour < 24.0:
            raise RequestInvalidError(f"{hour:g} is no hour of the day.", hint="Give 0 up to 24.", field="hour")
        return tuple(self.passages.closed_at(hour).tolist())

    def with_closed(self, closed: tuple[int, ...]) -> CompiledNetwork:
        """Return the network with further gates closed."""
        _ = self.network.edge_grid  # built once, for all
        return replace(self, network=with_gates(self.network, closed=closed))

    def with_network(self, network: WalkNetwork) -> CompiledNetwork:
        """Return it with another network of the same compounds and gates, one with more nodes or edges."""
        return replace(self, network=network)

    def compounds_of(self, xy: Floats) -> Numbers:
        """Return the number of the walled compound each point (metric) lies in, -1 for none."""
        return self.compounds.numbers_at(xy)


_ARRAYS = tuple(each.name for each in fields(WalkNetwork))


def save_network(path: Path, compiled: CompiledNetwork) -> None:
    """Write a network, with the grid by which points find their edges, to a file."""
    outlines = shapely.to_wkb(compiled.compounds.outline)
    arrays = {name: getattr(compiled.network, name) for name in _ARRAYS}
    grid = compiled.network.edge_grid
    arrays |= {f"grid.{each.name}": getattr(grid, each.name) for each in fields(EdgeGrid)}
    passages = compiled.passages
    arrays |= {
        "compound.wkb": np.frombuffer(b"".join(outlines), dtype=np.uint8),
        "compound.bytes": np.array([len(outline) for outline in outlines], dtype=np.int64),
        "gate.compound": passages.compound,
        "gate.xy": passages.xy,
        "gate.is_closed": passages.is_closed,
    }
    about = {
        "epsg": compiled.epsg,
        "compound": list(compiled.compounds.code),
        "gate": list(passages.code),
        "hours": list(passages.hours),
        "yards": list(compiled.yards),
        "build": compiled.build,
    }
    write_arrays(path, arrays, about)


def load_network(path: Path) -> CompiledNetwork:
    """Return the network of a file; its arrays stay in the memory all processes share.

    Raises
    ------
    FileUnreadableError
        When it is missing, or no such file.
    """
    arrays, about = read_arrays(path)
    network = WalkNetwork(**{name: arrays[name] for name in _ARRAYS})
    vars(network)["edge_grid"] = EdgeGrid(**{each.name: arrays[f"grid.{each.name}"] for each in fields(EdgeGrid)})
    ends = np.cumsum(arrays["compound.bytes"])
    wkb = arrays["compound.wkb"].tobytes()
    outline = np.empty(len(ends), dtype=object)
    outline[:] = [
        shapely.from_wkb(wkb[end - size : end]) for end, size in zip(ends, arrays["compound.bytes"], strict=True)
    ]
    passages = WallPassages(
        code=tuple(about["gate"]),
        compound=arrays["gate.compound"],
        xy=arrays["gate.xy"],
        is_closed=arrays["gate.is_closed"],
        hours=tuple(about["hours"]),
    )
    compounds = Compounds(tuple(about["compound"]), outline)
    return CompiledNetwork(network, about["epsg"], compounds, passages, tuple(about["yards"]), about["build"])
