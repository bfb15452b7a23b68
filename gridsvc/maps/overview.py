"""The picture of the whole area that is in the command centre's page: seen at once, until the map has drawn the same.

The map library, its worker and the tiles take seconds on a machine without a graphics card. The picture has what the map begins with,
at the same place: borders and names of the same layers with the same colours and widths, in a box that fits its surroundings as
the map's first camera does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridsvc.geo.map_pixels import EXTENT, HALF_WORLD, Outline, lon_lat_to_mercator, pixel_size

# the room for the map on a screen of 1280 x 800, less what lies over its edges. Unit: CSS pixels
_SCREEN = (680.0, 645.0)
# a tile on the screen. Unit: CSS pixels
_TILE = 512
# half a CSS pixel where the map is just as large as its tiles' zoom says
UNIT_PIXELS = EXTENT / _TILE / 2
# what is drawn later by the map takes no time of the page: no more shapes than these
MOST_SHAPES = 1500


@dataclass(frozen=True, slots=True)
class Frame:
    """What the picture shows.

    Attributes
    ----------
    zoom
        The zoom of a map that shows the same on the usual screen.
    z, left, top
        The zoom whose shapes are drawn, and the north-western corner in its pixels.
    width, height
        Unit: `UNIT_PIXELS` pixels of ``z``.
    """

    zoom: float
    z: int
    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(cls, min_lon: float, min_lat: float, max_lon: float, max_lat: float, last_z: int) -> Frame:
        """Return the frame around bounds in degrees, with shapes of ``last_z`` at most."""
        corners = lon_lat_to_mercator(np.array([[min_lon, max_lat], [max_lon, min_lat]], dtype=np.float64))
        spans = np.maximum(np.abs(corners[1] - corners[0]), 1.0)
        zoom = math.log2(min(s * 2 * HALF_WORLD / (_TILE * span) for s, span in zip(_SCREEN, spans, strict=True)))
        z = max(0, min(math.floor(zoom), last_z))
        pixel = pixel_size(z)
        left, top = (corners[0] - (-HALF_WORLD, HALF_WORLD)) / (pixel, -pixel)
        width, height = spans / (pixel * UNIT_PIXELS)
        return cls(zoom, z, float(left), float(top), float(width), float(height))

    @property
    def view_box(self) -> str:
        """The viewBox of the SVG."""
        return f"0 0 {self.width:.2f} {self.height:.2f}"

    @property
    def unit_css_pixels(self) -> float:
        """How long a unit is on the usual screen."""
        return min(s / side for s, side in zip(_SCREEN, (self.width, self.height), strict=True))


@dataclass(frozen=True, slots=True)
class DrawnLayer:
    """One layer of the picture: how its borders are drawn (widths and dashes in CSS pixels), and their SVG path data."""

    layer: str
    color: str
    width: float
    opacity: float
    dash: str
    path: str


@dataclass(frozen=True, slots=True)
class DrawnName:
    """A name, its middle in units of the picture, its size in CSS pixels."""

    text: str
    x: float
    y: float
    size: float


@dataclass(frozen=True, slots=True)
class Overview:
    """The picture: its frame, layers from the lowest to the topmost, names."""

    frame: Frame
    layers: list[DrawnLayer]
    names: list[DrawnName]


def layers_of_overview(definition: Mapping[str, Any], frame: Frame, shaped: Sequence[str]) -> list[str]:
    """Return the layers a map of the frame begins with that have shapes, the topmost, which is the coarsest, first."""
    wanted = [one for one in definition["layers"] if one.get("tiles") in shaped and _is_first(one)]
    wanted.sort(key=lambda one: -one["order"])
    return [one["tiles"] for one in wanted if one["line"].get("min_zoom", one["min_zoom"]) <= frame.zoom]


def overview_of(
    definition: Mapping[str, Any], frame: Frame, outlines: Mapping[str, Sequence[Outline]]
) -> Overview | None:
    """Return the picture of what is drawn of each layer, None of nothing.

    Parameters
    ----------
    definition
        The layers of every map (``maps/layers.json``).
    outlines
        For each of `layers_of_overview`, what there is of it in the frame.
    """
    drawn = sorted(
        (one for one in definition["layers"] if outlines.get(one.get("tiles"))), key=lambda one: one["order"]
    )
    if not drawn:
        return None
    layers = [_layer(one, "".join(o.path for o in outlines[one["tiles"]]), frame.zoom) for one in drawn]
    return Overview(frame, layers, _names(list(reversed(drawn)), outlines, frame))


def _is_first(layer: Mapping[str, Any]) -> bool:
    """Answer whether the command centre shows a layer before anything was chosen: divisions, and one network's grids."""
    return layer["group"] == "divisions" or layer["tiles"] == "grids_social"


def _layer(layer: Mapping[str, Any], path: str, zoom: float) -> DrawnLayer:
    line = layer["line"]
    stops = np.array(line["width"], dtype=float)
    opacity = float(line.get("opacity", 1.0))
    if layer.get("network"):
        # as map_style.js draws grids: a fine net from afar
        stops[stops[:, 0] <= 13, 1] *= 0.5
        opacity *= float(np.interp(zoom, [13, 15], [0.5, 1.0]))
    width = float(np.interp(zoom, stops[:, 0], stops[:, 1]))
    dash = " ".join(f"{part * width:.2f}" for part in line.get("dash", ()))
    return DrawnLayer(layer["tiles"], line["color"], round(width, 2), round(opacity, 2), dash, path)


def _names(
    layers: Sequence[Mapping[str, Any]], outlines: Mapping[str, Sequence[Outline]], frame: Frame
) -> list[DrawnName]:
    """Return the names that fit: those of the topmost layer first, none over another."""
    css = frame.unit_css_pixels
    taken: list[tuple[float, float, float, float]] = []
    names = []
    for layer in layers:
        label = layer.get("label")
        if not label or not label["min_zoom"] <= frame.zoom < label.get("max_zoom", 24):
            continue
        size = float(label["size"])
        for one in outlines[layer["tiles"]]:
            if one.label_x is None or one.label_y is None or not one.name:
                continue
            half_width = size * sum(1.0 if ord(letter) > 0x2E7F else 0.6 for letter in one.name) / 2
            x, y = one.label_x * css, one.label_y * css
            box = (x - half_width, y - size / 2, x + half_width, y + size / 2)
            if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                continue
            taken.append(box)
            names.append(DrawnName(one.name, round(one.label_x, 1), round(one.label_y, 1), size))
    return names
