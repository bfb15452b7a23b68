"""Edit the grids of a draft by hand: apply operations, undo and redo them, read the steps.

A draft to edit begins as a copy (`services.redraw_drafting.draft_copy`) or any other way. Every step is recorded with the rows it
changed as they were and as they became. Nobody works by a draft, so a step never touches grids in force; what an approval brings about
is the matter of `services.redraws`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.division.editable_grids import EditRules, GridChange, GridRef, SnappedVertex
from gridsvc.division.editing import Edited, merge, move_border, move_building, move_unit, split
from gridsvc.errors import ConflictError, RequestInvalidError
from gridsvc.geo.datums import check_lonlat, convert
from gridsvc.geo.grid_codes import format, number_west_to_east, parse
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.services.redraw_edit_rows import EditedDraft, rows_changed
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class EditStep:
    """What a step (or undoing or redoing it) changed in a draft.

    ``retired`` to ``gained_vertices`` name grids as ``{"network", "code"}``; ``snapped`` says for each drawn vertex that was put onto
    something ``given``, ``placed`` (lon, lat, EPSG:4490), ``onto`` (vertex, line or border) and ``moved_m``. ``grids`` holds the changed
    grids as they are now, EPSG:4490.
    """

    redraw_id: str
    step_no: int
    operation: str
    retired: list[dict[str, str]]
    new: list[dict[str, str]]
    reshaped: list[dict[str, str]]
    regrouped: list[dict[str, str]]
    gained_vertices: list[dict[str, str]]
    snapped: list[dict[str, Any]]
    grids: gpd.GeoDataFrame


class DraftEditor:
    """Operations on one draft, in the name of one person at one instant; the caller commits after each.

    Grids are named by network and code. Every operation raises what the operation of the same name in
    ``gridsvc.division.editing`` raises, and beside it ``NotFoundError`` (no such redraw), ``ConflictError`` (no draft any more, or another
    step came first) and ``RequestInvalidError`` (a network the draft is not about). Nothing is changed then.

    Parameters
    ----------
    after_step
        The number of the step that the caller saw as the last one that holds (0: none); another one now is a conflict. None: whatever
        it is.
    """

    def __init__(
        self, uow: UnitOfWork, redraw_id: str, *, by: str, at: datetime, after_step: int | None = None
    ) -> None:
        self.uow, self.redraw_id, self.by, self.at = uow, redraw_id, by, at
        self.redraw = uow.redraw_steps.lock(redraw_id)
        self.redraw_id = str(self.redraw["redraw_id"])
        self.steps = uow.redraw_steps.list(redraw_id)
        last = max((step["step_no"] for step in self.steps if step["undone_at"] is None), default=0)
        if after_step is not None and after_step != last:
            raise ConflictError(
                f"The last step of redraw {redraw_id} is {last}, not {after_step}: somebody else edited it.",
                hint="Read the draft again, then repeat the edit if it is still wanted.",
                last_step=last,
            )

    def split(
        self,
        network: str,
        code: str,
        line: Sequence[Sequence[float]],
        datum: str,
        *,
        along_units: bool = False,
        around_buildings: bool = False,
        snap_m: float | None = None,
    ) -> EditStep:
        """Split a grid by a line of (lon, lat) in ``datum``."""
        asked = {
            "network": network, "code": code, "line": _listed(line), "datum": datum, "along_units": along_units,
            "around_buildings": around_buildings, "snap_m": snap_m,
        }  # fmt: skip

        def apply(draft: EditedDraft) -> Edited:
            return split(
                draft.grids,
                draft.ref(network, code),
                _metric(line, datum, draft.epsg),
                free_codes=self._free_codes(draft),
                along_units=along_units,
                around_buildings=around_buildings,
                rules=_rules(snap_m),
            )

        return self._apply("split", asked, network, [code], apply)

    def merge(self, network: str, codes: Sequence[str]) -> EditStep:
        """Merge grids of one network."""
        asked = {"network": network, "codes": list(codes)}
        return self._apply(
            "merge", asked, network, codes, lambda d: merge(d.grids, [d.ref(network, code) for code in codes])
        )

    def move_border(
        self,
        network: str,
        first: str,
        second: str,
        line: Sequence[Sequence[float]],
        datum: str,
        *,
        around_buildings: bool = False,
        snap_m: float | None = None,
    ) -> EditStep:
        """Replace a stretch of the border between two grids by a line of (lon, lat) in ``datum``."""
        asked = {
            "network": network, "first": first, "second": second, "line": _listed(line), "datum": datum,
            "around_buildings": around_buildings, "snap_m": snap_m,
        }  # fmt: skip

        def apply(draft: EditedDraft) -> Edited:
            return move_border(
                draft.grids,
                draft.ref(network, first),
                draft.ref(network, second),
                _metric(line, datum, draft.epsg),
                around_buildings=around_buildings,
                rules=_rules(snap_m),
            )

        return self._apply("move-border", asked, network, [first, second], apply)

    def move_building(self, building: str, network: str, to: str, *, with_attached: bool = False) -> EditStep:
        """Move a building (residence code) with its land into a neighbouring grid."""
        asked = {"building": building, "network": network, "to": to, "with_attached": with_attached}
        return self._apply(
            "move-building",
            asked,
            network,
            [to],
            lambda d: move_building(d.grids, building, d.ref(network, to), with_attached=with_attached),
        )

    def move_unit(self, code: str, to: str) -> EditStep:
        """Move a unit grid into a neighbouring governance grid of its community."""
        asked = {"code": code, "to": to}
        return self._apply(
            "move-unit",
            asked,
            "urban",
            [code],
            lambda d: move_unit(d.grids, d.ref("urban", code), d.ref("social", to)),
        )

    def undo(self) -> EditStep:
        """Undo the last step that holds."""
        held = [step for step in self.steps if step["undone_at"] is None]
        if not held:
            raise ConflictError(
                f"Redraw {self.redraw_id} has no step to undo.", hint="Discard the draft to give it up."
            )
        step = held[-1]
        self.uow.redraw_steps.undo(self.redraw_id, step["step_no"], by=self.by, at=self.at)
        grids, _ = self.uow.redraw_steps.grids_of(self.redraw_id, step["step_no"])
        backwards = dict(step["changes"], retired=step["changes"]["new"], new=step["changes"]["retired"])
        return EditStep(self.redraw_id, step["step_no"], "undo", **backwards, grids=grids)

    def redo(self) -> EditStep:
        """Do again the step undone last; not after another edit was made instead."""
        last = max((step["step_no"] for step in self.steps if step["undone_at"] is None), default=0)
        undone = [step for step in self.steps if step["undone_at"] is not None and step["step_no"] > last]
        if not undone:
            raise ConflictError(f"Redraw {self.redraw_id} has no undone step to do again.")
        step = undone[0]
        self.uow.redraw_steps.redo(self.redraw_id, step["step_no"])
        _, grids = self.uow.redraw_steps.grids_of(self.redraw_id, step["step_no"])
        return EditStep(self.redraw_id, step["step_no"], "redo", **step["changes"], grids=grids)

    def _apply(
        self,
        operation: str,
        asked: Mapping[str, Any],
        network: str,
        codes: Sequence[str],
        apply: Callable[[EditedDraft], Edited],
    ) -> EditStep:
        self._require_network(network)
        draft = EditedDraft.read(self.uow, self.redraw, network, codes, self.at)
        grids, change = apply(draft)
        before, after = rows_changed(draft, grids, change)
        changes = _changes(draft, change)
        step_no = self.uow.redraw_steps.add(
            self.redraw_id,
            operation,
            parameters=asked,
            changes=changes,
            before=before,
            after=after,
            by=self.by,
            at=self.at,
        )
        return EditStep(self.redraw_id, step_no, operation, **changes, grids=after)

    def _require_network(self, network: str) -> None:
        if network not in self.redraw["networks"]:
            raise RequestInvalidError(
                f"Redraw {self.redraw_id} is not about the network {network}.",
                hint=f"It is about {', '.join(self.redraw['networks'])}.",
                errors=[{"field": "network", "code": "not-in-redraw", "message": f"not {network}"}],
            )
        if network == "unified":
            raise ConflictError(
                "Unified grids are not drawn by hand: they follow from the grids they were merged from.",
                hint="Edit those, then merge again.",
            )

    def _free_codes(self, draft: EditedDraft) -> Callable[[str, str, int], list[str]]:
        def free(kind: str, community: str, wanted: int) -> list[str]:
            network = draft.network_of[kind]
            used = self.uow.grids.used_codes(network, [community])
            serials = number_west_to_east(np.arange(wanted), np.zeros(wanted), [parse(code).serial for code in used])
            return [format(community, int(serial)) for serial in serials]

        return free


def list_steps(uow: UnitOfWork, redraw_id: str) -> list[dict[str, Any]]:
    """Return the steps of a redraw in order: step_no, operation, parameters, changes, made_by, made_at, undone_by, undone_at."""
    return uow.redraw_steps.list(redraw_id)


def _rules(snap_m: float | None) -> EditRules:
    return EditRules() if snap_m is None else replace(EditRules(), snap_m=snap_m)


def _listed(line: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[float(lon), float(lat)] for lon, lat in line]


def _metric(line: Sequence[Sequence[float]], datum: str, epsg: int) -> np.ndarray:
    """Return positions of a declared datum in metres. Shape: (n, 2)."""
    given = np.asarray(_listed(line), dtype=np.float64).reshape(-1, 2)
    check_lonlat(given[:, 0], given[:, 1], field="line")
    lon, lat = convert(given[:, 0], given[:, 1], datum, "cgcs2000")
    return shapely.get_coordinates(to_metric(shapely.points(lon, lat), epsg))


def _changes(draft: EditedDraft, change: GridChange) -> dict[str, Any]:
    def named(refs: tuple[GridRef, ...]) -> list[dict[str, str]]:
        return [{"network": draft.network_of[ref.kind], "code": ref.code} for ref in refs]

    return {
        "retired": named(change.retired),
        "new": named(change.new),
        "reshaped": named(change.reshaped),
        "regrouped": named(change.regrouped),
        "gained_vertices": named(change.gained_vertices),
        "snapped": [_snap(snap, draft.epsg) for snap in change.snapped],
    }


def _snap(snap: SnappedVertex, epsg: int) -> dict[str, Any]:
    ends = np.array([snap.given, snap.placed])
    given, placed = shapely.get_coordinates(to_storage(shapely.points(ends), epsg)).tolist()
    moved_m = float(np.hypot(*(ends[1] - ends[0])))
    return {"given": given, "placed": placed, "onto": snap.onto, "moved_m": round(moved_m, 3)}
