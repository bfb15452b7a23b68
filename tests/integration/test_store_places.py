"""Residences, facilities, streets, water, barriers, walking networks and imports in a real PostGIS."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import shapely
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    LATER,
    START,
    STREETS,
    community_box,
    division_frame,
    facility_frame,
    frame,
    residence_frame,
    street_frame,
)

from gridsvc.errors import CodeDuplicateError, ForbiddenError, GeometryError, NotFoundError, RequestInvalidError

pytestmark = pytest.mark.postgis


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    return uow


def test_residences_get_the_community_they_stand_in(town):
    assert town.residences.put_frame(residence_frame(community_code="typed in")) == (8, 0)

    found = town.residences.list()

    assert found["community_code"].tolist() == [COMMUNITIES[i % 4] for i in range(8)]
    assert found["entrance_lon"].notna().tolist() == [True, False] * 4
    assert found["floors"].tolist() == [6, pd.NA] * 4 or found["floors"].isna().tolist() == [False, True] * 4
    assert town.residences.count(STREETS[0]) == 4


def test_the_same_residences_again_are_unchanged(town):
    town.residences.put_frame(residence_frame())
    moved = residence_frame()
    moved.loc[0, "households"] = 31

    assert town.residences.put_frame(residence_frame()) == (0, 8)
    assert town.residences.put_frame(moved) == (1, 7)
    assert town.residences.list()["households"].iloc[0] == 31


def test_communities_that_come_later_claim_what_stands_in_them(uow):
    uow.residences.put_frame(residence_frame())
    uow.facilities.put_frame(facility_frame())
    assert uow.residences.list()["community_code"].isna().all()

    uow.divisions.put_frame(division_frame(), START)

    assert uow.residences.count(DISTRICT) == 8
    assert uow.facilities.count(DISTRICT) == 4


def test_bad_residences_are_refused(town):
    with pytest.raises(RequestInvalidError, match="counts_not_negative"):
        town.residences.put_frame(residence_frame(households=-1))


def test_bow_ties_and_repeats_are_refused(uow):
    with pytest.raises(CodeDuplicateError):
        uow.residences.put_frame(residence_frame(residence_code="R1"))
    tie = shapely.Polygon([(114, 30), (115, 31), (115, 30), (114, 31)])
    with pytest.raises(GeometryError):
        uow.residences.put_frame(residence_frame(1).assign(geometry=[tie]).set_crs(4490, allow_override=True))


def test_facilities_keep_their_past(town):
    town.facilities.put_frame(facility_frame(), START)

    assert town.facilities.put_frame(facility_frame(name="新站"), LATER) == (4, 0)

    assert town.facilities.list(DISTRICT, at=START)["name"].unique().tolist() == ["社区服务站"]
    assert town.facilities.list(COMMUNITIES[1])["name"].tolist() == ["新站"]
    assert town.facilities.put_frame(facility_frame(name="新站"), LATER) == (0, 4)


def test_facilities_of_an_unknown_kind_are_refused(town):
    with pytest.raises(NotFoundError):
        town.facilities.put_frame(facility_frame(kind_code="none"))


def test_streets_are_found_by_box_boundary_and_division(town):
    assert town.streets.put_frame(street_frame()) == (3, 0)

    west_south = community_box(COMMUNITIES[0])

    assert town.streets.list()["street_code"].tolist() == ["S1", "S2", "S3"]
    assert town.streets.list()["is_walkable"].tolist() == [True, False, True]
    assert town.streets.list(west_south.bounds)["street_code"].tolist() == ["S1", "S3"]
    assert town.streets.list(boundary=west_south)["street_code"].tolist() == ["S1", "S3"]
    assert town.streets.list(prefix=COMMUNITIES[3])["street_code"].tolist() == ["S2"]
    assert town.streets.count(STREETS[1]) == 2
    assert town.streets.put_frame(street_frame()) == (0, 3)


def test_water_and_barriers(town):
    lake = frame({"water_code": ["L1"], "name": "湖", "kind": "lake"}, [community_box(COMMUNITIES[0]).buffer(-0.003)])
    wall = frame({"barrier_code": ["B1"], "kind": "wall"}, [shapely.LineString(community_box(COMMUNITIES[3]).exterior)])

    assert town.water.put_frame(lake) == (1, 0)
    assert town.barriers.put_frame(wall) == (1, 0)

    assert town.water.list().geometry.geom_type.tolist() == ["MultiPolygon"]
    assert town.barriers.count(COMMUNITIES[3]) == 1
    with pytest.raises(RequestInvalidError, match="kind_known"):
        town.barriers.put_frame(wall.assign(kind="hedge"))


def test_a_scope_sees_and_writes_its_own_places_only(town, open_uow):
    town.residences.put_frame(residence_frame())
    town.facilities.put_frame(facility_frame())
    town.streets.put_frame(street_frame())

    with open_uow(STREETS[1]) as limited:
        assert set(limited.residences.list()["community_code"]) == set(COMMUNITIES[2:])
        assert limited.residences.count() == 4
        assert limited.facilities.list()["facility_code"].tolist() == ["F0002", "F0003"]
        assert limited.facilities.count(STREETS[0]) == 0
        assert limited.streets.list()["street_code"].tolist() == ["S2", "S3"]
        assert limited.streets.count() == 2
        with pytest.raises(ForbiddenError):
            limited.residences.put_frame(residence_frame())
        with pytest.raises(ForbiddenError):
            limited.facilities.put_frame(facility_frame())
        with pytest.raises(ForbiddenError, match="S1 is outside"):
            limited.streets.put_frame(street_frame())


def edges():
    lines = street_frame().geometry
    return frame({"node_u": [0, 1, 2], "node_v": [1, 2, 3], "length_m": [1.0, 2.0, 3.0]}, lines)


def test_a_walking_network_is_kept_once(town):
    first = town.walk_networks.put(DISTRICT, edges(), nodes=4, components=1, built_at=START)

    assert town.walk_networks.put(DISTRICT, edges(), nodes=4, components=1, built_at=LATER) == first

    assert town.walk_networks.latest(DISTRICT)["walk_network_id"] == first
    assert town.walk_networks.latest(COMMUNITIES[0])["edges"] == 3
    assert town.walk_networks.latest("420104") is None
    assert town.walk_networks.edges(first)["length_m"].tolist() == [1.0, 2.0, 3.0]


def test_circle_runs_are_cut_to_the_scope(town, open_uow):
    town.residences.put_frame(residence_frame())
    network = town.walk_networks.put(DISTRICT, edges(), nodes=4, components=1, built_at=START)
    times = pd.DataFrame(
        {
            "residence_code": [f"R{i:04d}" for i in range(8)],
            "walk_s": [{"B601": 60.0 + i} for i in range(8)],
            "kinds_reached": 1,
        }
    )
    coverage = {"kinds": {"B601": 1.0}, "communities": {code: {"B601": 1.0} for code in COMMUNITIES}}
    run = town.circle_runs.put(
        walk_network_id=network,
        division_code=DISTRICT,
        standard="15",
        speed_m_s=1.1,
        limit_s=900.0,
        ran_at=START,
        coverage=coverage,
        times=times,
    )

    assert town.circle_runs.latest(DISTRICT)["coverage"] == coverage
    assert town.circle_runs.times(run)["walk_s"].iloc[7] == {"B601": 67.0}
    with open_uow(COMMUNITIES[1]) as limited:
        assert limited.circle_runs.latest()["coverage"] == {
            "kinds": {"B601": 1.0},
            "communities": {COMMUNITIES[1]: {"B601": 1.0}},
        }
        assert limited.circle_runs.times(run)["residence_code"].tolist() == ["R0001", "R0005"]
        with pytest.raises(ForbiddenError):
            limited.walk_networks.put(DISTRICT, edges(), nodes=4, components=1, built_at=LATER)
    with open_uow("420104") as elsewhere:
        assert elsewhere.walk_networks.latest() is None
        assert elsewhere.walk_networks.edges(network).empty
        assert elsewhere.circle_runs.latest() is None
        with pytest.raises(NotFoundError):
            elsewhere.circle_runs.times(run)


def test_imports_are_known_within_the_scope_they_were_made_under(uow, open_uow):
    sha = "ab" * 32
    with open_uow("420103") as limited:
        limited.imports.add(
            kind="streets", file_name="s.geojson", file_sha256=sha, datum="wgs84", rows_stored=3, refused=[{"row": 2}]
        )
        limited.commit()

    assert uow.imports.find("streets", sha)["refused"] == [{"row": 2}]
    assert uow.imports.find("residences", sha) is None
    with open_uow("420104") as other:
        assert other.imports.find("streets", sha) is None
        assert other.imports.list().empty


def test_categories_are_seeded_in_two_editions(uow):
    default = uow.categories.edition_default()

    assert default == "gbt-47678.5-2026"
    assert len(uow.categories.list(default, level=2)) == 474
    assert set(uow.categories.list(default)["network"]) == {"urban", "social", "security"}
    assert uow.categories.get("gbt-30428.2-2013", "C0101")["successor_code"] == "C01001"
    assert uow.categories.get(default, "C01001")["name_zh"] == "供水井盖"
    assert not uow.categories.get(default, "S01001")["verified"]
    assert uow.categories.exists(default, ["C01001", "Z"]) == {"C01001"}
    assert uow.categories.limits(default, "C01001")["limit_hours"].min() == 2
    assert uow.categories.networks()["network"].tolist() == ["urban", "social", "security", "unified"]
    assert len(uow.facilities.kinds()) == 123


def test_times_are_aware_and_in_utc(town):
    found = town.divisions.list("district", at=datetime(2026, 5, 1, tzinfo=UTC))

    assert str(found["valid_from"].dtype) == "datetime64[us, UTC]"
    assert np.array_equal(found["valid_from"], pd.Series([pd.Timestamp(START)]))
