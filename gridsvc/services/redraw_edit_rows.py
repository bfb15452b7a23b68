"""Between the rows of a draft and the grids that `gridsvc.division.editing` works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.division.editable_grids import GOVERNANCE, UNIT, EditableGrids, GridChange, GridRef, editable_grids
from gridsvc.errors import NotFoundError, PartitionError
from gridsvc.geo.projections import STORAGE_EPSG, gauss_kruger_epsg, to_metric, to_storage
from gridsvc.services.community_inputs import STREETS_NOT_FOLLOWED
from gridsvc.services.grid_frames import grid_name
from gridsvc.store.unit_of_work import UnitOfWork

_MARGIN_DEG = 20.0 / 80_000
_DISTRICT_DIGITS = 6
# what rounding to 0.1 mm can make of a border, per metre of it
_ROUNDING_M2_PER_M = 1e-4


@dataclass(frozen=True, slots=True)
class EditedDraft:
    """The communities of a draft around an edit: their rows and the same as grids to edit.

    ``network_of`` gives the network of each kind: unit grids of ``urban`` nested in governance grids of ``social`` where the draft
    holds both, else the one network that is edited, its grids as units. ``names`` are those of the communities.
    """

    epsg: int
    rows: gpd.GeoDataFrame
    grids: EditableGrids
    network_of: dict[str, str]
    names: dict[str, str]

    @classmethod
    def read(
        cls, uow: UnitOfWork, redraw: dict[str, Any], network: str, codes: Sequence[str], at: datetime
    ) -> EditedDraft:
        """Return the communities of a draft that the grids ``codes`` of a network lie in, and those beside them.

        Raises
        ------
        NotFoundError
            When a grid is not in the draft.
        PartitionError
            When the draft is no exact partition there, or its unit grids do not nest in its governance grids.
        """
        rows = uow.redraws.grids(redraw["redraw_id"])
        rows = _around(rows, network, codes)
        network_of = _network_of(redraw, network)
        rows = rows[rows["network"].isin(network_of.values())].reset_index(drop=True)
        units = rows[rows["network"] == network_of[UNIT]]
        community = units["community_code"].iloc[0]
        district = uow.everywhere().divisions.bounds(community[:_DISTRICT_DIGITS], at) or tuple(rows.total_bounds)
        epsg = gauss_kruger_epsg((district[0] + district[2]) / 2)
        nested = GOVERNANCE in network_of
        grids = editable_grids(
            epsg=epsg,
            codes=list(units["code"]),
            units=to_metric(units.geometry.to_numpy(), epsg),
            communities=list(units["community_code"]),
            counts=units[["households", "population"]].to_numpy(dtype=np.int64),
            parents=list(units["parent_code"]) if nested else None,
            **_ground(uow.everywhere(), rows, epsg),
        )
        if nested:
            _require_nested(grids, rows[rows["network"] == network_of[GOVERNANCE]])
        communities = sorted(set(rows["community_code"]))
        found = {code: uow.everywhere().divisions.get(code, at) for code in communities}
        names = {code: division["name"] if division else "" for code, division in found.items()}
        return cls(epsg, rows, grids, network_of, names)

    def ref(self, network: str, code: str) -> GridRef:
        """Return how the grids to edit call a grid."""
        kind = next((kind for kind, name in self.network_of.items() if name == network), None)
        if kind is None:
            raise PartitionError(
                f"This draft holds no grids of {network} to go with those of {self.network_of[UNIT]}.",
                hint="Open a draft of both networks.",
            )
        return GridRef(kind, code)


def _around(rows: gpd.GeoDataFrame, network: str, codes: Sequence[str]) -> gpd.GeoDataFrame:
    """Return the rows of the communities of some grids and of those whose box meets theirs."""
    wanted = rows[(rows["network"] == network) & rows["code"].isin(list(codes))]
    missing = sorted(set(codes) - set(wanted["code"]))
    if missing or wanted.empty:
        raise NotFoundError(
            f"The draft has no grid {', '.join(missing[:3])} of {network}.",
            hint="Use the code of a grid of this draft; a split or merged grid may have retired it.",
        )
    bounds = rows.bounds.groupby(rows["community_code"]).agg(
        {"minx": "min", "miny": "min", "maxx": "max", "maxy": "max"}
    )
    boxes = shapely.box(*(bounds.to_numpy() + np.array([-1, -1, 1, 1]) * 1e-7).T)
    own = boxes[bounds.index.isin(wanted["community_code"])]
    near = [bool(shapely.intersects(box, own).any()) for box in boxes]
    return rows[rows["community_code"].isin(bounds.index[near])]


def _network_of(redraw: dict[str, Any], network: str) -> dict[str, str]:
    nested = {UNIT: "urban", GOVERNANCE: "social"}
    if network in nested.values() and set(nested.values()) <= set(redraw["networks"]):
        return nested
    return {UNIT: network}


def _ground(uow: UnitOfWork, rows: gpd.GeoDataFrame, epsg: int) -> dict[str, Any]:
    """Return buildings and lines around rows as `editable_grids` takes them."""
    west, south, east, north = rows.total_bounds
    bbox = (west - _MARGIN_DEG, south - _MARGIN_DEG, east + _MARGIN_DEG, north + _MARGIN_DEG)
    homes = uow.residences.list(bbox=bbox)
    streets = uow.streets.list(bbox)
    followed = (streets["layer"].to_numpy() == 0) & ~streets["street_class"].isin(STREETS_NOT_FOLLOWED).to_numpy()
    lines = [
        streets.geometry.to_numpy()[followed],
        uow.barriers.list(bbox).geometry.to_numpy(),
        shapely.boundary(uow.water.list(bbox).geometry.to_numpy()),
    ]
    return {
        "buildings": _metric(homes.geometry.to_numpy(), epsg),
        "building_ids": list(homes["residence_code"]),
        "building_counts": homes[["households", "population"]].to_numpy(dtype=np.int64),
        "lines": _metric(shapely.get_parts(np.concatenate(lines)), epsg),
    }


def _metric(shapes: NDArray[np.object_], epsg: int) -> NDArray[np.object_]:
    return to_metric(shapes, epsg) if len(shapes) else np.empty(0, dtype=object)


def _require_nested(grids: EditableGrids, governance: gpd.GeoDataFrame) -> None:
    """Refuse unit grids whose unions are not the governance grids of the draft."""
    drawn = dict(zip(governance["code"], _metric(governance.geometry.to_numpy(), grids.ground.epsg), strict=True))
    orphans = [code for code, parent in zip(grids.codes, grids.parents, strict=True) if parent not in drawn]
    misfit = orphans or [
        code
        for code, shape in drawn.items()
        if code not in grids.parents
        or shapely.symmetric_difference(grids.shape(GridRef(GOVERNANCE, code)), shape).area
        > _ROUNDING_M2_PER_M * shape.length
    ]
    if misfit:
        raise PartitionError(
            f"The unit grids of this draft do not nest in its governance grids: {misfit[0]}.",
            hint="Draft one network alone, or divide the community again.",
            check="nesting",
        )


def rows_changed(
    draft: EditedDraft, after: EditableGrids, change: GridChange
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Return the rows of the draft that an edit changes, as they were and as they become.

    A row changes with its land, vertices, governance grid, households or population. A grid that keeps its code keeps its name.
    """
    old = {(row["network"], row["code"]): row for row in draft.rows.to_dict("records")}
    rows: list[dict[str, Any]] = []
    gone = {(draft.network_of[ref.kind], ref.code) for ref in change.retired}
    for ref in sorted(after.refs()):
        key = (draft.network_of[ref.kind], ref.code)
        row = _row(draft, after, ref, old.get(key))
        if row is None:
            continue
        rows.append(row)
        if key in old:
            gone.add(key)
    return _frame([old[key] for key in sorted(gone)]), _frame(rows)


