"""Grids and redraws in a real PostGIS: constraints, history, codes, location, scope."""

from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    LATER,
    SIDE,
    SOUTH,
    START,
    STREETS,
    WEST,
    community_box,
    division_frame,
    grid_frame,
    report_frame,
)
from sqlalchemy import text

from gridsvc.errors import (
    CodeDuplicateError,
    CodeMalformedError,
    ConflictError,
    CrsMismatchError,
    ForbiddenError,
    GeometryError,
    NotFoundError,
    PartitionError,
)
from gridsvc.geo.location import GridIndex
from gridsvc.store.bulk import copy_frame
from gridsvc.store.tables import grids

pytestmark = pytest.mark.postgis


def in_force(uow, frame, *, at=START, network="social", prefix=DISTRICT):
    """Draft and approve grids; return (retired, inserted, unchanged)."""
    redraw = uow.redraws.open_draft(network, prefix, "automatic", "planner", at)
    uow.redraws.put_grids(redraw, frame)
    return uow.redraws.approve(redraw, "manager", at, at, {"gap_area_m2": 0.0})


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    assert in_force(uow, grid_frame()) == (0, 8, 0)
    return uow


def test_grids_come_back_as_they_were_put(town):
    put, found = grid_frame(), town.grids.list("social", at=START)

    assert found["code"].tolist() == put["code"].tolist()
    assert found["valid_from"].eq(START).all()
    assert (
        shapely.normalize(found.geometry.to_numpy())
        == shapely.normalize([shapely.MultiPolygon([g]) for g in put.geometry])
    ).all()


def test_the_same_grids_again_stay_untouched(town):
    before = town.connection.scalars(text("SELECT grid_id FROM grids ORDER BY 1")).all()

    assert in_force(town, grid_frame(), at=LATER) == (0, 0, 8)

    assert town.connection.scalars(text("SELECT grid_id FROM grids ORDER BY 1")).all() == before


def test_a_redraw_retires_inserts_and_keeps_history(town):
    redrawn = grid_frame()
    first, second = redrawn["code"].iloc[:2]
    redrawn = redrawn[redrawn["code"] != second]
    whole = redrawn["code"] == first
    redrawn.loc[whole, "geometry"] = community_box(COMMUNITIES[0])

    assert in_force(town, redrawn, at=LATER) == (2, 1, 6)

    assert len(town.grids.list("social", at=START)) == 8
    assert len(town.grids.list("social", at=LATER)) == 7
    assert town.grids.get("social", second, at=START)["valid_to"].iloc[0] == LATER
    assert town.grids.get("social", second, at=LATER).empty
    assert town.grids.get("social", first).geometry.iloc[0].area == pytest.approx(SIDE**2)


def test_a_changed_attribute_is_another_version(town):
    assert in_force(town, grid_frame(households=401), at=LATER) == (8, 8, 0)


def test_a_grid_that_never_held_is_removed(town):
    assert in_force(town, grid_frame(parts=3)) == (8, 12, 0)

    assert town.connection.scalar(text("SELECT count(*) FROM grids")) == 12


def test_only_the_division_named_is_redrawn(town):
    assert in_force(town, grid_frame([COMMUNITIES[0]], parts=1), at=LATER, prefix=COMMUNITIES[0]) == (2, 1, 0)

    assert len(town.grids.list("social", at=LATER)) == 7
    assert len(town.grids.list("social", STREETS[1], at=LATER)) == 4


def test_an_earlier_redraw_under_a_later_one_is_refused(town):
    in_force(town, grid_frame(parts=3), at=LATER)

    with pytest.raises(ConflictError, match="change again at 2026-06-01"):
        in_force(town, grid_frame(parts=4), at=datetime(2026, 3, 1, tzinfo=UTC))


def test_retired_and_drafted_codes_stay_used(town):
    in_force(town, grid_frame(parts=1, first_serial=7), at=LATER)
    draft = town.redraws.open_draft("social", COMMUNITIES[0], "edited", "planner", LATER)
    town.redraws.put_grids(draft, grid_frame([COMMUNITIES[0]], parts=1, first_serial=9))
    town.redraws.discard(draft, "planner", LATER)

    used = town.grids.used_codes("social", [COMMUNITIES[0]])

    assert used == {f"{COMMUNITIES[0]}{serial:03d}" for serial in (1, 2, 7, 9)}


