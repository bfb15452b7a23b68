"""Alternatives of one net for networks of files and of what is stored, without storing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.networks.crosswalk import counts_by_atom
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import TOLERANCE_M, Overlay, overlay
from gridsvc.networks.unified import HouseholdBounds
from gridsvc.networks.unified_ground import unified_ground
from gridsvc.progress import SILENT, Progress
from gridsvc.services.comparing_networks import NetworkReport, metric_shapes, numbers_of, read_points
from gridsvc.services.network_sources import SourceNets
from gridsvc.services.unified_tables import cost_tables, crosswalk_table, fate_table, priced, proposal_layers

Floats = NDArray[np.float64]

_DEDICATED = "dedicated grids"


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """A file of points (residences, events): its datum, the column of how many people each counts (None: 1) and that of households (None: not known)."""

    path: Path
    datum: str | None
    count: str | None = None
    households: str | None = None


def unify_networks(
    given: SourceNets,
    *,
    reference: str,
    tolerance_m: float = TOLERANCE_M,
    people: PeopleFile | None = None,
    lines: Path | None = None,
    lines_datum: str | None = None,
    dedicated: Path | None = None,
    dedicated_datum: str | None = None,
    bounds: HouseholdBounds | None = None,
    progress: Progress = SILENT,
) -> NetworkReport:
    """Return the alternatives of one net for several networks.

    Tables: ``costs`` of each alternative, ``changes`` with the costs in each network, ``grids`` with what becomes of each grid, ``crosswalk``,
    ``sums`` of the people given and placed. Layers: each alternative under its name, and ``NAME_moved`` where somebody changes grid.

    Parameters
    ----------
    reference
        Name of the network whose codes are kept.
    people
        Who lives where; by default nobody counts and only land decides.
    lines, lines_datum
        File of streets, walls and water that borders should lie on, and its datum.
    dedicated, dedicated_datum
        File of polygons that become grids as they are, and its datum.
    bounds
        Of the households of a grid, for ``balanced``.

    Raises
    ------
    RequestInvalidError
        When there are fewer than two networks, or the file of people holds something else than numbers from 0.
    NotFoundError
        When no network is named as the reference, or a file has no such column.
    """
    names = [net.name for net in given.nets]
    if len(names) < 2:
        raise RequestInvalidError(f"One net is made of 2 networks or more, not of {len(names)}.", field="sources")
    if reference not in names:
        raise NotFoundError(f"There is no network {reference}.", hint=f"There are: {', '.join(names)}.")
    progress.start("lay networks over each other", 4)
    drawn = None if lines is None else metric_shapes(lines, lines_datum, given.epsg)
    nets = list(given.nets)
    if dedicated is not None:
        nets.append(_dedicated(dedicated, dedicated_datum, given.epsg))
    atoms = overlay(nets, tolerance_m=tolerance_m, lines=drawn)
    progress.advance()
    counted, homes, sums = _people(people, given, atoms)
    ground = unified_ground(
        atoms,
        reference=names.index(reference),
        voters=range(len(names)),
        people=counted,
        households=homes,
        dedicated=atoms.owner[:, -1] if dedicated is not None else None,
        lines=drawn,
    )
    progress.advance()
    found = priced(ground, given.epsg, bounds=bounds)
    progress.advance()
    tables = {
        **cost_tables(found),
        "grids": fate_table(ground, found),
        "crosswalk": crosswalk_table(ground, found),
        "sums": pd.DataFrame(sums, columns=["what", "given", "placed", "unplaced"]),
    }
    layers = proposal_layers(ground, found, given.epsg)
    progress.advance()
    return NetworkReport(tables, layers)


def _dedicated(path: Path, datum: str | None, epsg: int) -> Net:
    shapes = metric_shapes(path, datum, epsg)
    return Net.of(_DEDICATED, [str(k + 1) for k in range(len(shapes))], shapes)


def _people(
    people: PeopleFile | None, given: SourceNets, atoms: Overlay
) -> tuple[Floats | None, Floats | None, list[dict[str, object]]]:
    """Return people and households of each atom, and what of the file lies in no network."""
    if people is None:
        return None, None, []
    places, counted, frame = read_points(people.path, people.datum, people.count, given.epsg)
    figures = {people.count or "points": counted}
    # without a column of households the bounds are of what is counted
    figures[people.households or people.count or "points"] = (
        counted if people.households is None else numbers_of(frame, people.households, people.path.name)
    )
    by_atom, sums = {}, []
    for what, values in figures.items():
        wrong = np.flatnonzero(values < 0)
        if len(wrong):
            raise RequestInvalidError(
                f"Row {wrong[0] + 1} of {people.path.name} counts {values[wrong[0]]:g} in {what}.",
                hint="Figures are 0 or more.",
                field=what,
            )
        by_atom[what], outside = counts_by_atom(atoms, shapely.get_x(places), shapely.get_y(places), values)
        placed = float(by_atom[what].sum())
        sums.append({"what": what, "given": float(values.sum()), "placed": placed, "unplaced": outside})
    return by_atom[people.count or "points"], by_atom[people.households or people.count or "points"], sums
