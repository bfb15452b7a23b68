"""Merge the grids of the three networks of a division into one net, and put it in force."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import NotFoundError
from gridsvc.geo.location import GridIndex
from gridsvc.networks.merge import Conflict, CrosswalkRow, MergedNet, Parcels, merge_by_parcels
from gridsvc.progress import SILENT, Progress
from gridsvc.services.grid_frames import grid_frame, is_in_force
from gridsvc.services.moving_cases import move_open_cases
from gridsvc.services.redraw_force import put_redraw_in_force
from gridsvc.store.unit_of_work import UnitOfWork

NETWORKS = ("urban", "social", "security")
REFERENCE = "social"
UNIFIED = "unified"


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge came to.

    ``conflicts`` counts the pairs of merged grid and network in which several grids answer and none is wholly inside;
    ``disputed`` lists them. ``unowned`` counts parcels without a grid, by network. ``redraw`` is the id of the redraw, None when
    nothing changed.
    """

    grids: int
    parcels: int
    conflicts: int
    disputed: list[Conflict]
    unowned: dict[str, int]
    crosswalk: list[CrosswalkRow]
    retired: int
    inserted: int
    unchanged: int
    redraw: str | None
    seconds: float


def merge(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    actor: str,
    communities: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> MergeResult:
    """Merge the networks under ``code`` at ``at`` and put the unified net in force; the caller commits.

    Unit grids are the parcels. The unified grids continue the governance grids, with their codes; each carries who answers in
    every network. A second run on the same grids changes nothing.

    Parameters
    ----------
    communities
        Merge only these communities under ``code``; default all.

    Raises
    ------
    NotFoundError
        When there are no unit grids or no governance grids under ``code``.
    """
    began = time.perf_counter()
    progress.start("merge networks", 3)
    held = {n: uow.grids.list(n, prefix=code, at=at, community_codes=communities) for n in NETWORKS}
    refuse_missing(held, code, at)
    parcels, labels = parcels_of(held)
    net = merge_by_parcels(parcels, labels, reference=REFERENCE)
    progress.advance()
    continued = held[REFERENCE].set_index("code").loc[net.code]
    frame = merged_frame(net, continued["name"].to_numpy(), continued["community_code"].to_numpy())
    stored = _store(uow, code, at, actor, frame, net, communities)
    progress.advance(2)
    return MergeResult(
        grids=len(net.code),
        parcels=len(parcels.code),
        conflicts=len(net.conflicts),
        disputed=net.conflicts,
        unowned={n: int(pd.isna(codes).sum()) for n, codes in net.who_answers.items()},
        crosswalk=net.crosswalk,
        seconds=time.perf_counter() - began,
        **stored,
    )


def who_answers(uow: UnitOfWork, code: str, *, at: datetime) -> pd.DataFrame:
    """Return, for every parcel under ``code``, the grid of each network that answers there.

    Returns
    -------
    answers
        Columns parcel_code, community_code, area_m2 (m2), households, unified, urban, social, security; ordered by parcel_code.
    """
    held = {network: uow.grids.list(network, prefix=code, at=at) for network in NETWORKS}
    refuse_missing(held, code, at)
    parcels, labels = parcels_of(held)
    net = merge_by_parcels(parcels, labels, reference=REFERENCE)
    unified = np.where(net.unified_of_parcel >= 0, net.code[net.unified_of_parcel], None)
    columns = {
        "parcel_code": parcels.code,
        "community_code": held["urban"]["community_code"].to_numpy(dtype=object),
        "area_m2": parcels.area_m2,
        "households": parcels.households,
        UNIFIED: unified,
    }
    return pd.DataFrame(columns | net.who_answers)


def refuse_missing(held: Mapping[str, gpd.GeoDataFrame], code: str, at: datetime) -> None:
    """Raise NotFoundError when there are no unit grids or no governance grids among the grids of each network."""
    for network, what in (("urban", "unit grids"), (REFERENCE, "governance grids")):
        if held[network].empty:
            raise NotFoundError(
                f"{code} has no {what} at {at.isoformat()}.", hint=f"Divide it first: gridsvc divide {code}."
            )


def parcels_of(held: Mapping[str, gpd.GeoDataFrame]) -> tuple[Parcels, dict[str, NDArray[np.object_]]]:
    """Return the unit grids as parcels, and the code of the grid of each network that holds an inner point of each."""
    units = held["urban"]
    parcels = Parcels(
        code=units["code"].to_numpy(dtype=object),
        geometry=units.geometry.to_numpy(),
        area_m2=units["area_m2"].to_numpy(dtype=float),
        households=units["households"].to_numpy(dtype=np.int64),
        population=units["population"].to_numpy(dtype=np.int64),
    )
    points = shapely.get_coordinates(shapely.point_on_surface(parcels.geometry))
    labels = {"urban": parcels.code}
    for network in NETWORKS[1:]:
        grids = held[network]
        index = GridIndex(grids["code"].tolist(), grids.geometry.to_numpy())
        labels[network] = np.asarray(index.locate(points[:, 0], points[:, 1]), dtype=object)
    return parcels, labels


def merged_frame(net: MergedNet, name: NDArray, community_code: NDArray) -> gpd.GeoDataFrame:
    """Return the merged grids as the store takes them, with a name and a community for each."""
    responsible = [
        {network: _plain(asdict(answer)) for network, answer in answers.items()} for answers in net.responsible
    ]
    return grid_frame(
        {
            "network": UNIFIED,
            "kind": UNIFIED,
            "code": net.code,
            "name": name,
            "community_code": community_code,
            "parent_code": None,
            "households": net.households,
            "population": net.population,
            "area_m2": np.round(net.area_m2, 2),
            "responsible": responsible,
        },
        net.geometry,
    )


def _plain(answer: dict) -> dict:
    """Return an answer as it is kept with the grid: shares with six decimals."""
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in answer.items()}


def _store(
    uow: UnitOfWork,
    code: str,
    at: datetime,
    actor: str,
    frame: gpd.GeoDataFrame,
    net: MergedNet,
    communities: Sequence[str] | None,
) -> dict:
    based_on = uow.redraws.last_approval()
    before = uow.grids.list(UNIFIED, prefix=code, at=at, community_codes=communities)
    if is_in_force(frame, before):
        return {"retired": 0, "inserted": 0, "unchanged": len(frame), "redraw": None}
    checks = {
        "grids": len(frame),
        "conflicts": len(net.conflicts),
        "coverage_valid": bool(shapely.coverage_is_valid(frame.geometry.to_numpy())),
    }
    redraw = uow.redraws.open_draft(UNIFIED, code, "merged", actor, at, f"gridsvc merge {code}", based_on=based_on)
    uow.redraws.put_grids(redraw, frame, before["community_code"])
    done = put_redraw_in_force(uow, redraw, by=actor, at=at, decided_at=at, checks=checks)
    move_open_cases(uow, redraw, sorted(set(frame["community_code"])), [UNIFIED], at=at)
    uow.audit.append(actor, "merge", "redraw", str(redraw), {"networks": [UNIFIED], "division": code, **checks}, at=at)
    return {
        "retired": done.retired, "inserted": done.inserted, "unchanged": done.unchanged, "redraw": str(redraw),
    }  # fmt: skip
