"""What a map shows of networks held against each other: where borders differ, disputes, land of nobody or of several, crosswalks.

Colours and titles: ``maps/networks.json``. ``templates/crosswalk.js`` reads what `crosswalk_data` gives.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.geo.projections import to_storage
from gridsvc.maps.compact_shapes import encode
from gridsvc.maps.layer_list import layer_definitions
from gridsvc.maps.map_file import entry
from gridsvc.networks.crosswalk import crosswalk
from gridsvc.networks.differences import Disputes, atoms_of, differing_pairs, disputes
from gridsvc.networks.overlay import NOBODY, Overlay
from gridsvc.resources import content_dir

MOST_CONFLICTS = 500
UNIFIED = "unified"


@dataclass(frozen=True)
class LaidNetworks:
    """The networks of a map, laid over each other.

    Attributes
    ----------
    atoms
        Nets are named as in the map, and their grids ordered as there: by code.
    epsg
        Metric system of the atoms.
    tolerance_m
        Borders so near were taken as one. Unit: m.
    weight
        What lies in each atom (households), beside its area; None: nothing is known.
    measure
        What that is, in Chinese and in English.
    """

    atoms: Overlay
    epsg: int
    tolerance_m: float
    weight: NDArray[np.float64] | None = None
    measure: tuple[str, str] = ("户", "households")

    @cached_property
    def compared(self) -> list[int]:
        """The positions of the nets held against each other: all but the merged one, unless nothing would be left to compare."""
        others = [n for n, net in enumerate(self.atoms.nets) if net.name != UNIFIED]
        return others if len(others) > 1 else list(range(len(self.atoms.nets)))

    @cached_property
    def pairs_that_differ(self) -> NDArray[np.int64]:
        """In how many pairs of compared nets borders differ, by atom."""
        return differing_pairs(self.atoms, self.compared)

    @cached_property
    def disputes(self) -> Disputes:
        """The disputes between the compared nets."""
        return disputes(self.atoms, self.tolerance_m, self.compared)

    @property
    def differing_share(self) -> float:
        """The part of all land where borders differ."""
        total = float(self.atoms.area_m2.sum())
        return float(self.atoms.area_m2[self.pairs_that_differ > 0].sum()) / total if total else 0.0


@cache
def network_definitions() -> dict[str, Any]:
    """Return the parsed ``maps/networks.json``. Do not change it."""
    return json.loads((content_dir("maps") / "networks.json").read_text(encoding="utf-8"))


def look_of(network: str, place: int) -> dict[str, Any]:
    """Return the definition of the layer of a network: its own where it is one of ours, else one by its place on the map."""
    for known in layer_definitions()["layers"]:
        if known.get("network") == network:
            return known
    looks = network_definitions()["looks"]
    return {
        "id": f"grids_net{place}", "group": "networks", "order": 50 + place, "title_zh": network, "title_en": network,
        "min_zoom": 0, "shown": True, "fill": {"color": "#ffffff", "opacity": 0.0}, **looks[place % len(looks)],
    }  # fmt: skip


def comparison_layers(laid: LaidNetworks, origin: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the layers of what the comparison found; of what it did not find there is none."""
    atoms, looks = laid.atoms, network_definitions()
    differing = np.minimum(laid.pairs_that_differ, len(looks["differences"])) - 1
    held = (atoms.owner[:, laid.compared] != NOBODY).sum(axis=1)
    unowned = np.where(atoms.is_orphan, 0, np.where(held < len(laid.compared), 1, -1))
    made = [
        _classed(
            laid, "network_differences", differing, looks["differences"], ("网络两两之间", "between networks"), origin
        ),
        _classed(laid, "network_unowned", unowned, looks["unowned"], ("地块", "land"), origin),
    ]
    twice = np.unique(atoms.double.atom)
    if len(twice):
        parts = shapely.get_parts(shapely.coverage_union_all(atoms.geometry[twice]))
        shapes = encode(to_storage(parts, laid.epsg), origin)
        made.append(entry(_definition("network_double"), len(parts), shapes=shapes))
    listed = _listed(laid)
    if len(listed):
        found = laid.disputes
        shapes = [_shared(laid, found.net[k], found.row[k]) for k in listed]
        encoded = encode(to_storage(np.array(shapes, dtype=object), laid.epsg), origin)
        made.append(entry(_definition("network_conflicts"), len(listed), shapes=encoded))
    return [layer for layer in made if layer is not None]


