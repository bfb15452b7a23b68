"""Pieces too small or too narrow to stand alone join the neighbour they are bound to most."""

from __future__ import annotations

import heapq

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.borders import EdgeTable, Neighbours
from gridsvc.division.communities import DivisionRules, Geometries, Integers

# how strongly a piece of land belongs to what lies beyond a border: least across a street, most where there is nothing
_BOND_OF_KIND = np.array([1.0, 1.0, 1.0, 2.0, 4.0])


def absorbed(
    faces: Geometries,
    edges: EdgeTable,
    kind: Integers,
    is_block: NDArray[np.bool_],
    has_block: NDArray[np.bool_],
    owner: Integers,
    rules: DivisionRules,
) -> Integers:
    """Return the atom of each face: outlined buildings and slivers join the neighbour they are bound to most.

    The strip between a wall and a street goes to the side of the wall. Smallest first; a sliver without neighbours (a part of
    the community by itself) stays. Faces of different owners never join.

    Parameters
    ----------
    faces, edges, kind
        An exact coverage, its edges, and what each edge follows (a position in ``BORDER_KINDS``).
    is_block, has_block
        Faces that are outlined buildings; faces in which a building stands.
    owner
        The dedicated area a face belongs to, -1 for none.
    """
    inner = edges.right >= 0
    inner[inner] = owner[edges.left[inner]] == owner[edges.right[inner]]
    length = edges.length_m[inner]
    pairs = Neighbours.of_pairs(
        len(faces), edges.left[inner], edges.right[inner], length, length * _BOND_OF_KIND[kind[inner]]
    )
    merger = _Merger(faces, pairs, is_block, has_block, rules)
    merger.run()
    _, atom = np.unique([merger.root(i) for i in range(len(faces))], return_inverse=True)
    return atom.astype(np.int64)


class _Merger:
    """Joins faces that are too small to stand alone to their neighbours, smallest first."""

    def __init__(
        self,
        faces: Geometries,
        pairs: Neighbours,
        is_block: NDArray[np.bool_],
        has_block: NDArray[np.bool_],
        rules: DivisionRules,
    ) -> None:
        self.parent = list(range(len(faces)))
        self.area = shapely.area(faces).tolist()
        self.perimeter = shapely.length(faces).tolist()
        self.is_block = is_block.tolist()
        self.has_block = has_block.tolist()
        self.rules = rules
        # neighbour -> length shared and bond
        self.shared = [
            dict(
                zip(
                    pairs.ids[a:b].tolist(),
                    zip(pairs.shared_m[a:b].tolist(), pairs.off_line_m[a:b].tolist(), strict=True),
                    strict=True,
                )
            )
            for a, b in zip(pairs.start[:-1], pairs.start[1:], strict=True)
        ]

    def root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def is_sliver(self, i: int) -> bool:
        if self.is_block[i] or self.area[i] < self.rules.sliver_area_m2:
            return True
        return not self.has_block[i] and 2 * self.area[i] < self.perimeter[i] * self.rules.sliver_width_m

    def run(self) -> None:
        queue = [(not self.is_block[i], self.area[i], i) for i in range(len(self.parent)) if self.is_sliver(i)]
        heapq.heapify(queue)
        while queue:
            _, area, i = heapq.heappop(queue)
            if self.parent[i] != i or area != self.area[i] or not self.shared[i] or not self.is_sliver(i):
                continue
            into = max(self.shared[i], key=lambda j: (self.shared[i][j][1], -j))
            self.join(i, into)
            if self.is_sliver(into):
                heapq.heappush(queue, (not self.is_block[into], self.area[into], into))

    def join(self, i: int, into: int) -> None:
        self.parent[i] = into
        self.perimeter[into] += self.perimeter[i] - 2 * self.shared[i][into][0]
        self.area[into] += self.area[i]
        self.has_block[into] = self.has_block[into] or self.has_block[i] or self.is_block[i]
        self.is_block[into] = self.is_block[into] and self.is_block[i]
        for j, (length, bond) in self.shared[i].items():
            del self.shared[j][i]
            if j != into:
                known = self.shared[into].get(j, (0.0, 0.0))
                self.shared[into][j] = self.shared[j][into] = (known[0] + length, known[1] + bond)
        self.shared[i] = {}
