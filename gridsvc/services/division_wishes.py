"""What a district asks of a division besides the rules, brought to each community: dedicated areas, seeds, locks, expected events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import CommunityInput, DivisionRules
from gridsvc.division.keeping import FormerDivision
from gridsvc.errors import GeometryError, NotFoundError, RequestInvalidError
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.vector_files import read_table
from gridsvc.geo.datums import check_lonlat
from gridsvc.geo.projections import to_metric
from gridsvc.services.community_inputs import Area
from gridsvc.store.unit_of_work import UnitOfWork

DEDICATED = "dedicated"
# reports of this long before stand for the events to be expected
EVENTS_OF = timedelta(days=365)
_COMMUNITY_DIGITS = 12


def _none() -> NDArray[np.object_]:
    return np.empty(0, dtype=object)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for; nothing by default.

    Parameters
    ----------
    dedicated
        Polygons that become governance grids of their own (专属网格). CRS: EPSG:4490.
    seeds
        Points, each of which gets a governance grid to itself. CRS: EPSG:4490.
    locked
        Codes of governance grids in force that stay as they are.
    balance_events
        Spread the reports of the last year evenly over the governance grids where the households allow it.
    exact_s
        Seconds for a solver that proves the best governance grids of a small community; 0: none. Unit: s.
    """

    dedicated: NDArray[np.object_] = field(default_factory=_none)
    seeds: NDArray[np.object_] = field(default_factory=_none)
    locked: tuple[str, ...] = ()
    balance_events: bool = False
    exact_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return what differs from the default, JSON-serialisable; `from_dict` gives it back."""
        shapes = {name: shapely.to_wkb(getattr(self, name), hex=True).tolist() for name in ("dedicated", "seeds")}
        plain = {"locked": list(self.locked), "balance_events": self.balance_events, "exact_s": self.exact_s}
        return {name: value for name, value in (shapes | plain).items() if value}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Wishes:
        """Return the wishes that `as_dict` wrote."""
        shapes = {
            name: np.array([shapely.from_wkb(text) for text in kept.get(name, [])], dtype=object)
            for name in ("dedicated", "seeds")
        }
        return cls(
            **shapes,
            locked=tuple(kept.get("locked", ())),
            balance_events=bool(kept.get("balance_events", False)),
            exact_s=float(kept.get("exact_s", 0.0)),
        )


def read_places(path: Path, datum: str | None, what: str) -> NDArray[np.object_]:
    """Return the polygons (``what`` = "polygon") or points ("point") of a file in EPSG:4490.

    Raises
    ------
    DatumMissingError
        When neither the caller nor the file declares a datum.
    GeometryError
        When a row is no valid polygon or point; names the row.
    """
    table = read_table(path)
    if table.geometry is None:
        raise RequestInvalidError(
            f"{table.name} has no {what}s.", hint="Give GeoJSON, GeoPackage, GeoParquet or Shapefile."
        )
    return placed(table.geometry, datum, what, table.name, file_crs=table.crs)


def placed(
    shapes: NDArray[np.object_], datum: str | None, what: str, where: str, *, file_crs: str | None = None
) -> NDArray[np.object_]:
    """Return polygons or points (``what``) of a declared datum in EPSG:4490; errors as of `read_places`, naming ``where``."""
    shapes = shapely.force_2d(shapes)
    kinds = (3, 6) if what == "polygon" else (0,)
    for row, shape in enumerate(shapes, start=1):
        if shapely.get_type_id(shape) not in kinds or shapely.is_empty(shape) or not shapely.is_valid(shape):
            raise GeometryError(f"{where}, row {row}, is no valid {what}.", hint="Repair it or leave it out.", row=row)
    declared = declare_datum(datum, file_crs, where)
    if declared.epsg is None:
        xy = shapely.get_coordinates(shapes)
        check_lonlat(xy[:, 0], xy[:, 1], field=where)
    return declared.to_storage(shapes)


def with_wishes(uow: UnitOfWork, area: Area, wishes: Wishes, at: datetime) -> Area:
    """Return the area with each community told what is asked of it."""
    if not len(wishes.dedicated) and not len(wishes.seeds) and not wishes.balance_events:
        return area
    dedicated, seeds = to_metric(wishes.dedicated, area.epsg), to_metric(wishes.seeds, area.epsg)
    places, counts = _events(uow, area, at) if wishes.balance_events else (_none(), np.zeros(0))
    trees = [shapely.STRtree(shapes) for shapes in (dedicated, seeds, places)]

    def told(community: CommunityInput) -> CommunityInput:
        areas, points, events = (np.sort(tree.query(community.boundary, predicate="intersects")) for tree in trees)
        return replace(
            community,
            dedicated=dedicated[areas],
            seeds=seeds[points],
            events=places[events],
            event_counts=counts[events],
        )

    return replace(area, inputs=[told(community) for community in area.inputs])


def _events(uow: UnitOfWork, area: Area, at: datetime) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Return the places of the reports of the last year, about 20 m apart, in metres, and how many came from each."""
    prefix = _common_prefix([community.code for community in area.inputs])
    counted = uow.reports.count_by_place(prefix, since=at - EVENTS_OF, until=at)
    points = shapely.points(counted["lon"].to_numpy(dtype=float), counted["lat"].to_numpy(dtype=float))
    return to_metric(points, area.epsg), counted["reports"].to_numpy(dtype=float)