def test_a_grid_outside_the_division_is_refused(town):
    with pytest.raises(PartitionError, match="is not under"):
        in_force(town, grid_frame(), at=LATER, prefix=COMMUNITIES[0])


def test_a_decided_redraw_is_not_decided_again(town):
    redraw = town.redraws.open_draft("social", DISTRICT, "edited", "planner", LATER)
    town.redraws.discard(redraw, "manager", LATER)

    with pytest.raises(ConflictError, match="not a draft"):
        town.redraws.approve(redraw, "manager", LATER, LATER)
    assert town.redraws.list(state="discarded")["redraw_id"].tolist() == [redraw]
    with pytest.raises(NotFoundError):
        town.redraws.get("00000000-0000-0000-0000-000000000000")


def copied(uow, frame):
    """Copy grids past the repository, as the database alone would see them."""
    redraw = uow.redraws.open_draft("social", DISTRICT, "edited", "planner", START)
    return copy_frame(uow.connection, grids, frame.assign(redraw_id=redraw))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param(
            {"geometry": shapely.Polygon([(114, 30), (115, 31), (115, 30), (114, 31)])}, GeometryError, id="invalid"
        ),
        pytest.param({"geometry": shapely.Polygon()}, GeometryError, id="empty"),
        pytest.param({"geometry": shapely.LineString([(114, 30), (115, 31)])}, GeometryError, id="a line"),
        pytest.param(
            {"geometry": shapely.Polygon([(114, 30, 1), (115, 30, 1), (115, 31, 1)])},
            GeometryError,
            id="three dimensions",
        ),
        pytest.param({"community_code": COMMUNITIES[3]}, CodeMalformedError, id="code of another community"),
        pytest.param({"area_m2": 0.0}, Exception, id="no area"),
        pytest.param({"valid_to": START}, Exception, id="ends before it begins"),
    ],
)
def test_the_database_refuses_bad_grids(uow, changes, error):
    frame = grid_frame([COMMUNITIES[0]], parts=1).assign(valid_from=START, **changes).set_crs(4490, allow_override=True)

    with pytest.raises(error):
        copied(uow, frame)


def test_the_database_refuses_another_srid(uow):
    redraw = uow.redraws.open_draft("social", DISTRICT, "edited", "planner", START)
    statement = text(
        "INSERT INTO grids (network, kind, code, community_code, area_m2, geom, redraw_id, valid_from)"
        " VALUES ('social', 'governance', :code, :community, 1, ST_GeomFromText(:wkt, 4326), :redraw, now())"
    )
    bound = {
        "code": COMMUNITIES[0] + "001",
        "community": COMMUNITIES[0],
        "wkt": "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))",
        "redraw": redraw,
    }

    with pytest.raises(CrsMismatchError, match="SRID"):
        uow.connection.execute(statement, bound)


def test_a_unit_grid_is_of_one_piece(uow):
    two = shapely.MultiPolygon([shapely.box(114, 30, 114.1, 30.1), shapely.box(115, 30, 115.1, 30.1)])

    with pytest.raises(GeometryError, match="several parts"):
        copied(
            uow, grid_frame([COMMUNITIES[0]], parts=1, kind="unit").assign(valid_from=START, geometry=two).set_crs(4490)
        )


def test_the_database_refuses_a_code_twice_at_an_instant(uow):
    frame = grid_frame([COMMUNITIES[0]], parts=1).assign(valid_from=START)
    copied(uow, frame.assign(valid_to=LATER))

    with pytest.raises(ConflictError, match="hold at the same time"):
        copied(uow, frame.assign(valid_from=datetime(2026, 5, 31, tzinfo=UTC)))


def test_a_code_may_hold_again_from_the_instant_it_ended(uow):
    frame = grid_frame([COMMUNITIES[0]], parts=1).assign(valid_from=START)

    assert copied(uow, frame.assign(valid_to=LATER)) == 1
    assert copied(uow, frame.assign(valid_from=LATER)) == 1


def test_repeated_codes_in_a_draft_are_refused(town):
    redraw = town.redraws.open_draft("social", DISTRICT, "edited", "planner", LATER)

    with pytest.raises(CodeDuplicateError, match="come twice"):
        town.redraws.put_grids(redraw, grid_frame(code=f"{COMMUNITIES[0]}001"))


