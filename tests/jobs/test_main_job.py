"""The main job, from files to a mapped district: what must hold of its outcome, on made-up and on real ground."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import shapely
from factories.shared_points import shared_points

from gridsvc.bootstrap import App
from gridsvc.division.communities import DivisionRules
from gridsvc.formats.dataset import read_dataset
from gridsvc.geo.partitions import is_exact
from gridsvc.jobs import main_job
from gridsvc.jobs.main_job import Summary, run_main_job
from gridsvc.services.answering import who_answers_at
from gridsvc.services.data_sources import read_sources
from gridsvc.services.dividing import divide
from gridsvc.services.grid_lookup import find_places
from gridsvc.services.synthesising import complete_real_district, synthesise_to_folder
from gridsvc.settings import read_settings
from gridsvc.store.engine import make_engine

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NETWORKS = ("urban", "social", "security", "unified")
pytestmark = pytest.mark.postgis


@pytest.fixture
def app(clean_database):
    engine = make_engine(clean_database)
    yield App(read_settings({}), engine)
    engine.dispose()


def counts_of(summary: Summary) -> dict[str, dict]:
    return {step.name: step.counts for step in summary.steps}


def check_outcome(app: App, summary: Summary, district: str) -> None:
    counts = counts_of(summary)
    divided, located = counts["divide"], counts["locate"]
    assert (divided["gap_area_m2"], divided["overlap_area_m2"], divided["buildings_cut"], divided["failed"]) == (0,) * 4
    assert counts["assign"]["full_time"] == divided["governance_grids"]
    assert located["reports"] == counts["import"]["reports"] > 0
    assert {network: located[network] for network in NETWORKS} == dict.fromkeys(NETWORKS, located["reports"])

    assert (counts["import"]["departments"] > 12, counts["networks"]["crosswalks"]) == (True, 1)
    with app.unit_of_work() as uow:
        place = uow.residences.list(prefix=district).geometry.iloc[0].representative_point()
        (answered,) = who_answers_at(uow, place.x, place.y, "cgcs2000", at=NOW, category="E06001").places
        assert all(answer.grid and answer.department for answer in answered.answers)
    with app.unit_of_work() as uow:
        nets = {network: uow.grids.list(network, prefix=district, at=NOW) for network in NETWORKS}
        boundary = uow.divisions.list(level="district", prefix=district, at=NOW).geometry.iloc[0]
        assignments = uow.assignments.list("social", district, NOW)
        roster = uow.workers.list(district, NOW)
        buildings = uow.residences.list(prefix=district)
    for network, grids in nets.items():
        assert is_exact(grids.geometry.to_numpy()), network
        # an edge straight in metres bends by up to millimetres in degrees where a grid adds a vertex to the outer border
        union = shapely.coverage_union_all(grids.geometry.to_numpy())
        assert union.area == pytest.approx(boundary.area, rel=1e-7)
        assert shapely.hausdorff_distance(shapely.boundary(union), shapely.boundary(boundary)) < 1e-7  # about 1 cm
    responsible = assignments[assignments["is_primary"]]
    assert sorted(responsible["grid_code"]) == sorted(nets["social"]["code"])
    full_time = set(roster.loc[roster["kind_code"] == "W02", "worker_code"])
    assert set(responsible["worker_code"]) <= full_time
    assert set(nets["urban"]["parent_code"]) == set(nets["social"]["code"])
    check_shared_points_have_one_grid(app, nets)
    check_no_building_cut(nets["urban"].geometry.to_numpy(), buildings.geometry.to_numpy())


def check_shared_points_have_one_grid(app: App, nets: dict) -> None:
    """Every vertex and shared edge: one grid, the same in Python and SQL, alone and in bulk."""
    for network, grids in nets.items():
        lon, lat = shared_points(grids.geometry.to_numpy())
        some = slice(0, None, max(1, len(lon) // 500))
        with app.unit_of_work() as uow:
            in_bulk = find_places(uow, lon, lat, NOW).grids[network]
            by_sql = uow.grids.locate_many_sql(lon[some], lat[some], network, NOW)
            alone = [
                find_places(uow, [x], [y], NOW).grids[network][0] for x, y in zip(lon[some], lat[some], strict=True)
            ]
        point, row = shapely.STRtree(grids.geometry.to_numpy()).query(shapely.points(lon, lat), predicate="intersects")
        first = np.full(len(lon), len(grids))
        np.minimum.at(first, point, row)
        assert in_bulk.tolist() == grids["code"].to_numpy()[first].tolist(), network
        assert in_bulk[some].tolist() == by_sql == alone, network


def check_no_building_cut(units: np.ndarray, buildings: np.ndarray) -> None:
    homes, grids = shapely.STRtree(units).query(buildings, predicate="intersects")
    inside = shapely.intersection(buildings[homes], units[grids])
    held = np.zeros(len(buildings))
    np.maximum.at(held, homes, shapely.area(inside))
    assert np.allclose(held, shapely.area(buildings), rtol=1e-6)


@pytest.mark.slow
def test_a_made_up_street_becomes_a_working_district_and_a_second_run_changes_nothing(app, tmp_path: Path):
    synthesise_to_folder(tmp_path / "town", scale="street", seed=5)
    dataset = read_dataset(tmp_path / "town")

    first = run_main_job(app, dataset, now=NOW, out_dir=tmp_path / "out", processes=1)
    map_file = tmp_path / "out" / "coverage-990101.html"
    drawn = map_file.read_bytes()
    with app.unit_of_work() as uow:
        redraws = len(uow.redraws.list())
    again = run_main_job(app, dataset, now=NOW, out_dir=tmp_path / "out", processes=1)

    check_outcome(app, first, "990101")
    counts = counts_of(again)
    assert counts["locate"]["newly"] == 0
    assert {**counts, "locate": {**counts["locate"], "newly": counts["locate"]["reports"]}} == counts_of(first)
    assert map_file.read_bytes() == drawn
    with app.unit_of_work() as uow:
        assert len(uow.redraws.list()) == redraws
        assert uow.audit.verify().first_broken is None


def test_a_district_redrawn_since_keeps_its_grids_when_gridsvc_divides_otherwise(app, tmp_path, monkeypatch):
    synthesise_to_folder(tmp_path / "town", scale="street", seed=5)
    dataset = read_dataset(tmp_path / "town")
    run_main_job(app, dataset, now=NOW, out_dir=tmp_path / "out", processes=1)
    with app.unit_of_work() as uow:
        divide(uow, "990101", at=NOW, actor="planner", rules=DivisionRules(unit_area_m2=20_000.0), processes=1)
        uow.commit()
        redrawn = uow.grids.list("urban", prefix="990101", at=NOW)["code"].tolist()
    monkeypatch.setattr(main_job, "divide", partial(divide, rules=DivisionRules(unit_area_m2=15_000.0)))

    again = counts_of(run_main_job(app, dataset, now=NOW, out_dir=tmp_path / "out", processes=1))

    assert again["divide"] == {"kept": "redrawn since"}
    assert again["locate"]["reports"] > 0
    with app.unit_of_work() as uow:
        assert uow.grids.list("urban", prefix="990101", at=NOW)["code"].tolist() == redrawn


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("district", "street_offices", "communities"), [("420103", 15, 111), ("420102", 17, 141)], ids=["江汉", "江岸"]
)
def test_a_real_district_of_wuhan(app, real_data_dir, tmp_path, district, street_offices, communities):
    wuhan = real_data_dir / "wuhan"
    complete_real_district(
        tmp_path / "town",
        streets=wuhan / "streets_osm.parquet",
        boundary=wuhan / "districts_gcj02.geojson.gz",
        divisions=wuhan / "divisions_2023.csv.gz",
        district=district,
        datum="gcj02",
    )

    summary = run_main_job(app, read_dataset(tmp_path / "town"), now=NOW, out_dir=tmp_path / "out")

    check_outcome(app, summary, district)
    assert counts_of(summary)["divide"]["communities"] == communities
    with app.unit_of_work() as uow:
        assert len(uow.divisions.list(level="street", prefix=district, at=NOW)) == street_offices
        assert read_sources(uow).uses_osm  # the licence of the real streets asks for credit on every map
    assert Path(summary.files[0]).stat().st_size < 8_000_000
    assert "OpenStreetMap" in Path(summary.files[0]).read_text(encoding="utf-8")
