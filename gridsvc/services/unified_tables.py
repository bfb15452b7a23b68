"""Alternatives of a unified net as tables and layers to hand over."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import NotFoundError
from gridsvc.geo.grid_codes import DEFAULT_SCHEME, format, number_west_to_east
from gridsvc.geo.projections import STORAGE_EPSG
from gridsvc.geo.stored_coverages import coverage_to_storage
from gridsvc.networks.crosswalk import crosswalk
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY
from gridsvc.networks.unified import ALTERNATIVES, HouseholdBounds, Proposal, largest, proposals
from gridsvc.networks.unified_costs import FATES, ProposalCost, cost_of, fates, people_moved
from gridsvc.networks.unified_ground import UnifiedGround
from gridsvc.services.merging import UNIFIED

Codes = NDArray[np.object_]
Geometries = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class PricedProposal:
    """An alternative with its costs, the code of each of its grids, and their polygons in EPSG:4490 (an exact coverage)."""

    proposal: Proposal
    cost: ProposalCost
    code: Codes
    geometry: Geometries


def priced(
    ground: UnifiedGround,
    epsg: int,
    *,
    workers: Mapping[str, Sequence[int]] | None = None,
    bounds: HouseholdBounds | None = None,
) -> list[PricedProposal]:
    """Return the alternatives of a ground, whose atoms are in metres of system ``epsg``, with costs and codes."""
    found = []
    for proposal in proposals(ground, bounds=bounds):
        cost = cost_of(ground, proposal, workers=workers, bounds=bounds)
        shapes = coverage_to_storage(proposal.geometry(ground), epsg)
        found.append(PricedProposal(proposal, cost, codes_of(ground, proposal), shapes))
    return found


def chosen(found: Sequence[PricedProposal], name: str) -> PricedProposal:
    """Return the alternative of that name.

    Raises
    ------
    NotFoundError
        When there is none: ``balanced`` needs households.
    """
    for each in found:
        if each.proposal.name == name:
            return each
    names = ", ".join(each.proposal.name for each in found)
    why = " balanced needs households." if name in ALTERNATIVES else ""
    raise NotFoundError(f"There is no alternative {name}.", hint=f"There are: {names}.{why}")


def codes_of(ground: UnifiedGround, proposal: Proposal) -> Codes:
    """Return the code of each unified grid: the reference's where it continues one, else a new one.

    Where all codes of the reference are grid codes (15 digits), a new one goes on with the serials of the community it has most land of;
    else N and a number. New codes are given from west to east.
    """
    net = ground.atoms.nets[ground.voters[ground.reference]]
    codes = np.append(net.code, [None])[proposal.continues]
    new = np.flatnonzero(proposal.continues == NOBODY)
    if not len(new):
        return codes
    at = np.stack([proposal.sums(ground.atoms.area_m2 * xy) for xy in _middles(ground)], axis=1)[new]
    at /= proposal.sums(ground.atoms.area_m2)[new][:, None]
    width = DEFAULT_SCHEME.length
    if not all(len(code) == width and code.isascii() and code.isdigit() for code in net.code):
        taken = set(net.code)
        free = (code for k in itertools.count(1) if (code := f"N{k:05d}") not in taken)
        codes[new[np.lexsort((-at[:, 1], at[:, 0]))]] = list(itertools.islice(free, len(new)))
        return codes
    community = _communities(ground, proposal, net)
    for name in sorted(set(community[new])):
        here = np.flatnonzero(community[new] == name)
        # a file does not say which codes were given before: none below the highest is taken to be free
        used = [int(code[DEFAULT_SCHEME.community_length :]) for code in net.code if code.startswith(name)]
        below = range(DEFAULT_SCHEME.first_serial, max(used, default=0) + 1)
        serials = number_west_to_east(at[here, 0], at[here, 1], below, scheme=DEFAULT_SCHEME)
        codes[new[here]] = [format(name, int(serial)) for serial in serials]
    return codes


def _middles(ground: UnifiedGround) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    middle = shapely.centroid(ground.atoms.geometry)
    return shapely.get_x(middle), shapely.get_y(middle)


def _communities(ground: UnifiedGround, proposal: Proposal, net: Net) -> Codes:
    """Return the community whose land each unified grid has most of, by the codes of the reference's grids."""
    prefix = np.array([code[: DEFAULT_SCHEME.community_length] for code in net.code], dtype=object)
    names, of_row = np.unique(prefix.astype(str), return_inverse=True)
    row = ground.owner[:, ground.reference]
    held = row != NOBODY
    group, community = largest(proposal.group[held], of_row.ravel()[row[held]], ground.weight[held])
    answer = np.full(len(proposal), None, dtype=object)
    answer[group] = names[community]
    # land the reference holds nothing of: the community of the nearest grid it has
    lost = np.flatnonzero(pd.isna(answer))
    if len(lost):
        points = shapely.point_on_surface(proposal.geometry(ground)[lost])
        answer[lost] = prefix[shapely.STRtree(net.geometry).nearest(points)]
    return answer