def _row(draft: EditedDraft, after: EditableGrids, ref: GridRef, old: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the new row of a grid; None where it is as before."""
    members = after.members(ref)
    counts = after.counts[members].sum(axis=0)
    if old is not None:
        # where stored counts and unit grids disagree (imported grids), the difference stays
        before = draft.grids.counts[draft.grids.members(ref)].sum(axis=0)
        counts = np.maximum(np.array([old["households"], old["population"]]) + counts - before, 0)
    metric = after.shape(ref)
    shape = to_storage(np.array([metric], dtype=object), draft.epsg)[0]
    parent = after.parents[members[0]] if ref.kind == UNIT and GOVERNANCE in draft.network_of else None
    if old is not None:
        if GOVERNANCE not in draft.network_of or ref.kind == GOVERNANCE:
            parent = old["parent_code"]
        same_land = shapely.equals_exact(shapely.normalize(_multi(shape)), shapely.normalize(old["geometry"]), 0.0)
        same_counts = [old["households"], old["population"]] == counts.tolist()
        if same_land and same_counts and (parent == old["parent_code"] or pd.isna(old["parent_code"])):
            return None
    network, community = draft.network_of[ref.kind], after.community(ref)
    like = old or next(row for row in draft.rows.to_dict("records") if row["network"] == network)
    return {
        "network": network,
        "kind": like["kind"],
        "code": ref.code,
        "name": old["name"] if old else grid_name(draft.names[community], ref.code),
        "community_code": community,
        "parent_code": parent,
        "households": int(counts[0]),
        "population": int(counts[1]),
        "area_m2": float(metric.area),
        "responsible": None,
        "geometry": _multi(shape),
    }


def _multi(shape: shapely.Geometry) -> shapely.MultiPolygon:
    return shape if shape.geom_type == "MultiPolygon" else shapely.MultiPolygon([shape])


def _frame(rows: list[dict[str, Any]]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(pd.DataFrame(rows), geometry="geometry", crs=f"EPSG:{STORAGE_EPSG}")
