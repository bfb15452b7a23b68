"""Merging a divided district: the unified net is exact, says who answers, and a second merge changes nothing."""

from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pytest
import shapely

from gridsvc.errors import NotFoundError
from gridsvc.services.dividing import divide
from gridsvc.services.merging import merge, who_answers
from tests.factories.undivided_district import DISTRICT, codes, put_district

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(days=30)

pytestmark = pytest.mark.postgis


def put_police_grids(uow):
    """Halve every community from north to south, whatever the governance grids are."""
    rows, shapes = [], []
    for code in codes():
        west, south, east, north = uow.divisions.get(code, AT)["geometry"].bounds
        boundary, middle = uow.divisions.get(code, AT)["geometry"], (west + east) / 2
        for serial, (left, right) in enumerate([(west - 1, middle), (middle, east + 1)], start=1):
            part = boundary.intersection(shapely.box(left, south - 1, right, north + 1))
            rows.append((f"{code}{serial:03d}", code))
            shapes.append(shapely.MultiPolygon([part]))
    frame = gpd.GeoDataFrame(
        {
            "network": "security",
            "kind": "security",
            "code": [r[0] for r in rows],
            "community_code": [r[1] for r in rows],
            "area_m2": 1.0,
        },
        geometry=np.array(shapes, dtype=object),
        crs="EPSG:4490",
    )
    redraw = uow.redraws.open_draft("security", DISTRICT, "imported", "test", AT)
    uow.redraws.put_grids(redraw, frame)
    uow.redraws.approve(redraw, "test", AT, AT)


@pytest.fixture
def divided(uow):
    put_district(uow, AT)
    divide(uow, DISTRICT, at=AT, actor="test", processes=1)
    put_police_grids(uow)
    return uow


def test_the_unified_net_continues_the_governance_grids_exactly(divided):
    result = merge(divided, DISTRICT, at=AT, actor="test")

    unified, governance = divided.grids.list("unified", DISTRICT, AT), divided.grids.list("social", DISTRICT, AT)
    assert unified["code"].tolist() == governance["code"].tolist()
    assert shapely.equals_exact(
        shapely.normalize(unified.geometry), shapely.normalize(governance.geometry), tolerance=0
    ).all()
    assert (result.grids, result.inserted, result.retired) == (len(governance), len(governance), 0)
    assert result.parcels == len(divided.grids.list("urban", DISTRICT, AT))
    assert result.unowned == {"urban": 0, "social": 0, "security": 0}
    answer = unified["responsible"].iloc[0]
    assert answer["social"] == {
        "code": unified["code"].iloc[0],
        "share": 1.0,
        "area_share": 1.0,
        "grids": 1,
        "is_nested": True,
    }
    assert answer["urban"]["is_nested"] and answer["security"]["code"].startswith(unified["community_code"].iloc[0])


def test_a_second_merge_changes_nothing(divided):
    merge(divided, DISTRICT, at=AT, actor="test")
    again = merge(divided, DISTRICT, at=LATER, actor="test")

    assert (again.retired, again.inserted, again.redraw) == (0, 0, None)
    assert again.unchanged == again.grids


def test_every_conflict_names_who_claims_what(divided):
    result = merge(divided, DISTRICT, at=AT, actor="test")

    assert result.conflicts == len(result.disputed) > 0
    for conflict in result.disputed:
        assert conflict.network == "security" and len(conflict.shares) == 2
        assert sum(conflict.shares.values()) == pytest.approx(1.0)


def test_each_parcel_has_one_answer_per_network(divided):
    answers = who_answers(divided, DISTRICT, at=AT)

    assert answers["parcel_code"].is_unique
    assert answers[["unified", "urban", "social", "security"]].notna().all().all()
    units = divided.grids.list("urban", DISTRICT, AT)
    assert answers["social"].tolist() == units["parent_code"].tolist()


def test_an_undivided_district_is_refused(uow):
    put_district(uow, AT)

    with pytest.raises(NotFoundError, match="no unit grids"):
        merge(uow, DISTRICT, at=AT, actor="test")
