"""The layers as data: colours, widths, titles and legends from the top-level ``maps/layers.json``."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from gridsvc.resources import content_dir


@cache
def layer_definitions() -> dict[str, Any]:
    """Return the parsed ``maps/layers.json``; its keys are described in ``maps/README.md``. Do not change it."""
    return json.loads((content_dir("maps") / "layers.json").read_text(encoding="utf-8"))


def layer(layer_id: str) -> dict[str, Any]:
    """Return the definition of one layer."""
    return next(entry for entry in layer_definitions()["layers"] if entry["id"] == layer_id)


def layer_of_network(network: str) -> dict[str, Any]:
    """Return the definition of the layer that shows the grids of a network."""
    return next(entry for entry in layer_definitions()["layers"] if entry.get("network") == network)
