"""Who answers for the grids of a redraw: those on a code that survives stay, a new grid goes to its largest predecessor's worker.

Deterministic: everything is ordered by code first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Descent:
    """One predecessor of a new grid: its code, and the households and ground they share (m2)."""

    old_code: str
    new_code: str
    households: int
    area_m2: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody on a grid: worker, role, whether the responsible one."""

    worker_code: str
    grid_code: str
    role: str
    is_primary: bool


@dataclass(frozen=True, slots=True)
class Inherited:
    """A worker who goes on from an old grid to a new one, in the same role."""

    worker_code: str
    role: str
    is_primary: bool
    old_code: str
    new_code: str


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Who goes on where, ordered by new grid, role, worker; and the new grids nobody answers for, with the reason."""

    inherited: tuple[Inherited, ...]
    vacant: dict[str, str]


def inherit_grids(
    old_codes: Iterable[str],
    new_codes: Iterable[str],
    descents: Iterable[Descent],
    holders: Iterable[Holder],
    capacity: Mapping[str, int],
    held_elsewhere: Mapping[str, int],
) -> Inheritance:
    """Return who goes on to which new grid of a redraw.

    * Whoever is on a code that is there before and after stays there: such codes are not in the answer.
    * The responsible worker of the predecessor with most households on a new grid (most ground where nobody lives)
      inherits it, as long as that worker holds fewer grids than the capacity. Larger shares are served first.
    * The others of a grid that is gone (leader, part-time worker, adviser) follow its households to the successor that has
      most of them, in the same role; a second leader of a grid is left free. Deputies are appointed anew.

    Parameters
    ----------
    old_codes, new_codes
        All grids of the redrawn communities before and after.
    descents
        The lineage between them.
    holders
        Who was on the old grids, deputies included.
    capacity
        Grids each worker can hold; a worker who is not listed has left and inherits nothing.
    held_elsewhere
        Grids each worker holds outside the redrawn communities, other than as a deputy.
    """
    before, after = set(old_codes), set(new_codes)
    holders = sorted(holders, key=lambda h: (h.grid_code, not h.is_primary, h.role, h.worker_code))
    working = [h for h in holders if h.role != "deputy"]
    staying = {(h.grid_code, h.worker_code) for h in working if h.grid_code in before & after}
    held = dict(held_elsewhere)
    for _, worker in staying:
        held[worker] = held.get(worker, 0) + 1
    inherited, vacant = _primaries(sorted(after - before), _largest(descents, "new_code"), working, capacity, held)
    taken = staying | {(row.new_code, row.worker_code) for row in inherited}
    led = {h.grid_code for h in working if h.role == "leader" and h.grid_code in after}
    successor = _largest(descents, "old_code")
    for holder in working:
        heirs = successor.get(holder.grid_code, [])
        if holder.is_primary or holder.grid_code in after or not heirs or holder.worker_code not in capacity:
            continue
        new_code = heirs[0].new_code
        if (new_code, holder.worker_code) in taken or (holder.role == "leader" and new_code in led):
            continue
        taken.add((new_code, holder.worker_code))
        if holder.role == "leader":
            led.add(new_code)
        inherited.append(Inherited(holder.worker_code, holder.role, False, holder.grid_code, new_code))
    inherited.sort(key=lambda row: (row.new_code, not row.is_primary, row.role, row.worker_code))
    return Inheritance(tuple(inherited), vacant)


def _primaries(
    fresh: list[str],
    predecessors: dict[str, list[Descent]],
    working: list[Holder],
    capacity: Mapping[str, int],
    held: dict[str, int],
) -> tuple[list[Inherited], dict[str, str]]:
    """Return who inherits the responsibility for each new code; ``held`` is brought up to date."""
    primary = {h.grid_code: h.worker_code for h in working if h.is_primary}
    inherited: list[Inherited] = []
    vacant: dict[str, str] = {}

    def claim(code: str) -> tuple[int, float, str]:
        largest = predecessors[code][0]
        return -largest.households, -largest.area_m2, code

    for code in sorted((c for c in fresh if c in predecessors), key=claim):
        old = predecessors[code][0].old_code
        worker = primary.get(old)
        if worker is None:
            vacant[code] = f"its largest predecessor {old} had no responsible worker"
        elif worker not in capacity:
            vacant[code] = f"{worker}, who answered for {old}, has left"
        elif held.get(worker, 0) >= capacity[worker]:
            vacant[code] = f"{worker}, who answered for {old}, holds {held[worker]} grids, as many as possible"
        else:
            held[worker] = held.get(worker, 0) + 1
            inherited.append(Inherited(worker, "full_time", True, old, code))
    vacant |= {code: "it has no predecessor" for code in fresh if code not in predecessors}
    return inherited, dict(sorted(vacant.items()))


def _largest(descents: Iterable[Descent], by: str) -> dict[str, list[Descent]]:
    """Return the descents of each code, the one with most households first, then most ground, then the lowest codes."""
    found: dict[str, list[Descent]] = {}
    for descent in descents:
        found.setdefault(getattr(descent, by), []).append(descent)
    for rows in found.values():
        rows.sort(key=lambda d: (-d.households, -d.area_m2, d.old_code, d.new_code))
    return found