def _definition(layer_id: str) -> dict[str, Any]:
    return next(item for item in network_definitions()["layers"] if item["id"] == layer_id)


def _classed(
    laid: LaidNetworks,
    layer_id: str,
    class_of: NDArray[np.int64],
    looks: Sequence[Mapping[str, str]],
    measure: tuple[str, str],
    origin: tuple[int, int],
) -> dict[str, Any] | None:
    """Return a layer of one joined shape for each class that atoms have; -1 is drawn nowhere."""
    present = np.unique(class_of[class_of >= 0])
    if not len(present):
        return None
    joined = [shapely.coverage_union_all(laid.atoms.geometry[class_of == k]) for k in present]
    shapes = encode(to_storage(np.array(joined, dtype=object), laid.epsg), origin)
    pieces = int(sum(shapely.get_num_geometries(shape) for shape in joined))
    classes = [dict(looks[k]) for k in present]
    return entry(
        _definition(layer_id),
        pieces,
        shapes=shapes,
        classes=classes,
        class_of=list(range(len(present))),
        measure=measure,
    )


def _listed(laid: LaidNetworks) -> NDArray[np.int64]:
    return np.arange(min(len(laid.disputes.shared_m2), MOST_CONFLICTS))


def _shared(laid: LaidNetworks, net: NDArray[np.int64], row: NDArray[np.int64]) -> shapely.Geometry:
    """Return the land that two grids share."""
    here = atoms_of(laid.atoms, net[0], row[0]) & atoms_of(laid.atoms, net[1], row[1])
    return shapely.coverage_union_all(laid.atoms.geometry[here])


def crosswalk_data(laid: LaidNetworks, layer_ids: Sequence[str]) -> dict[str, Any]:
    """Return crosswalks and disputes as the page reads them.

    With a merged net every other is set against it; without one every two networks are. Rows count in the layers of the page.
    """
    atoms = laid.atoms
    names = [net.name for net in atoms.nets]
    merged = names.index(UNIFIED) if UNIFIED in names else None
    if merged is None:
        pairs = list(itertools.combinations(range(len(names)), 2))
    else:
        pairs = [(n, merged) for n in range(len(names)) if n != merged]
    return {
        "layers": list(layer_ids),
        "measure": None if laid.weight is None else list(laid.measure),
        "walks": [_walk(laid, i, j) for i, j in pairs],
        "conflicts": _conflict_rows(laid),
        "disputes": len(laid.disputes.shared_m2),
        "crossing": laid.disputes.crossing,
    }


def _walk(laid: LaidNetworks, i: int, j: int) -> dict[str, Any]:
    walk = crosswalk(laid.atoms, i, j)
    made: dict[str, Any] = {
        "nets": [i, j], "from": walk.from_row.tolist(), "to": walk.to_row.tolist(), "area": np.rint(walk.area_m2).astype(int).tolist()
    }  # fmt: skip
    if laid.weight is not None:
        made["weight"] = np.round(crosswalk(laid.atoms, i, j, laid.weight).weight).astype(int).tolist()
    return made


def _conflict_rows(laid: LaidNetworks) -> list[list[Any]]:
    """Return net, row, net, row, m2, share of each in percent; in the order of the layer."""
    found = laid.disputes
    return [
        [
            int(found.net[k, 0]), int(found.row[k, 0]), int(found.net[k, 1]), int(found.row[k, 1]), round(float(found.shared_m2[k])),
            round(float(found.share[k, 0]) * 100, 1), round(float(found.share[k, 1]) * 100, 1),
        ]
        for k in _listed(laid)
    ]  # fmt: skip
