"""Editing drafts in the store: exact as stored, undone to the last bit, codes never given twice, approved like any draft."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely

from gridsvc.errors import ConflictError, GeometryError, NotFoundError, PartitionError, RequestInvalidError
from gridsvc.geo.partitions import check_partition, is_exact
from gridsvc.geo.projections import to_metric
from gridsvc.services.dividing import divide
from gridsvc.services.redraw_drafting import draft_copy
from gridsvc.services.redraw_edits import DraftEditor, list_steps
from gridsvc.services.redraws import approve_redraw
from tests.factories.undivided_district import DISTRICT, EPSG, codes, put_district

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(days=30)
COMMUNITY, NEIGHBOUR = codes(2, 1)

pytestmark = pytest.mark.postgis


@pytest.fixture
def divided(uow):
    put_district(uow, AT, rows=1)
    divide(uow, DISTRICT, at=AT, actor="test", processes=1)
    return uow


@pytest.fixture
def draft(divided):
    return draft_copy(divided, COMMUNITY, by="planner", now=LATER)


def editor(uow, draft, **options):
    return DraftEditor(uow, draft, by="planner", at=LATER, **options)


def rows(uow, draft):
    """Return every row of a draft in a form that is equal only when every vertex is."""
    frame = uow.redraws.grids(draft)
    plain = frame.drop(columns="geometry").astype(object).where(lambda f: f.notna(), None)
    return [(*values, shape.wkb) for values, shape in zip(plain.to_numpy().tolist(), frame.geometry, strict=True)]


def across(frame, code):
    """Return a line through the middle of a grid, from south to north."""
    west, south, east, north = frame.loc[frame["code"] == code].total_bounds
    middle = (west + east) / 2
    return [(middle, south - 1e-5), (middle, north + 1e-5)]


def of(uow, draft, network):
    frame = uow.redraws.grids(draft)
    return frame[frame["network"] == network].reset_index(drop=True)


def check_exact(uow, draft):
    units, governance = of(uow, draft, "urban"), of(uow, draft, "social")
    boundary = uow.divisions.get(COMMUNITY, AT)["geometry"]
    metric = to_metric(units.geometry.to_numpy(), EPSG)
    assert is_exact(units.geometry.to_numpy()) and is_exact(governance.geometry.to_numpy())
    assert check_partition(to_metric([boundary], EPSG)[0], metric).is_exact
    assert set(units["parent_code"]) == set(governance["code"])
    for code, shape in zip(governance["code"], governance.geometry, strict=True):
        members = units[units["parent_code"] == code]
        whole = shapely.coverage_union_all(members.geometry.to_numpy())
        assert shapely.equals_exact(shapely.normalize(whole), shapely.normalize(shape).geoms[0], tolerance=0.0)
        assert members["households"].sum() == governance.loc[governance["code"] == code, "households"].item()
    assert np.allclose(units["area_m2"], shapely.area(metric))


def test_a_draft_to_edit_copies_what_is_in_force(divided, draft):
    copied = of(divided, draft, "urban")
    held = divided.grids.list("urban", COMMUNITY, LATER)

    assert copied["code"].tolist() == held["code"].tolist()
    assert shapely.equals_exact(copied.geometry.to_numpy(), held.geometry.to_numpy()).all()
    assert divided.redraws.get(draft)["origin"] == "edited"
    check_exact(divided, draft)


def test_every_operation_leaves_the_stored_draft_exact(divided, draft):
    social = of(divided, draft, "social")
    step = editor(divided, draft).split(
        "social", social["code"][0], across(social, social["code"][0]), "cgcs2000", around_buildings=True
    )
    check_exact(divided, draft)
    assert step.new and step.step_no == 1
    parts = [social["code"][0], *[grid["code"] for grid in step.new if grid["network"] == "social"]]
    merged = editor(divided, draft).merge("social", parts)
    check_exact(divided, draft)
    assert [grid["network"] for grid in merged.retired] == ["social"]
    moved = first_that_works(divided, draft)
    check_exact(divided, draft)
    assert [step["operation"] for step in list_steps(divided, draft)] == ["split", "merge", moved.operation]


def first_that_works(uow, draft):
    """Move the first unit grid that can go to another governance grid."""
    units, social = of(uow, draft, "urban"), of(uow, draft, "social")
    for code in units["code"]:
        for to in social["code"]:
            try:
                return editor(uow, draft).move_unit(code, to)
            except (ConflictError, PartitionError):
                continue
    raise AssertionError("no unit grid can move")


def test_steps_are_undone_and_done_again_to_the_last_bit(divided, draft):
    states = [rows(divided, draft)]
    units = of(divided, draft, "urban")
    editor(divided, draft).split(
        "urban", units["code"][0], across(units, units["code"][0]), "wgs84", around_buildings=True
    )
    states.append(rows(divided, draft))
    first_that_works(divided, draft)
    states.append(rows(divided, draft))

    editor(divided, draft).undo()
    assert rows(divided, draft) == states[1]
    undone = editor(divided, draft).undo()
    assert rows(divided, draft) == states[0]
    assert undone.operation == "undo" and [g["code"] for g in undone.retired]
    editor(divided, draft).redo()
    editor(divided, draft).redo()
    assert rows(divided, draft) == states[2]
    with pytest.raises(ConflictError, match="no undone step"):
        editor(divided, draft).redo()


def test_a_code_of_an_undone_step_is_not_given_again(divided, draft):
    units = of(divided, draft, "urban")
    line = across(units, units["code"][0])
    first = editor(divided, draft).split("urban", units["code"][0], line, "cgcs2000", around_buildings=True)
    editor(divided, draft).undo()
    second = editor(divided, draft).split("urban", units["code"][0], line, "cgcs2000", around_buildings=True)

    assert {g["code"] for g in first.new}.isdisjoint(g["code"] for g in second.new)
    assert second.step_no == 2
    with pytest.raises(ConflictError, match="no undone step"):
        editor(divided, draft).redo()
    assert [s["undone_by"] for s in list_steps(divided, draft)] == ["planner", None]


def test_a_code_of_a_grid_merged_away_in_a_draft_is_not_given_again(uow):
    put_district(uow, AT, rows=1)
    draft = divide(uow, DISTRICT, at=AT, actor="planner", processes=1, draft=True).redraws["unit"]
    units = of(uow, draft, "urban")
    a_pair = first_of_one_governance_grid(units)
    merged = editor(uow, draft).merge("urban", a_pair)
    (kept,) = set(a_pair) - {grid["code"] for grid in merged.retired}

    step = editor(uow, draft).split(
        "urban", kept, across(of(uow, draft, "urban"), kept), "cgcs2000", around_buildings=True
    )

    assert step.new and {grid["code"] for grid in step.new}.isdisjoint(units["code"])


def first_of_one_governance_grid(units):
    """Return the codes of two neighbouring unit grids of one governance grid."""
    for _, members in units.groupby("parent_code"):
        for i, j in itertools.combinations(range(len(members)), 2):
            if shapely.intersection(*members.geometry.iloc[[i, j]]).length > 0:
                return members["code"].iloc[[i, j]].tolist()
    raise AssertionError("no neighbours")


def test_two_drafts_of_one_community_do_not_share_new_codes(divided, draft):
    other = draft_copy(divided, COMMUNITY, by="somebody", now=LATER)
    units = of(divided, draft, "urban")
    line = across(units, units["code"][0])
    here, there = (
        editor(divided, d).split("urban", units["code"][0], line, "cgcs2000", around_buildings=True)
        for d in (draft, other)
    )

    assert {g["code"] for g in here.new}.isdisjoint(g["code"] for g in there.new)


def test_a_refused_edit_changes_nothing(divided, draft):
    before = rows(divided, draft)
    units = of(divided, draft, "urban")
    code = units["code"][0]
    inside = shapely.point_on_surface(units.geometry[0])
    with pytest.raises(GeometryError, match="ends inside the grid"):
        editor(divided, draft).split("urban", code, [across(units, code)[0], (inside.x, inside.y)], "cgcs2000")
    with pytest.raises(NotFoundError):
        editor(divided, draft).merge("urban", [code, f"{COMMUNITY}999"])
    with pytest.raises(RequestInvalidError, match="security"):
        editor(divided, draft).merge("security", [code, units["code"][1]])

    assert rows(divided, draft) == before
    assert list_steps(divided, draft) == []


def test_a_building_is_moved_by_its_code(divided, draft):
    units = to_metric(of(divided, draft, "urban").geometry.to_numpy(), EPSG)
    names = of(divided, draft, "urban")["code"].to_numpy()
    residences = divided.residences.list(COMMUNITY)
    for code, shape in zip(residences["residence_code"], to_metric(residences.geometry.to_numpy(), EPSG), strict=True):
        for to in names[shapely.dwithin(units, shape, 15.0) & ~shapely.intersects(units, shape)]:
            try:
                step = editor(divided, draft).move_building(code, "urban", to)
            except (GeometryError, ConflictError):
                continue
            assert {g["code"] for g in step.reshaped if g["network"] == "urban"} > {to}
            check_exact(divided, draft)
            return
    raise AssertionError("no building could be moved")


def test_two_editors_of_one_draft_do_not_overwrite_each_other(divided, draft):
    first_that_works(divided, draft)

    with pytest.raises(ConflictError, match="somebody else edited it"):
        editor(divided, draft, after_step=0)
    assert editor(divided, draft, after_step=1).undo().step_no == 1


def test_a_draft_replaced_as_a_whole_is_not_undone_step_by_step(divided, draft):
    copied = divided.redraws.grids(draft)
    units = of(divided, draft, "urban")
    editor(divided, draft).split(
        "urban", units["code"][0], across(units, units["code"][0]), "cgcs2000", around_buildings=True
    )
    divided.redraws.put_grids(draft, copied)

    with pytest.raises(ConflictError, match="changed otherwise"):
        editor(divided, draft).undo()


def test_a_decided_draft_is_not_edited(divided, draft):
    divided.redraws.discard(draft, "manager", LATER)

    with pytest.raises(ConflictError, match="discarded"):
        editor(divided, draft)


def test_a_draft_outside_the_scope_is_not_there(divided, draft, open_uow):
    with open_uow(NEIGHBOUR) as elsewhere, pytest.raises(NotFoundError):
        DraftEditor(elsewhere, draft, by="planner", at=LATER)


def test_neighbouring_communities_of_one_draft_share_new_vertices(divided):
    draft = draft_copy(divided, DISTRICT, by="planner", now=LATER)
    units = of(divided, draft, "urban")
    beyond = units[units["community_code"] == NEIGHBOUR]
    own = units[units["community_code"] == COMMUNITY]
    code = own["code"][shapely.dwithin(own.geometry, beyond.union_all(), 1e-9)].iloc[0]
    west, south, east, north = own.loc[own["code"] == code].total_bounds
    height = south + 0.4 * (north - south)

    step = editor(divided, draft).split(
        "urban", code, [(west - 1e-5, height), (east + 1e-5, height)], "cgcs2000", around_buildings=True, snap_m=0
    )

    gained = {grid["code"] for grid in step.gained_vertices if grid["network"] == "urban"}
    assert gained & set(beyond["code"])
    assert is_exact(of(divided, draft, "urban").geometry.to_numpy())
    assert is_exact(of(divided, draft, "social").geometry.to_numpy())


def test_an_edited_draft_passes_its_checks_and_is_approved_by_another_person(divided, draft):
    units, social = of(divided, draft, "urban"), of(divided, draft, "social")
    step = editor(divided, draft).split(
        "social", social["code"][0], across(social, social["code"][0]), "cgcs2000", around_buildings=True
    )
    first_that_works(divided, draft)

    approve_redraw(divided, draft, by="manager", now=LATER)

    held = divided.grids.list("social", COMMUNITY, LATER)
    assert {g["code"] for g in step.new if g["network"] == "social"} <= set(held["code"])
    assert divided.grids.list("urban", COMMUNITY, AT)["code"].tolist() == units["code"].tolist()
    everywhere = divided.grids.list("urban", DISTRICT, LATER)
    assert is_exact(everywhere.geometry.to_numpy())
