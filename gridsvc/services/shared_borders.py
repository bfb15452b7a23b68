"""Keep the partition exact across community borders: what one side has as a vertex, the other side gets too."""

from __future__ import annotations

from datetime import datetime

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import PartitionError
from gridsvc.geo.partitions import insert_vertices_each, is_exact, node_shared_vertices
from gridsvc.geo.projections import to_metric, to_storage, zone_of
from gridsvc.store.unit_of_work import UnitOfWork

# unit grids nest in governance grids, so their borders get the same vertices
_NESTED = ("urban", "social")
_NEAR_DEG = 1e-7
_ROUNDS = 4


def share_borders(uow: UnitOfWork, redraw_id: str, *, at: datetime) -> gpd.GeoDataFrame:
    """Give the grids of a draft the vertices of their neighbours in force; return the neighbours that gain some of theirs.

    Two drafts of communities side by side are made without knowing each other; whichever comes second finds the first in
    force. Borders move by at most the tolerance of a millimetre. Neighbours count as they are from ``at`` on, also in
    versions that begin later, so that the partition is exact at every instant.

    Returns
    -------
    neighbours
        grid_id and geometry (EPSG:4490) of those that change, for ``GridRepository.put_vertices``. Empty when none do.

    Raises
    ------
    PartitionError
        When the draft and its neighbours overlap.
    """
    draft = uow.redraws.get(redraw_id)
    networks = sorted({other for n in draft["networks"] for other in (_NESTED if n in _NESTED else (n,))})
    beside = uow.grids.beside(redraw_id, networks, at)
    if beside.empty:
        return beside[["grid_id", "geometry"]]
    own = uow.redraws.grids(redraw_id)
    border = _near(own.geometry.to_numpy(), beside.geometry.to_numpy())
    if not len(border):
        return beside.loc[[], ["grid_id", "geometry"]]
    shapes = np.concatenate([own.geometry.to_numpy()[border], beside.geometry.to_numpy()])
    noded = _noded(shapes, len(border))
    changed = ~shapely.equals_exact(noded, shapes, tolerance=0.0)
    own_changed, beside_changed = changed[: len(border)], changed[len(border) :]
    renewed = beside.set_geometry(gpd.GeoSeries(noded[len(border) :], crs=beside.crs))
    if own_changed.any():
        geometry = own.geometry.to_numpy().copy()
        geometry[border] = noded[: len(border)]
        own = own.set_geometry(gpd.GeoSeries(geometry, crs=own.crs))
        uow.redraws.put_grids(redraw_id, own, draft["community_codes"])
    _refuse_overlap(own, renewed, at)
    return renewed.loc[beside_changed, ["grid_id", "geometry"]].reset_index(drop=True)


def _near(own: NDArray[np.object_], beside: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the positions of the draft's grids that reach to a neighbour, ascending."""
    margin = np.array([-_NEAR_DEG, -_NEAR_DEG, _NEAR_DEG, _NEAR_DEG])
    boxes = shapely.box(*(shapely.bounds(beside) + margin).T)
    return np.unique(shapely.STRtree(own).query(boxes)[1]) if len(own) else np.zeros(0, dtype=np.int64)


def _noded(shapes: NDArray[np.object_], own: int) -> NDArray[np.object_]:
    """Return the first ``own`` shapes with the vertices of all of them, and the others with those on the borders of the first.

    The others are versions of the same ground at different instants: they get no vertices of each other, which grids
    further away would not have.
    """
    zone = zone_of(shapes)
    metric = to_metric(shapes, zone)
    first = node_shared_vertices(metric)[:own]
    others = metric[own:]
    for _ in range(_ROUNDS):
        # an edge bent by an insertion may pass another vertex
        before, others = others, insert_vertices_each(others, shapely.get_coordinates(first))
        if shapely.equals_exact(before, others, tolerance=0.0).all():
            break
    return to_storage(np.concatenate([first, others]), zone)


def _refuse_overlap(own: gpd.GeoDataFrame, beside: gpd.GeoDataFrame, at: datetime) -> None:
    """Refuse when at some instant from ``at`` on the draft and its neighbours do not share their borders exactly."""
    begins, ends = beside["valid_from"], beside["valid_to"]
    for instant in sorted({at, *begins[begins > at]}):
        held = (begins <= instant) & (ends.isna() | (ends > instant))
        for network in sorted(set(own["network"]) & set(beside["network"])):
            mine = own.geometry[own["network"] == network].to_numpy()
            theirs = beside.geometry[held & (beside["network"] == network)].to_numpy()
            if not is_exact(np.concatenate([mine, theirs])):
                raise PartitionError(
                    f"The {network} grids do not share their vertices across community borders at {instant.isoformat()}.",
                    hint="Communities overlap or leave gaps; check them with gridsvc import divisions --dry-run.",
                )