def _common_prefix(codes: Sequence[str]) -> str:
    first, last = min(codes, default=""), max(codes, default="")
    for digits in (12, 9, 6, 4):
        if first[:digits] == last[:digits]:
            return first[:digits]
    return ""


def former_divisions(
    uow: UnitOfWork, area: Area, wishes: Wishes, rules: DivisionRules, at: datetime | None
) -> tuple[Area, dict[str, FormerDivision]]:
    """Return what each community has at ``at`` (None: newest), where something of it is to stay, and the area with boundaries to match.

    A community without grids in force is left out: it is divided for the first time.

    Raises
    ------
    NotFoundError
        When a locked code is no governance grid in force here.
    """
    if not wishes.locked and rules.stability == 0:
        return area, {}
    codes = [community.code for community in area.inputs]
    units = uow.grids.list("urban", at=at, community_codes=codes)
    grids = uow.grids.list("social", at=at, community_codes=codes)
    unknown = sorted(set(wishes.locked) - set(grids["code"]))
    if unknown:
        raise NotFoundError(
            f"There is no governance grid {unknown[0]} in force here, so it cannot be locked.",
            hint="See GET /api/v1/grids or the division map for the codes.",
        )
    found: dict[str, FormerDivision] = {}
    inputs = []
    units_of, grids_of = units.groupby("community_code").indices, grids.groupby("community_code").indices
    for community in area.inputs:
        has_units = community.code in units_of and community.code in grids_of
        locked_here = any(code.startswith(community.code) for code in wishes.locked)
        if has_units and (rules.stability > 0 or locked_here):
            former, boundary = _former(
                units.iloc[units_of[community.code]], grids.iloc[grids_of[community.code]], wishes, area.epsg
            )
            found[community.code] = former
            inputs.append(replace(community, boundary=boundary))
        else:
            inputs.append(community)
    return replace(area, inputs=inputs), found


def _former(
    units: gpd.GeoDataFrame, grids: gpd.GeoDataFrame, wishes: Wishes, epsg: int
) -> tuple[FormerDivision, shapely.Geometry]:
    number = {code: i for i, code in enumerate(grids["code"])}
    shapes = shapely.get_parts(to_metric(units.geometry.to_numpy(), epsg))
    former = FormerDivision(
        unit_grids=shapes,
        governance_of_unit=np.array([number[code] for code in units["parent_code"]], dtype=np.int64),
        locked=grids["code"].isin(wishes.locked).to_numpy(dtype=bool),
        is_dedicated=(grids["kind"] == DEDICATED).to_numpy(dtype=bool),
    )
    boundary = shapely.coverage_union_all(shapes)
    single = boundary.geom_type == "MultiPolygon" and len(boundary.geoms) == 1
    return former, boundary.geoms[0] if single else boundary