def cost_tables(found: Sequence[PricedProposal]) -> dict[str, pd.DataFrame]:
    """Return ``costs``, a row for each alternative, and ``changes``, a row for each alternative and network."""
    costs, networks = [], []
    for each in found:
        row = asdict(each.cost)
        for network in row.pop("networks"):
            networks.append({"alternative": each.proposal.name, **network})
        costs.append({"alternative": row.pop("name"), **{key: _rounded(value) for key, value in row.items()}})
    return {"costs": pd.DataFrame(costs), "changes": pd.DataFrame(networks)}


def _rounded(value: object) -> object:
    return round(value, 1) if isinstance(value, float) else value


def crosswalk_table(ground: UnifiedGround, found: Sequence[PricedProposal]) -> pd.DataFrame:
    """Return how the grids of every network lie in those of every alternative, weighed by people (area where nobody lives)."""
    frames = []
    for each in found:
        net = Net(UNIFIED, each.code, each.geometry, np.full(len(each.code), ""), np.full(len(each.code), None))
        owner = np.column_stack([ground.owner, each.proposal.group])
        nets = (*(ground.atoms.nets[n] for n in ground.voters), net)
        atoms = replace(ground.atoms, nets=nets, owner=owner)
        for k, network in enumerate(ground.names):
            walk = crosswalk(atoms, k, len(nets) - 1, ground.people if ground.people.any() else None)
            frames.append(
                pd.DataFrame(
                    {
                        "alternative": each.proposal.name,
                        "network": network,
                        "code": np.append(nets[k].code, [None])[walk.from_row],
                        "unified_code": each.code[walk.to_row],
                        "area_m2": np.round(walk.area_m2, 2),
                        "weight": walk.weight if ground.people.any() else np.round(walk.weight, 2),
                        "share": walk.from_share,
                        "unified_share": walk.to_share,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def fate_table(ground: UnifiedGround, found: Sequence[PricedProposal]) -> pd.DataFrame:
    """Return what becomes of every grid of every network in every alternative, and the grid that continues it."""
    frames = []
    for each in found:
        for k, n in enumerate(ground.voters):
            net = ground.atoms.nets[n]
            fate, unchanged, nested = fates(ground, each.proposal, k)
            frames.append(
                pd.DataFrame(
                    {
                        "alternative": each.proposal.name,
                        "network": net.name,
                        "code": net.code,
                        "name": net.title,
                        "fate": np.where([f in FATES for f in fate], fate, "lost"),
                        "is_unchanged": unchanged,
                        "is_nested": nested,
                        "continued_by": np.append(each.code, [None])[each.proposal.matched[k]],
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def proposal_layers(ground: UnifiedGround, found: Sequence[PricedProposal], epsg: int) -> dict[str, gpd.GeoDataFrame]:
    """Return for each alternative its net (under its name) and the land where somebody changes grid (``NAME_moved``)."""
    layers = {}
    atoms = coverage_to_storage(ground.atoms.geometry, epsg)
    reference = ground.atoms.nets[ground.voters[ground.reference]]
    for each in found:
        proposal = each.proposal
        columns: dict[str, object] = {
            "code": each.code,
            "name": np.append(reference.title, [""])[proposal.continues],
            "is_new": proposal.continues == NOBODY,
            "area_m2": np.round(proposal.sums(ground.atoms.area_m2), 2),
            "people": np.round(proposal.sums(ground.people), 3),
        }
        if ground.households is not None:
            columns["households"] = np.round(proposal.sums(ground.households), 3)
        net = gpd.GeoDataFrame(columns, geometry=each.geometry, crs=STORAGE_EPSG)
        layers[proposal.name] = net.sort_values("code", kind="stable", ignore_index=True)
        moved = people_moved(ground, proposal)
        here = np.flatnonzero(moved.any(axis=1) & (ground.people > 0))
        before = {
            name: np.append(ground.atoms.nets[n].code, [None])[ground.owner[here, k]]
            for k, (name, n) in enumerate(zip(ground.names, ground.voters, strict=True))
        }
        rows = {
            "unified_code": each.code[proposal.group[here]],
            "people": np.round(ground.people[here], 3),
            "changes_in": [
                ", ".join(n for n, yes in zip(ground.names, row, strict=True) if yes) for row in moved[here]
            ],
            **before,
        }
        layers[f"{proposal.name}_moved"] = gpd.GeoDataFrame(rows, geometry=atoms[here], crs=STORAGE_EPSG)
    return layers
