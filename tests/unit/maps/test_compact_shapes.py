"""Compact geometry: what is written can be read back, and shared vertices stay shared."""

import numpy as np
import pytest
import shapely
from factories.partitions import jittered_quads, stored

from gridsvc.maps.compact_shapes import ALPHABET, encode, origin_of


def decode(text):
    """Read as templates/map_file.js does: lists of vertices in millionths of a degree from the origin."""
    lines = []
    for piece in text.split():
        numbers, value, shift = [], 0, 0
        for character in piece:
            bits = ALPHABET.index(character)
            value |= (bits & 31) << shift
            shift += 5
            if not bits & 32:
                numbers.append((value >> 1) ^ -(value & 1))
                value, shift = 0, 0
        lines.append(np.cumsum(np.array(numbers).reshape(-1, 2), axis=0).tolist())
    return lines


def test_rings_and_lines_come_back_within_half_a_millionth_of_a_degree():
    _, quads = jittered_quads(5, 4)
    shapes = stored(quads)
    origin = origin_of(shapely.total_bounds(shapes))

    for shape, text in zip(shapes, encode(shapes, origin), strict=True):
        (ring,) = decode(text)
        back = (np.array(ring) + origin) / 1e6
        assert np.abs(back - shapely.get_coordinates(shape)[:-1]).max() <= 5.1e-7


def test_holes_parts_lines_and_nothing():
    origin = (114_000_000, 30_000_000)
    holed = shapely.box(114.0, 30.0, 114.03, 30.03) - shapely.box(114.01, 30.01, 114.02, 30.02)
    parts = shapely.MultiPolygon([shapely.box(114.0, 30.0, 114.01, 30.01), shapely.box(113.9, 29.9, 113.91, 29.91)])
    line = shapely.LineString([(114.0, 30.0), (114.000001, 30.0), (114.000001, 30.0), (114.0, 29.5)])

    texts = encode(np.array([holed, None, parts, line, shapely.Polygon()], dtype=object), origin)

    assert [len(decode(text)) for text in texts] == [2, 0, 2, 1, 0]
    assert decode(texts[3]) == [[[0, 0], [1, 0], [0, -500_000]]]
    assert min(min(ring) for ring in decode(texts[2])[1]) == -100_000


def test_the_text_needs_no_escapes():
    assert not set(ALPHABET) & set("\"'\\<>& ")


@pytest.mark.parametrize("value", [0, 1, -1, 15, 16, -16, 511, 512, 10**6, -(10**7)])
def test_numbers_of_every_length(value):
    line = shapely.LineString([(0.0, 0.0), (value / 1e6, 1.0)])

    assert decode(encode([line], (0, 0))[0]) == [[[0, 0], [value, 1_000_000]]]
