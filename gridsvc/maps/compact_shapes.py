"""Geometry as short text for a page: whole millionths of a degree, differences along a line, six bits a character.

Two vertices that were equal stay equal. ``templates/map_file.js`` reads it back.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

DECIMALS = 6  # about 0.1 m: finer than a screen shows
# no quote, backslash or angle bracket: safe in JSON in HTML without escapes
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_CODES = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)


def origin_of(bounds: ArrayLike) -> tuple[int, int]:
    """Return the south-west corner of bounds in millionths of a degree, the point all shapes are written from."""
    min_x, min_y = np.asarray(bounds, dtype=float)[:2]
    return int(np.floor(min_x * 10**DECIMALS)), int(np.floor(min_y * 10**DECIMALS))


def encode(geometries: ArrayLike, origin: tuple[int, int]) -> list[str]:
    """Return one text per geometry: its rings (without their last vertex) or lines, separated by blanks.

    Parameters
    ----------
    geometries
        (Multi)polygons or (multi)linestrings, lon lat. Missing and empty ones give "".
    origin
        See `origin_of`.
    """
    shapes = np.asarray(geometries, dtype=object)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    is_line = shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    lines = np.concatenate([rings, parts[is_line]])
    line_owner = np.concatenate([owner[ring_part], owner[is_line]])
    closed = np.concatenate([np.ones(len(rings), bool), np.zeros(int(is_line.sum()), bool)])
    vertices, line = shapely.get_coordinates(lines, return_index=True)
    whole = np.rint(vertices * 10**DECIMALS).astype(np.int64) - np.array(origin)
    keep = _kept(whole, line, closed)
    texts = _texts(whole[keep], line[keep], len(lines))
    joined: list[list[str]] = [[] for _ in shapes]
    for text, index in zip(texts, line_owner, strict=True):
        if text:
            joined[index].append(text)
    return [" ".join(pieces) for pieces in joined]


def _kept(whole: NDArray[np.int64], line: NDArray[np.int64], closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which vertices are written: none that repeats the one before, not the last of a ring."""
    keep = np.ones(len(whole), dtype=bool)
    keep[1:] = (line[1:] != line[:-1]) | (whole[1:] != whole[:-1]).any(axis=1)
    last = np.ones(len(whole), dtype=bool)
    last[:-1] = line[1:] != line[:-1]
    return keep & ~(last & closed[line])


def _texts(whole: NDArray[np.int64], line: NDArray[np.int64], count: int) -> list[str]:
    step = np.diff(whole, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
    first = np.ones(len(whole), dtype=bool)
    first[1:] = line[1:] != line[:-1]
    step[first] = whole[first]
    values = step.ravel()
    zigzag = (values << 1) ^ (values >> 63)
    length = np.maximum(1, np.ceil(np.log2(zigzag.astype(float) + 1.0) / 5.0).astype(np.int64))
    start = np.cumsum(length) - length
    codes = np.zeros(int(length.sum()), dtype=np.uint8)
    for digit in range(int(length.max(initial=0))):
        more = np.flatnonzero(length > digit)
        codes[start[more] + digit] = ((zigzag[more] >> (5 * digit)) & 31) | np.where(length[more] > digit + 1, 32, 0)
    text = _CODES[codes].tobytes().decode("ascii")
    per_line = np.bincount(np.repeat(line, 2), weights=length, minlength=count).astype(np.int64)
    ends = np.cumsum(per_line).tolist()
    return [text[end - size : end] for end, size in zip(ends, per_line.tolist(), strict=True)]
