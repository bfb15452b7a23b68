"""From pieces of cut unit grids to grids again: which part keeps a code, which codes are new, whose land is whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.dividing import west_to_east
from gridsvc.division.edit_cuts import Cut
from gridsvc.division.editable_grids import GOVERNANCE, UNIT, EditableGrids, FreeCodes, GridRef, piece_counts, united
from gridsvc.errors import CodeDuplicateError


@dataclass(frozen=True, slots=True)
class Pieces:
    """The unit grids of the grids being edited, cut. ``owner`` is the position of the unit grid each piece comes from."""

    shapes: Geometries
    owner: Integers
    counts: Integers

    @classmethod
    def of(cls, grids: EditableGrids, cut: Cut, members: Integers) -> Pieces:
        shapes = [cut.pieces(int(member)) for member in members]
        owner = np.repeat(members, [len(pieces) for pieces in shapes])
        counts = [
            piece_counts(grids, int(member), pieces) if len(pieces) > 1 else grids.counts[member][None, :]
            for member, pieces in zip(members, shapes, strict=True)
        ]
        return cls(np.concatenate(shapes), owner, np.concatenate(counts))

    @property
    def is_main(self) -> np.ndarray:
        """Return which piece is the largest of its unit grid."""
        main = np.zeros(len(self.shapes), dtype=bool)
        areas = shapely.area(self.shapes)
        for unit in np.unique(self.owner):
            own = np.flatnonzero(self.owner == unit)
            main[own[areas[own].argmax()]] = True
        return main


@dataclass(frozen=True, slots=True)
class Row:
    """A unit grid to be: its pieces (positions), code, governance grid and community."""

    pieces: Integers
    code: str
    parent: str | None
    community: str


class Fresh:
    """New codes for one community, never one that was used."""

    def __init__(self, grids: EditableGrids, free_codes: FreeCodes, community: str) -> None:
        self.known = grids.refs() | grids.retired
        self.free_codes, self.community = free_codes, community

    def codes(self, kind: str, count: int) -> list[str]:
        if count == 0:
            return []
        given = list(self.free_codes(kind, self.community, count))
        again = [code for code in given if GridRef(kind, code) in self.known]
        if again or len(set(given)) < count:
            raise CodeDuplicateError(
                f"{len(set(given) - set(again))} free codes were given where {count} are needed"
                + (f"; {again[0]} was used before." if again else "."),
                hint="Give codes that were never used, retired ones included.",
            )
        return given


def _keeper(households: Integers, areas: Floats) -> int:
    """Return which part keeps the code: most households, then most land, then the first (parts are ordered west to east)."""
    return int(np.lexsort((np.arange(len(areas)), -np.round(areas), -np.asarray(households)))[0])


def governance_codes(pieces: Pieces, side: Integers, ref: GridRef, fresh: Fresh) -> list[str]:
    """Return the governance code of each piece after a split into the given sides."""
    lands = np.empty(int(side.max()) + 1, dtype=object)
    lands[:] = [shapely.union_all(pieces.shapes[side == s]) for s in range(len(lands))]
    households = np.bincount(side, pieces.counts[:, 0])
    order = west_to_east(lands)
    keeper = order[_keeper(households[order], shapely.area(lands)[order])]
    code_of = {int(keeper): ref.code}
    others = [int(s) for s in order if s != keeper]
    code_of |= dict(zip(others, fresh.codes(GOVERNANCE, len(others)), strict=True))
    return [code_of[int(s)] for s in side]


def unit_rows(
    grids: EditableGrids, pieces: Pieces, into: Integers, fresh: Fresh, parents: list[str] | None = None
) -> list[Row]:
    """Return a unit grid for each piece that others were joined into; ``parents`` gives the governance grid of each piece."""
    bases = np.unique(into)
    keepers = set()
    for unit in np.unique(pieces.owner):
        own = bases[pieces.owner[bases] == unit]
        keepers.add(int(own[_keeper(pieces.counts[own, 0], shapely.area(pieces.shapes[own]))]))
    others = np.array([base for base in bases if int(base) not in keepers], dtype=np.int64)
    order = others[west_to_east(pieces.shapes[others])] if len(others) else others
    new = dict(zip(order.tolist(), fresh.codes(UNIT, len(order)), strict=True))
    rows = []
    for base in bases.tolist():
        row = row_like(grids, np.flatnonzero(into == base), int(pieces.owner[base]))
        row = replace(row, code=new.get(base, row.code))
        rows.append(row if parents is None else replace(row, parent=parents[base]))
    return rows


def kept_rows(grids: EditableGrids, pieces: Pieces, parents: list[str]) -> list[Row]:
    """Return the unit grids as they are, in other governance grids."""
    return [
        replace(row_like(grids, np.array([i]), int(owner)), parent=parents[i]) for i, owner in enumerate(pieces.owner)
    ]


def row_like(grids: EditableGrids, own: Integers, unit: int) -> Row:
    """Return a row of some pieces with the code, governance grid and community of a unit grid."""
    return Row(own, grids.codes[unit], grids.parents[unit], grids.communities[unit])


def rebuilt(grids: EditableGrids, polygons: Geometries, pieces: Pieces, rows: list[Row]) -> EditableGrids:
    """Return the grids with those of ``pieces`` replaced by the rows, ordered by code; the others as in ``polygons``."""
    kept = np.setdiff1d(np.arange(len(grids.units)), pieces.owner)
    made = np.empty(len(rows), dtype=object)
    made[:] = [united(pieces.shapes[row.pieces]) for row in rows]
    codes = np.append(grids.codes[kept], _texts([row.code for row in rows]))
    order = np.argsort(codes.astype(str), kind="stable")
    return replace(
        grids,
        codes=codes[order],
        units=np.append(polygons[kept], made)[order],
        parents=np.append(grids.parents[kept], _texts([row.parent for row in rows]))[order],
        communities=np.append(grids.communities[kept], _texts([row.community for row in rows]))[order],
        counts=np.concatenate([grids.counts[kept], [pieces.counts[row.pieces].sum(axis=0) for row in rows]])[order],
    )


def _texts(values: Sequence[str | None]) -> Geometries:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
