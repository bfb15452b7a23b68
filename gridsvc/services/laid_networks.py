"""The networks of a coverage map laid over each other: stored ones with their households, or files of any offices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import RequestInvalidError
from gridsvc.geo.projections import STORAGE_EPSG, to_metric, to_storage, zone_of
from gridsvc.maps.coverage import MOST_GRIDS, CoverageContent
from gridsvc.maps.map_file import drawable
from gridsvc.maps.network_layers import LaidNetworks
from gridsvc.networks.crosswalk import counts_by_atom
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import TOLERANCE_M, overlay
from gridsvc.services.comparing_networks import read_points
from gridsvc.services.network_sources import SourceNets
from gridsvc.store.unit_of_work import UnitOfWork


def laid_networks(
    grids: Mapping[str, gpd.GeoDataFrame],
    *,
    tolerance_m: float = TOLERANCE_M,
    boundary: shapely.Geometry | None = None,
    points: tuple[NDArray[np.object_], NDArray[np.float64]] | None = None,
    measure: tuple[str, str] = ("户", "households"),
) -> LaidNetworks | None:
    """Return networks laid over each other, None where fewer than two have grids.

    Parameters
    ----------
    grids
        By network, in the order of the map: code, name, geometry (EPSG:4490).
    boundary
        Land where somebody should answer (EPSG:4490); what is outside is left out. Default: the land of the networks.
    points, measure
        What is counted beside the area: points (EPSG:4490) and what each counts, and what that is in both languages.
    """
    frames = {name: drawable(frame) for name, frame in grids.items()}
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    if len(frames) < 2:
        return None
    epsg = zone_of(np.concatenate([frame.geometry.to_numpy() for frame in frames.values()]))
    nets = [
        Net.of(name, frame["code"].tolist(), to_metric(frame.geometry.to_numpy(), epsg), frame["name"].tolist())
        for name, frame in frames.items()
    ]
    around = None if boundary is None else to_metric(np.array([boundary], dtype=object), epsg)[0]
    atoms = overlay(nets, tolerance_m=tolerance_m, boundary=around)
    weight = None
    if points is not None and len(points[0]):
        places = to_metric(points[0], epsg)
        weight, _ = counts_by_atom(atoms, shapely.get_x(places), shapely.get_y(places), points[1])
    return LaidNetworks(atoms, epsg, tolerance_m, weight, measure)


def stored_networks(uow: UnitOfWork, content: CoverageContent, tolerance_m: float) -> LaidNetworks | None:
    """Return the stored networks of a map laid over each other inside its division, with the households of its residences."""
    homes = uow.residences.list("" if content.code is None else content.code, columns=["households"])
    shapes = homes.geometry.to_numpy()
    places = shapely.point_on_surface(shapes), homes["households"].fillna(0).to_numpy(dtype=float)
    divisions = drawable(content.divisions)
    boundary = divisions.geometry.to_numpy()[0] if len(divisions) else None
    return laid_networks(
        {name: content.grids[name] for name in content.networks if name in content.grids},
        tolerance_m=tolerance_m,
        boundary=boundary,
        points=places,
    )


def content_of_files(
    given: SourceNets,
    *,
    title: str,
    at: datetime,
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    tolerance_m: float = TOLERANCE_M,
    points: Path | None = None,
    points_datum: str | None = None,
    count: str | None = None,
) -> CoverageContent:
    """Return the content of a coverage map of networks read from files or from the store.

    Parameters
    ----------
    title
        What the map is called.
    points, points_datum, count
        File of points (households, events) that crosswalks count beside the area, its datum, and the column that says how much each counts.

    Raises
    ------
    RequestInvalidError
        When there are more grids than one map draws, or two networks of one name.
    """
    total = sum(len(net) for net in given.nets)
    if total > MOST_GRIDS:
        raise RequestInvalidError(
            f"The networks have {total:,} grids, and a map draws at most {MOST_GRIDS:,}.",
            hint="Cut the files to a district, or name fewer.",
            field="sources",
        )
    names = [net.name for net in given.nets]
    if len(set(names)) < len(names):
        raise RequestInvalidError(
            f"Two networks are named {max(names, key=names.count)}.", hint="Rename a file.", field="sources"
        )
    grids = {}
    for net in given.nets:
        frame = gpd.GeoDataFrame(
            {"code": net.code, "name": net.title, "area_m2": shapely.area(net.geometry)},
            geometry=to_storage(net.geometry, given.epsg),
            crs=STORAGE_EPSG,
        )
        grids[net.name] = frame.sort_values("code", kind="stable", ignore_index=True)
    counted = None
    if points is not None:
        places, number, _ = read_points(points, points_datum, count, given.epsg)
        counted = to_storage(places, given.epsg), number
    none = gpd.GeoDataFrame({"code": [], "name": [], "level": []}, geometry=[], crs=STORAGE_EPSG)
    return CoverageContent(
        name_zh=title,
        code="、".join(grids),
        at=at,
        divisions=none,
        grids=grids,
        sources=sources,
        timezone=timezone,
        laid=laid_networks(grids, tolerance_m=tolerance_m, points=counted, measure=("件", "counted")),
    )
