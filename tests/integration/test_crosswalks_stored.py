"""Crosswalks kept with the instants of both nets, lineage read as one, figures carried over with their sum, conflicts kept."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    LATER,
    START,
    division_frame,
    grid_frame,
    report_frame,
    residence_frame,
)

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.services.crosswalks import (
    export_crosswalk,
    get_crosswalk,
    list_crosswalks,
    rebase_figures,
    save_crosswalk,
    with_shares,
)
from gridsvc.services.network_conflicts import compare_stored, list_conflicts
from gridsvc.services.network_sources import StoredSource
from gridsvc.services.redraw_force import put_redraw_in_force

pytestmark = pytest.mark.postgis


def in_force(uow, frame, network, at, before=()):
    redraw = uow.redraws.open_draft(network, DISTRICT, "imported", "test", at)
    uow.redraws.put_grids(redraw, frame, list(before))
    put_redraw_in_force(uow, str(redraw), by="test", at=at, decided_at=at, checks={})
    return str(redraw)


@pytest.fixture
def town(uow):
    """Two governance grids and three security grids in each community."""
    uow.divisions.put_frame(division_frame(), START)
    uow.residences.put_frame(residence_frame())
    reports = report_frame()
    uow.reports.ensure_months(reports["reported_at"].min(), reports["reported_at"].max())
    uow.reports.add_frame(reports.assign(district_code=DISTRICT))
    in_force(uow, grid_frame(), "social", START)
    in_force(uow, grid_frame(network="security", kind="security", parts=3), "security", START)
    return uow


@pytest.fixture
def redrawn(town):
    """From LATER the governance grids of the first community are one."""
    halves = grid_frame(COMMUNITIES[:1])
    # with the corners of both, so that neighbours share every vertex
    whole = shapely.MultiPolygon([shapely.coverage_union_all(halves.geometry.to_numpy())])
    one = halves.iloc[:1].assign(code=f"{COMMUNITIES[0]}005", geometry=[whole])
    return in_force(town, one, "social", LATER, [COMMUNITIES[0]])


def source(network, at=START, division=DISTRICT):
    return StoredSource(network, division, at, f"{network}:{division}")


def saved(uow, first="social", second="security", at=START):
    return save_crosswalk(
        uow, source(first, at), source(second, at), now=LATER, actor="test", events_from=START, events_to=LATER
    )


def test_a_crosswalk_is_kept_with_area_homes_and_events(town):
    kept = saved(town)

    found = get_crosswalk(town, kept.about["crosswalk_id"])
    assert (found.about["first_network"], found.about["second_at"], found.about["origin"]) == ("social", START, "saved")
    assert found.weights == ("area", "households", "events")
    assert len(found.rows) == 16
    assert found.rows["households"].sum() == residence_frame()["households"].sum()
    assert found.rows["events"].sum() == len(report_frame())
    first = found.rows[found.rows["first_code"] == f"{COMMUNITIES[0]}001"]
    np.testing.assert_allclose(first["area_m2"] / first["area_m2"].sum(), [2 / 3, 1 / 3], atol=1e-4)


def test_saved_again_it_takes_the_place_of_the_one_before(town):
    first, again = saved(town), saved(town)
    other = saved(town, "security", "social")

    assert first.about["crosswalk_id"] == again.about["crosswalk_id"] != other.about["crosswalk_id"]
    page = list_crosswalks(town, DISTRICT, limit=1)
    rest = list_crosswalks(town, DISTRICT, cursor=page.next_cursor)
    assert len(page.rows) + len(rest.rows) == 2
    assert (rest.next_cursor, list_crosswalks(town, network="unified").rows) == (None, [])


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("weight", ["area", "households", "events"])
def test_figures_keep_their_sum_exactly_both_ways_by_every_weight(town, weight, back):
    kept = saved(town)
    codes = sorted(set(kept.rows["second_code" if back else "first_code"].dropna()))
    figures = {code: float(7 * n + 3) for n, code in enumerate(codes)}

    found = rebase_figures(kept, figures, weight=weight, back=back, whole=True)

    assert found.values["value"].sum() + found.unplaced == sum(figures.values()) == found.given
    assert found.values["value"].dtype.kind == "i"
    assert ((found.values["low"] <= found.values["value"]) & (found.values["value"] <= found.values["high"])).all()
    assert found.without_figure == 0


def test_shares_of_every_weight_add_up_to_one_for_each_grid(town):
    frame = with_shares(saved(town))

    for weight in ("area", "households", "events"):
        for side in ("first", "second"):
            sums = frame.groupby(f"{side}_code")[f"{side}_{weight}_share"].sum()
            np.testing.assert_allclose(sums, 1.0, rtol=1e-12)


def test_what_a_redraw_did_is_a_crosswalk_under_its_id_and_not_stored_twice(town, redrawn):
    found = get_crosswalk(town, redrawn)

    assert (found.about["origin"], found.weights) == ("lineage", ("area", "households"))
    assert list_crosswalks(town).rows == []
    old = {f"{COMMUNITIES[0]}001": 30.0, f"{COMMUNITIES[0]}002": 31.0}
    carried = rebase_figures(found, old, whole=True)
    assert carried.values[["code", "value"]].to_numpy().tolist() == [[f"{COMMUNITIES[0]}005", 61]]
    again = rebase_figures(found, {f"{COMMUNITIES[0]}005": 61.0}, whole=True, back=True)
    assert sorted(again.values["value"]) == [30, 31]


def test_lineage_and_overlay_carry_the_same_figures_over(town, redrawn):
    laid = save_crosswalk(town, source("social"), source("social", LATER), now=LATER, actor="test")
    figures = {f"{COMMUNITIES[0]}005": 90.0}

    one, other = (
        rebase_figures(each, figures, back=True).values.set_index("code")
        for each in (laid, get_crosswalk(town, redrawn))
    )

    np.testing.assert_allclose(one.loc[other.index, "value"], other["value"], atol=0.01)


def test_a_crosswalk_is_written_with_shares_and_land(town, tmp_path, redrawn):
    kept = saved(town)
    outs = {suffix: tmp_path / f"crosswalk.{suffix}" for suffix in ("csv", "xlsx", "gpkg")}
    for out in outs.values():
        export_crosswalk(town, kept, out)

    assert len(pd.read_csv(outs["csv"], dtype={"first_code": str})) == 16
    assert openpyxl.load_workbook(outs["xlsx"]).sheetnames == ["crosswalk"]
    land = pyogrio.read_dataframe(outs["gpkg"], layer="crosswalk").to_crs(4547)
    np.testing.assert_allclose(land.area, land["area_m2"], rtol=1e-3)
    before = outs["gpkg"].read_bytes()
    export_crosswalk(town, kept, outs["gpkg"])
    assert outs["gpkg"].read_bytes() == before
    with pytest.raises(RequestInvalidError, match="land of a lineage is not kept"):
        export_crosswalk(town, get_crosswalk(town, redrawn), outs["gpkg"])


def test_what_cannot_be_carried_over_is_refused(town, redrawn):
    kept = saved(town)
    code = f"{COMMUNITIES[0]}001"
    for figures, options, said in (
        ({"420199": 1.0}, {}, "codes are of no grid of the network social"),
        ({code: 1.5}, {"whole": True}, "no whole number"),
        ({code: 1.0}, {"weight": "trees"}, "no weight 'trees'"),
        ({code: float("inf")}, {}, "no finite number"),
    ):
        with pytest.raises(RequestInvalidError, match=said):
            rebase_figures(kept, figures, **options)
    with pytest.raises(RequestInvalidError, match="no weight 'events'"):
        rebase_figures(get_crosswalk(town, redrawn), {}, weight="events")
    with pytest.raises(NotFoundError):
        get_crosswalk(town, "0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d")
    with pytest.raises(RequestInvalidError, match="is no id"):
        get_crosswalk(town, "first")
    with pytest.raises(RequestInvalidError, match="not of urban"):
        get_crosswalk(town, redrawn, network="urban")
    with pytest.raises(RequestInvalidError, match="of one division"):
        save_crosswalk(town, source("social"), source("social", division=COMMUNITIES[0]), now=LATER, actor="test")


def test_a_scope_sees_crosswalks_of_its_own_divisions_only(town, open_uow):
    kept = saved(town)
    with open_uow(DISTRICT) as own, open_uow("420199") as other, open_uow(COMMUNITIES[0]) as part:
        assert len(list_crosswalks(own).rows) == 1
        assert list_crosswalks(other).rows == list_crosswalks(part).rows == []
        with pytest.raises(NotFoundError):
            get_crosswalk(other, kept.about["crosswalk_id"])


def crossing_net(uow):
    """Put security grids in force that cross the governance grids of the first two communities; codes are of the first."""
    west, south, _, north = division_frame().geometry.iloc[3].bounds
    shapes = [shapely.box(west, south, west + 0.0076, north), shapely.box(west + 0.0076, south, west + 0.0099, north)]
    columns = {
        "network": "urban", "kind": "unit", "code": [f"{COMMUNITIES[0]}00{n}" for n in (1, 2)],
        "community_code": COMMUNITIES[0], "households": 1, "population": 1, "area_m2": 1.0,
    }  # fmt: skip
    in_force(uow, gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490"), "urban", START)


def test_grids_that_cross_are_kept_with_the_land_they_share(town, open_uow):
    crossing_net(town)
    networks = ["social", "security", "urban"]
    report = compare_stored(town, [source(name) for name in networks], now=LATER, actor="test", tolerance_m=4.0)

    page = list_conflicts(town, DISTRICT, limit=3, count=True)
    rows = page.rows + list_conflicts(town, DISTRICT, cursor=page.next_cursor, limit=1000).rows
    assert page.count == len(rows) == len(report.tables["conflicts"])
    assert [row["conflict"] for row in rows] == sorted(row["conflict"] for row in rows)
    for row in rows:
        shape = gpd.GeoSeries([shapely.geometry.shape(row["geometry"])], crs=4490).to_crs(4547)
        assert shape.area.iloc[0] == pytest.approx(row["shared_m2"], rel=1e-2)
    own = list_conflicts(town, COMMUNITIES[0], network="urban").rows
    assert own
    assert all("urban" in (row["first_network"], row["second_network"]) for row in own)
    with open_uow(COMMUNITIES[0]) as part, open_uow(COMMUNITIES[1]) as other:
        assert {row["conflict"] for row in list_conflicts(part, COMMUNITIES[0], network="urban").rows} == {
            row["conflict"] for row in own
        }
        assert all(row["first_code"].startswith(COMMUNITIES[1]) for row in list_conflicts(other, DISTRICT).rows)


def test_nets_that_were_not_compared_have_no_conflicts_to_list(town, open_uow):
    with pytest.raises(NotFoundError, match="were not compared yet"):
        list_conflicts(town, DISTRICT)
    with pytest.raises(RequestInvalidError, match="nothing to cross"):
        compare_stored(town, [source("social")], now=LATER, actor="test")
    with pytest.raises(RequestInvalidError, match="at one instant"):
        compare_stored(town, [source("social"), source("social", LATER)], now=LATER, actor="test")
    compare_stored(town, [source("social"), source("security")], now=LATER, actor="test")
    with open_uow("420199") as elsewhere, pytest.raises(NotFoundError):
        list_conflicts(elsewhere, DISTRICT)
    with pytest.raises(RequestInvalidError, match="no cursor"):
        list_conflicts(town, DISTRICT, cursor="x")
