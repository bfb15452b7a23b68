"""A small reader of Mapbox Vector Tiles (version 2), enough to see what is in one: layers, ids, tags, points."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, object]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 1:
            value, at = data[at : at + 8], at + 8
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            value, at = data[at : at + 4], at + 4
        yield key >> 3, value


def _packed(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _value(data: bytes) -> object:
    number, raw = next(_fields(data))
    if number == 1:
        return raw.decode()
    if number in (2, 3):
        return struct.unpack("<f" if number == 2 else "<d", raw)[0]
    return (raw >> 1) ^ -(raw & 1) if number == 6 else bool(raw) if number == 7 else raw


def _points(commands: list[int]) -> list[tuple[int, int]]:
    points, x, y, at = [], 0, 0, 0
    while at < len(commands):
        command, count = commands[at] & 7, commands[at] >> 3
        at += 1
        for _ in range(count if command in (1, 2) else 0):
            dx, dy = (v >> 1 ^ -(v & 1) for v in commands[at : at + 2])
            x, y, at = x + dx, y + dy, at + 2
            points.append((x, y))
    return points


def layer_names(tile: bytes) -> list[str]:
    """Return the names of the layers of a tile."""
    return [next(v for n, v in _fields(layer) if n == 1).decode() for n, layer in _fields(tile) if n == 3]


def features(tile: bytes, name: str | None = None) -> list[dict]:
    """Return the tags of every feature of a tile's layer (the first, or ``name``), with ``id``, ``points`` (tile units) and ``commands``."""
    layers = [v for n, v in _fields(tile) if n == 3]
    layer = layers[layer_names(tile).index(name) if name else 0]
    keys = [v.decode() for n, v in _fields(layer) if n == 3]
    values = [_value(v) for n, v in _fields(layer) if n == 4]
    found = []
    for feature in (dict(_fields(v)) for n, v in _fields(layer) if n == 2):
        tags = _packed(feature.get(2, b""))
        read = {keys[k]: values[v] for k, v in zip(tags[::2], tags[1::2], strict=True)}
        commands = _packed(feature[4])
        found.append(read | {"id": feature.get(1), "points": _points(commands), "commands": commands})
    return found


def rings(tile: bytes, name: str | None = None) -> dict[str, list[list[tuple[int, int]]]]:
    """Return the rings of every polygon of a tile's layer by its code, closed, in tile units."""
    return {f["code"]: _rings(f["commands"]) for f in features(tile, name)}


def _rings(commands: list[int]) -> list[list[tuple[int, int]]]:
    made, x, y, at = [], 0, 0, 0
    while at < len(commands):
        command, count = commands[at] & 7, commands[at] >> 3
        at += 1
        if command == 7:
            made[-1].append(made[-1][0])
            continue
        for _ in range(count):
            dx, dy = (v >> 1 ^ -(v & 1) for v in commands[at : at + 2])
            x, y, at = x + dx, y + dy, at + 2
            if command == 1:
                made.append([])
            made[-1].append((x, y))
    return made
