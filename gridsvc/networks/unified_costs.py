"""What a proposal of a unified net costs: people and workers who change grid, grids that go, borders off streets, grids out of bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import GridsvcError
from gridsvc.networks.overlay import NOBODY
from gridsvc.networks.unified import HouseholdBounds, Proposal
from gridsvc.networks.unified_ground import UnifiedGround

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

KEPT, MERGED, SPLIT = FATES = ("kept", "merged", "split")


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """What a proposal changes in one network.

    Attributes
    ----------
    grids
        Of the network. ``kept`` + ``merged`` + ``split`` + ``lost`` of them: kept ones are continued by a unified grid (``unchanged`` of
        them with just their land), merged ones lie whole in a grid that continues another, split ones in several; lost ones have no land
        of their own (wholly under others).
    nested
        Grids that lie whole in one unified grid.
    people, people_moved
        Who live in its grids, and those of them whose home would be in a grid that does not continue theirs.
    workers, workers_moved
        Who work in its grids, and those whose grid is not continued.
    """

    network: str
    grids: int
    kept: int
    unchanged: int
    merged: int
    split: int
    lost: int
    nested: int
    people: float
    people_moved: float
    workers: int
    workers_moved: int


@dataclass(frozen=True, slots=True)
class ProposalCost:
    """What a proposal costs.

    Attributes
    ----------
    new_codes
        Unified grids that continue none of the reference network.
    people_moved
        People who would change grid in at least one network.
    workers_moved
        Over all networks.
    border_m, border_undrawn_m, border_off_lines_m, border_new_m
        Borders between unified grids; those where no network has one; those off the lines given (None when none were); those that are both.
    too_few, too_many
        Unified grids under and over the household bounds, dedicated ones left out; None where households are not known.
    """

    name: str
    grids: int
    new_codes: int
    people: float
    people_moved: float
    workers_moved: int
    border_m: float
    border_undrawn_m: float
    border_off_lines_m: float | None
    border_new_m: float | None
    too_few: int | None
    too_many: int | None
    networks: tuple[NetworkCost, ...]


def cost_of(
    ground: UnifiedGround,
    proposal: Proposal,
    *,
    workers: Mapping[str, ArrayLike] | None = None,
    bounds: HouseholdBounds | None = None,
) -> ProposalCost:
    """Return what a proposal costs.

    Parameters
    ----------
    workers
        By network, how many people work in each of its grids; networks left out have none known.

    Raises
    ------
    GridsvcError
        When there are other figures of workers than grids.
    """
    limits = bounds or HouseholdBounds()
    moved = people_moved(ground, proposal)
    networks = tuple(
        _network_cost(ground, proposal, k, moved[:, k], (workers or {}).get(name))
        for k, name in enumerate(ground.names)
    )
    borders = ground.borders
    apart = proposal.group[borders.first] != proposal.group[borders.second]
    undrawn = apart & ~borders.is_drawn
    off = borders.off_lines_m
    few = many = None
    if ground.households is not None:
        counted = np.ones(len(proposal), dtype=bool)
        counted[proposal.group[ground.dedicated[ground.block] >= 0]] = False
        homes = proposal.sums(ground.households)
        few, many = int((counted & (homes < limits.low)).sum()), int((counted & (homes > limits.high)).sum())
    return ProposalCost(
        name=proposal.name,
        grids=len(proposal),
        new_codes=int((proposal.continues == NOBODY).sum()),
        people=float(ground.people.sum()),
        people_moved=float(ground.people[moved.any(axis=1)].sum()),
        workers_moved=sum(each.workers_moved for each in networks),
        border_m=float(borders.length_m[apart].sum()),
        border_undrawn_m=float(borders.length_m[undrawn].sum()),
        border_off_lines_m=None if off is None else float(off[apart].sum()),
        border_new_m=None if off is None else float(off[undrawn].sum()),
        too_few=few,
        too_many=many,
        networks=networks,
    )


def people_moved(ground: UnifiedGround, proposal: Proposal) -> NDArray[np.bool_]:
    """Return whether who lives in each atom would change grid in each network: theirs is not continued by the unified grid there.

    Where a network has no grid nobody changes one. Shape: (atoms, voters).
    """
    columns = [
        (ground.owner[:, k] != NOBODY) & (np.append(match, -1)[ground.owner[:, k]] != proposal.group)
        for k, match in enumerate(proposal.matched)
    ]
    return np.stack(columns, axis=1)


def fates(
    ground: UnifiedGround, proposal: Proposal, voter: int
) -> tuple[NDArray[np.object_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what becomes of each grid of a voter (one of `FATES`, None without land), which are unchanged, which nested."""
    row = ground.owner[:, voter]
    size = ground.sizes()[voter]
    held = row != NOBODY
    pairs = np.unique(np.column_stack([row, proposal.group])[held], axis=0)
    met = np.bincount(pairs[:, 0], minlength=size)
    first = np.full(size, -1, dtype=np.int64)
    first[pairs[::-1, 0]] = pairs[::-1, 1]
    nested = met == 1
    match = proposal.matched[voter]
    fate = np.full(size, None, dtype=object)
    fate[met > 1] = SPLIT
    fate[nested] = MERGED
    fate[match >= 0] = KEPT
    atoms_of_row = np.bincount(row[held], minlength=size)
    atoms_of_group = np.bincount(proposal.group, minlength=len(proposal))
    unchanged = nested & (match >= 0) & (atoms_of_row == atoms_of_group[first])
    return fate, unchanged, nested


def _network_cost(
    ground: UnifiedGround, proposal: Proposal, voter: int, moved: NDArray[np.bool_], workers: ArrayLike | None
) -> NetworkCost:
    size = ground.sizes()[voter]
    fate, unchanged, nested = fates(ground, proposal, voter)
    working = np.zeros(size, dtype=np.int64) if workers is None else np.asarray(workers, dtype=np.int64)
    name = ground.names[voter]
    if working.shape != (size,):
        raise GridsvcError(f"Network {name} has {size} grids, but there are {len(working)} figures of workers.")
    return NetworkCost(
        network=name,
        grids=size,
        kept=int((fate == KEPT).sum()),
        unchanged=int(unchanged.sum()),
        merged=int((fate == MERGED).sum()),
        split=int((fate == SPLIT).sum()),
        lost=int(sum(each is None for each in fate)),
        nested=int(nested.sum()),
        people=float(ground.people[ground.owner[:, voter] != NOBODY].sum()),
        people_moved=float(ground.people[moved].sum()),
        workers=int(working.sum()),
        workers_moved=int(working[fate != KEPT].sum()),
    )
