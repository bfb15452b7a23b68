"""All networks and levels of divisions at one instant, ready for looking up, and as a file that processes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridsvc.formats.array_files import read_arrays, write_arrays
from gridsvc.geo.location import GridIndex, find_in_all

NETWORKS = ("urban", "social", "security", "unified")
LEVELS = ("city", "district", "street", "community")
_ABOUT = ("name", "kind", "community_code", "parent_code", "responsible")

Codes = NDArray[np.object_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """Where points are: codes by layer, and by network how far outside of the grid (0 in it, NaN without one). Unit: m."""

    codes: dict[str, Codes]
    distance_m: dict[str, Floats]

    @classmethod
    def nowhere(cls, count: int, layers: Sequence[str]) -> Found:
        """Return what is known of points that are nowhere."""
        codes = {layer: np.full(count, None, dtype=object) for layer in layers}
        return cls(codes, {layer: np.full(count, np.nan) for layer in layers if layer in NETWORKS})

    def put(self, here: NDArray[np.int64], part: Found) -> None:
        """Write what is known of some points to their places."""
        for layer, codes in part.codes.items():
            self.codes[layer][here] = codes
        for layer, distances in part.distance_m.items():
            self.distance_m[layer][here] = distances


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of the grids or divisions of a layer beside their place, row by row as in its index."""

    name: list[str]
    kind: list[str]
    community_code: list[str]
    parent_code: list[str | None]
    responsible: list[str | None]


@dataclass(frozen=True, slots=True)
class PlaceIndex:
    """All networks and levels of divisions at one instant. ``community_of``: by network, the row of the community of each grid."""

    version: str
    layers: dict[str, GridIndex]
    about: dict[str, Described]
    community_of: dict[str, NDArray[np.int32]]

    @classmethod
    def of(cls, version: str, frame: pd.DataFrame) -> PlaceIndex:
        """Return the index of a snapshot, see `GridHistory.snapshot`."""
        layers, about = {}, {}
        for layer in (*NETWORKS, *LEVELS):
            held = frame[frame["layer"] == layer].sort_values("code", kind="stable")
            layers[layer] = GridIndex(held["code"].tolist(), held["geometry"].to_numpy())
            about[layer] = Described(*(held[name].tolist() for name in _ABOUT))
        return cls._joined(version, layers, about)

    @classmethod
    def _joined(cls, version: str, layers: dict[str, GridIndex], about: dict[str, Described]) -> PlaceIndex:
        number = {code: row for row, code in enumerate(layers["community"].codes)}
        community_of = {
            network: np.array([number.get(code, -2) for code in about[network].community_code], dtype=np.int32)
            for network in NETWORKS
        }
        return cls(version, layers, about, community_of)

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        arrays: dict[str, NDArray[Any]] = {}
        about: dict[str, Any] = {}
        for layer, index in self.layers.items():
            arrays |= {f"{layer}.{name}": array for name, array in index.arrays.items()}
            described = {name: getattr(self.about[layer], name) for name in _ABOUT}
            about[layer] = {"code": index.codes.tolist(), **described}
        write_arrays(path, arrays, {"version": self.version, "layers": about})

    @classmethod
    def load(cls, path: Path) -> PlaceIndex:
        """Return the index of a file; its arrays stay in the memory all processes share.

        Raises
        ------
        FileUnreadableError
            When it is no such file.
        """
        arrays, known = read_arrays(path)
        layers, about = {}, {}
        for layer, described in known["layers"].items():
            mine = {name.removeprefix(f"{layer}."): a for name, a in arrays.items() if name.startswith(f"{layer}.")}
            layers[layer] = GridIndex.from_arrays(described["code"], mine)
            about[layer] = Described(*(described[name] for name in _ABOUT))
        return cls._joined(known["version"], layers, about)

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays. Unit: bytes."""
        return sum(index.nbytes for index in self.layers.values())

    def rows(self, lon: Any, lat: Any, layers: Sequence[str]) -> dict[str, NDArray[np.int32]]:
        """Return for each layer the rows of points, -1 where it holds none."""
        found = find_in_all([self.layers[layer] for layer in layers], lon, lat)
        return dict(zip(layers, found, strict=True))

    def codes(self, lon: Any, lat: Any, layers: Sequence[str]) -> dict[str, Codes]:
        """Return for each layer the codes of points, None where it holds none."""
        return {layer: self.layers[layer].codes_of(found) for layer, found in self.rows(lon, lat, layers).items()}

    def find(self, lon: Floats, lat: Floats, layers: Sequence[str], within_m: float = 0.0) -> Found:
        """Return where points are.

        Parameters
        ----------
        lon, lat
            One dimension. CRS: EPSG:4490, degrees as stored.
        layers
            Networks and levels; with ``within_m`` community and district among them.
        within_m
            Points that no grid of a network holds get the nearest one within this distance; those in a community only
            grids of it. Those in no community or district get those of the nearest grid. Unit: m.
        """
        rows = self.rows(lon, lat, layers)
        distance_m = {layer: np.where(rows[layer] >= 0, 0.0, np.nan) for layer in layers if layer in NETWORKS}
        lacking = [n for n in distance_m if within_m > 0 and len(self.layers[n]) and rows[n].min(initial=0) < 0]
        for network in lacking:
            self._add_nearest(network, lon, lat, within_m, rows, distance_m[network])
        codes = {layer: self.layers[layer].codes_of(found) for layer, found in rows.items()}
        if lacking:
            self._add_divisions(rows, distance_m, codes)
        return Found(codes, distance_m)

    def rows_at(self, lon: float, lat: float, layers: Sequence[str]) -> dict[str, int]:
        """Return for each layer the row of one point, -1 where it holds none; as `rows`, without arrays."""
        return {layer: self.layers[layer].row_at(lon, lat) for layer in layers}

    def _add_nearest(
        self,
        network: str,
        lon: Floats,
        lat: Floats,
        within_m: float,
        rows: dict[str, NDArray[np.int32]],
        distance_m: Floats,
    ) -> None:
        outside = np.flatnonzero(np.isnan(distance_m) & np.isfinite(lon) & np.isfinite(lat))
        if not len(outside):
            return
        near, distances = self.layers[network].nearest(
            lon[outside],
            lat[outside],
            within_m,
            groups=rows["community"][outside],
            group_of=self.community_of[network],
        )
        rows[network][outside], distance_m[outside] = near, distances

    def _add_divisions(
        self, rows: dict[str, NDArray[np.int32]], distance_m: dict[str, Floats], codes: dict[str, Codes]
    ) -> None:
        """Give points in no community or district those of the nearest of their grids."""
        lost = np.flatnonzero((rows["community"] < 0) | (rows["district"] < 0))
        if not len(lost):
            return
        distances = np.stack([distance_m[network][lost] for network in distance_m])
        known = ~np.isnan(distances).all(axis=0)
        nearest = np.nanargmin(np.where(np.isnan(distances), np.inf, distances), axis=0)
        for point, which in zip(lost[known], nearest[known], strict=True):
            network = list(distance_m)[which]
            community = self.about[network].community_code[rows[network][point]]
            if rows["community"][point] < 0:
                codes["community"][point] = community
            if rows["district"][point] < 0:
                codes["district"][point] = community[:6]