def points_that_hurt(grids_now, count=200):
    """Return points inside, on shared edges, on corners, an ulp beside an edge, and outside."""
    rng = np.random.default_rng(5)
    inside = rng.random((count, 2)) * [2 * SIDE, 2 * SIDE] + [WEST, SOUTH]
    corners = np.unique(shapely.get_coordinates(grids_now.geometry.to_numpy()), axis=0)
    along = (
        corners[rng.integers(len(corners), size=count)] * 0.5 + corners[rng.integers(len(corners), size=count)] * 0.5
    )
    beside = np.nextafter(corners, corners + rng.choice([-1, 1], corners.shape))
    return np.vstack([inside, corners, along, beside, [[0.0, 0.0]]])


def test_sql_and_python_give_every_point_the_same_grid(town):
    found = town.grids.list("social", at=START)
    lon, lat = points_that_hurt(found).T

    in_python = GridIndex(found["code"].tolist(), found.geometry.to_numpy()).locate(lon, lat)

    assert town.grids.locate_many_sql(lon, lat, "social", START) == [
        None if code is None else str(code) for code in in_python
    ]


def test_locate_one_answers_for_all_networks_at_an_instant(town):
    lon, lat = community_box(COMMUNITIES[2]).centroid.coords[0]
    in_force(town, grid_frame(network="urban", kind="unit", parts=4), network="urban", at=LATER)

    before, after = (town.grids.locate_one(lon, lat, at) for at in (START, LATER))

    assert before == {
        "urban": None,
        "social": f"{COMMUNITIES[2]}001",
        "security": None,
        "unified": None,
        "community": COMMUNITIES[2],
    }
    assert after["urban"] == f"{COMMUNITIES[2]}002"


def test_a_redraw_notes_the_ground_that_changed_for_later_reports(town):
    town.reports.add_frame(report_frame())
    found = town.reports.unlocated()
    since = datetime(2026, 2, 1, tzinfo=UTC)
    in_force(town, grid_frame(network="security", kind="security"), network="security", at=since)
    assert town.relocations.pending() == []  # nobody was located yet
    town.reports.set_grids(
        found[["district_code", "reported_at", "report_id"]].assign(social_grid=f"{COMMUNITIES[0]}001")
    )

    in_force(town, grid_frame(parts=3), at=since)

    noted = town.relocations.pending()
    assert [(row["network"], row["since"]) for row in noted] == [("social", since)]
    # two halves became three thirds: the outer thirds kept code and ground of a half
    west, south, east, _ = community_box(COMMUNITIES[0]).bounds
    third = (east - west) / 3
    assert not noted[0]["ground"].intersects(shapely.Point(west + third / 2, south + 0.001))
    assert noted[0]["ground"].intersects(shapely.Point(west + 1.25 * third, south + 0.001))
    assert town.reports.unlocated().empty


def test_a_redraw_after_the_last_report_notes_nothing(town):
    town.reports.add_frame(report_frame())
    found = town.reports.unlocated()
    town.reports.set_grids(found[["district_code", "reported_at", "report_id"]])

    in_force(town, grid_frame(parts=3), at=LATER)

    assert town.relocations.pending() == []


def test_a_scope_sees_and_writes_its_own_grids_only(town, open_uow):
    draft = town.redraws.open_draft("social", STREETS[1], "edited", "planner", LATER)
    with open_uow(STREETS[0]) as limited:
        assert set(limited.grids.list("social", at=START)["community_code"]) == set(COMMUNITIES[:2])
        assert limited.grids.list("social", STREETS[1], at=START).empty
        assert limited.grids.count("social", at=START) == 4
        assert limited.grids.get("social", f"{COMMUNITIES[3]}001").empty
        assert limited.grids.used_codes("social", COMMUNITIES) == limited.grids.used_codes("social", COMMUNITIES[:2])
        there = community_box(COMMUNITIES[3]).centroid.coords[0]
        assert set(limited.grids.locate_one(*there, START).values()) == {None}
        assert limited.grids.locate_many_sql(*np.array([there]).T, "social", START) == [None]
        assert draft not in limited.redraws.list()["redraw_id"].tolist()
        with pytest.raises(NotFoundError):
            limited.redraws.grids(draft)
        with pytest.raises(ForbiddenError):
            limited.redraws.open_draft("social", DISTRICT, "edited", "planner", LATER)
        with pytest.raises(ForbiddenError):
            limited.grids.put_in_force(
                grid_frame(), network="social", communities=COMMUNITIES, at=LATER, redraw_id=draft
            )
