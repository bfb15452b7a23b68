"""Where the rows of a file lie among the divisions stored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from gridsvc.geo.location import GridIndex
from gridsvc.services.import_batch import Batch, ImportOptions
from gridsvc.store.unit_of_work import UnitOfWork


def divisions_at_points(
    uow: UnitOfWork, points: np.ndarray, options: ImportOptions
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return (district code, community code, whether any division is drawn) of points; None where in none.

    Parameters
    ----------
    points
        Shapely points, EPSG:4490; None is in no division.

    Notes
    -----
    The one-grid rule: on a shared border the smaller code. Divisions are those in force at ``options.at``. Where communities are
    not drawn the districts decide.
    """
    drawn = uow.divisions.list(at=options.at)
    drawn = drawn[~drawn.geometry.isna() & drawn["level"].isin(["district", "community"])]
    lon, lat = shapely.get_x(points), shapely.get_y(points)
    community = _located(drawn, "community", lon, lat)
    district = np.array([code and code[:6] for code in community], dtype=object)
    unknown = pd.isna(district)
    district[unknown] = _located(drawn, "district", lon[unknown], lat[unknown])
    return district, community, not drawn.empty


def _located(drawn, level: str, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    of_level = drawn[drawn["level"] == level]
    if of_level.empty or not len(lon):
        return np.full(len(lon), None, dtype=object)
    return GridIndex(of_level["code"].to_list(), of_level.geometry.to_numpy()).locate(lon, lat)


def refuse_outside_divisions(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> None:
    """Refuse rows that lie in no stored district or community; where none is drawn yet nothing can be said.

    Areas count by a point inside them.
    """
    points = np.full(len(batch.rows), None, dtype=object)
    points[batch.good] = shapely.point_on_surface(batch.geometry[batch.good])
    district, _, any_drawn = divisions_at_points(uow, points, options)
    if any_drawn:
        where = [f"{x:.6f} {y:.6f}" for x, y in zip(shapely.get_x(points), shapely.get_y(points), strict=True)]
        outside = batch.good & pd.isna(district)
        batch.refuse(outside, "geometry", "is outside of every division stored; import its district first", where)
