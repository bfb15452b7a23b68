"""Edit a draft by hand: split, merge, move a border, a building or a unit grid; undo, redo, and read the steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gridsvc.services import redraw_edits as editing
from gridsvc.web.api.redraws import DRAFTERS, RedrawGrids
from gridsvc.web.callers import caller, now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import Datum, Degrees, Text
from gridsvc.web.routing import Answer, Endpoints

redraw_edits = Blueprint("redraw_edits", __name__)
endpoints = Endpoints(redraw_edits)

MAX_VERTICES = 2_000

Network = Annotated[
    Literal["urban", "social", "security", "unified"],
    Field(description="urban: unit grids; social: governance grids; security."),
]
GridCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{15}$")]
Line = Annotated[
    list[tuple[Degrees, Degrees]],
    Field(min_length=2, max_length=MAX_VERTICES, description="Longitude, latitude pairs in the datum declared."),
]


class _Edit(BaseModel):
    """What every edit may say."""

    model_config = ConfigDict(extra="forbid")

    after_step: int | None = Field(
        None, ge=0, description="Last step seen (0: none); 409 when somebody else made another since."
    )


class _Drawn(_Edit):
    """What every edit by a line says."""

    network: Network
    line: Line
    datum: Datum
    around_buildings: bool = Field(False, description="Lead the line around buildings instead of refusing it.")
    snap_m: float | None = Field(None, ge=0, le=20, allow_inf_nan=False, description="Default 2. Unit: m.")


class SplitBody(_Drawn):
    """A line across a grid, from border to border."""

    code: GridCode
    along_units: bool = Field(False, description="Of a governance grid: cut no unit grid, move whole ones.")


class MergeBody(_Edit):
    """Grids that become one."""

    network: Network
    codes: list[GridCode] = Field(min_length=2, max_length=100)


class MoveBorderBody(_Drawn):
    """A line from one point of the shared border to another, in place of the border between."""

    first: GridCode
    second: GridCode


class MoveBuildingBody(_Edit):
    """A building and the neighbouring grid that receives it."""

    building: Annotated[Text, Field(min_length=1, max_length=100, description="Residence code.")]
    network: Network
    to: GridCode
    with_attached: bool = Field(False, description="Also move the buildings standing wall to wall with it.")


class MoveUnitBody(_Edit):
    """A unit grid and the governance grid that receives it."""

    code: GridCode
    to: GridCode


class GridName(BaseModel):
    """A grid, named."""

    network: str
    code: str


class Snapped(BaseModel):
    """A drawn vertex and where it was put; positions are EPSG:4490."""

    given: tuple[float, float]
    placed: tuple[float, float]
    onto: Literal["vertex", "line", "border"]
    moved_m: float


class Changes(BaseModel):
    """What an edit changed; ``gained_vertices`` have the same land with more vertices."""

    retired: list[GridName]
    new: list[GridName]
    reshaped: list[GridName]
    regrouped: list[GridName] = Field(description="Unit grids now in another governance grid.")
    gained_vertices: list[GridName]


class Edited(BaseModel):
    """What a step did to the draft."""

    redraw_id: str
    step_no: int
    operation: str = Field(description="split, merge, move-border, move-building, move-unit, undo or redo.")
    changes: Changes
    snapped: list[Snapped]
    grids: RedrawGrids = Field(description="The changed grids as they are now, EPSG:4490.")


class Step(BaseModel):
    """One step of a draft."""

    step_no: int
    operation: str
    parameters: dict[str, Any]
    changes: Changes
    snapped: list[Snapped]
    made_by: str
    made_at: datetime
    undone_by: str | None
    undone_at: datetime | None


class Steps(BaseModel):
    """The steps of a draft in order, undone ones included."""

    steps: list[Step]


def _answer(step: editing.EditStep) -> Response:
    grids = json.loads(step.grids.drop(columns="geometry").to_json(orient="records"))
    shapes = [shape.__geo_interface__ for shape in step.grids.geometry]
    features = [
        {"type": "Feature", "id": f"{row['network']}:{row['code']}", "geometry": shape, "properties": row}
        for row, shape in zip(grids, shapes, strict=True)
    ]
    return json_answer(
        {
            "redraw_id": step.redraw_id,
            "step_no": step.step_no,
            "operation": step.operation,
            "changes": {name: getattr(step, name) for name in Changes.model_fields},
            "snapped": step.snapped,
            "grids": {"type": "FeatureCollection", "features": features},
        }
    )


def _edit(
    redraw_id: UUID, work: Callable[[editing.DraftEditor], editing.EditStep], after_step: int | None = None
) -> Response:
    with open_uow() as uow:
        editor = editing.DraftEditor(uow, str(redraw_id), by=caller().login, at=now(), after_step=after_step)
        step = work(editor)
        uow.commit()
    return _answer(step)


def _declared(summary: str, **more: Any) -> dict[str, Any]:
    answers = {200: Answer("What changed, with the changed grids.", Edited)}
    return {"summary": summary, "tag": "redraws", "roles": DRAFTERS, "answers": answers, "refusals": (404, 409), **more}


@endpoints.post("/redraws/<uuid:redraw_id>:split", body=SplitBody, **_declared("Split a grid by a line"))
def split_grid(redraw_id: UUID, body: SplitBody) -> Response:
    """Split a grid of a draft by a line that crosses it.

    The part with most households keeps the code. Vertices of the line are snapped to grid vertices, streets, walls, water and grid
    borders; a line through a building is refused unless it may be led around.
    """
    return _edit(
        redraw_id,
        lambda editor: editor.split(
            body.network,
            body.code,
            body.line,
            body.datum,
            along_units=body.along_units,
            around_buildings=body.around_buildings,
            snap_m=body.snap_m,
        ),
        body.after_step,
    )


@endpoints.post("/redraws/<uuid:redraw_id>:merge", body=MergeBody, **_declared("Merge grids"))
def merge_grids(redraw_id: UUID, body: MergeBody) -> Response:
    """Merge neighbouring grids of a draft: unit grids of one governance grid, or governance grids of one community.

    The largest keeps its code.
    """
    return _edit(redraw_id, lambda editor: editor.merge(body.network, body.codes), body.after_step)


@endpoints.post("/redraws/<uuid:redraw_id>:move-border", body=MoveBorderBody, **_declared("Move a shared border"))
def move_border(redraw_id: UUID, body: MoveBorderBody) -> Response:
    """Replace a stretch of the border between two grids of a draft; both change together."""
    return _edit(
        redraw_id,
        lambda editor: editor.move_border(
            body.network,
            body.first,
            body.second,
            body.line,
            body.datum,
            around_buildings=body.around_buildings,
            snap_m=body.snap_m,
        ),
        body.after_step,
    )


@endpoints.post("/redraws/<uuid:redraw_id>:move-building", body=MoveBuildingBody, **_declared("Move a building"))
def move_building(redraw_id: UUID, body: MoveBuildingBody) -> Response:
    """Move a building, with the smallest sensible land around it, into a neighbouring grid of a draft."""
    return _edit(
        redraw_id,
        lambda editor: editor.move_building(body.building, body.network, body.to, with_attached=body.with_attached),
        body.after_step,
    )


@endpoints.post("/redraws/<uuid:redraw_id>:move-unit", body=MoveUnitBody, **_declared("Move a unit grid"))
def move_unit(redraw_id: UUID, body: MoveUnitBody) -> Response:
    """Move a unit grid of a draft into a neighbouring governance grid of its community."""
    return _edit(redraw_id, lambda editor: editor.move_unit(body.code, body.to), body.after_step)


@endpoints.post("/redraws/<uuid:redraw_id>:undo", **_declared("Undo the last step"))
def undo_step(redraw_id: UUID) -> Response:
    """Undo the last step of a draft that holds; its grids are back to the last bit."""
    return _edit(redraw_id, lambda editor: editor.undo())


@endpoints.post("/redraws/<uuid:redraw_id>:redo", **_declared("Do an undone step again"))
def redo_step(redraw_id: UUID) -> Response:
    """Do again the step undone last; not after another edit was made instead."""
    return _edit(redraw_id, lambda editor: editor.redo())


@endpoints.get(
    "/redraws/<uuid:redraw_id>/steps",
    summary="The steps of a draft",
    tag="redraws",
    roles=DRAFTERS,
    answers={200: Answer("In order, undone ones included.", Steps)},
    refusals=(404,),
)
def list_steps(redraw_id: UUID) -> Response:
    """List what was done to a draft by hand, by whom and when."""
    with open_uow() as uow:
        steps = editing.list_steps(uow, str(redraw_id))
    return json_answer({"steps": [step | {"snapped": step["changes"].pop("snapped")} for step in steps]})
