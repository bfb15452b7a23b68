"""Networks of a real city held against each other: Washington's zonings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely

from gridsvc.geo.projections import to_metric
from gridsvc.networks.crosswalk import counts_by_atom, crosswalk, rebased
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import overlay
from gridsvc.networks.unified import HouseholdBounds
from gridsvc.services.comparing_networks import compare_networks
from gridsvc.services.network_sources import FileSource, read_networks
from gridsvc.services.unifying_networks import PeopleFile, unify_networks

pytestmark = pytest.mark.real_data
THREE = {"police_service_areas_psa": "psa", "single_member_district_2013": "smd_id", "trash_pickup_days_for_2015": None}


def sources(folder, codes: dict[str, str | None]) -> list[FileSource]:
    return [FileSource(folder / f"{name}.parquet", "wgs84", code) for name, code in codes.items()]


def test_three_networks_have_conflicts_and_exact_atoms(real_data_dir):
    given = read_networks(None, sources(real_data_dir / "washington_dc" / "networks", THREE))

    found = compare_networks(given, tolerance_m=20.0)

    atoms = overlay(given.nets, tolerance_m=20.0)
    assert shapely.is_valid(atoms.geometry).all()
    assert shapely.coverage_is_valid(atoms.geometry)
    stored = found.layers["atoms"].geometry.to_numpy()
    assert shapely.is_valid(stored).all()
    assert shapely.coverage_is_valid(stored)
    assert len(found.tables["conflicts"]) > 500
    by_name = found.tables["networks"].set_index("network")
    assert by_name.loc["trash_pickup_days_for_2015", "mended"] == 2
    assert by_name.loc["trash_pickup_days_for_2015", "overlaps"] > 10
    assert by_name.loc["police_service_areas_psa", ["gaps", "overlaps", "slivers"]].tolist() == [0, 0, 0]


def test_population_and_requests_keep_their_sums_from_block_groups_to_the_three(real_data_dir):
    folder = real_data_dir / "washington_dc"
    given = read_networks(None, sources(folder / "networks", {"census_block_groups_2010": "geoid", **THREE}))
    requests = pd.read_parquet(folder / "service_requests_2016.parquet", columns=["geom_lon", "geom_lat"])
    people = given.columns["census_block_groups_2010"]["p0010001"].to_numpy()

    atoms = overlay(given.nets, tolerance_m=5.0)
    points = to_metric(shapely.points(requests["geom_lon"], requests["geom_lat"]), given.epsg)
    weight, outside = counts_by_atom(atoms, shapely.get_x(points), shapely.get_y(points))
    assert weight.sum() + outside == len(requests) == 22_576
    for k in (1, 2, 3):
        walk = crosswalk(atoms, 0, k, weight)
        carried = rebased(walk, people, whole=True)
        assert int(carried.value.sum()) + int(carried.unplaced) == int(people.sum()) == 601_723
        assert walk.weight.sum() == weight[(atoms.owner[:, [0, k]] >= 0).any(axis=1)].sum()
        back = rebased(walk.reversed(), carried.value, whole=True)
        assert int(back.value.sum()) + int(back.unplaced) == int(carried.value.sum())


@pytest.mark.slow
def test_three_networks_become_one_exact_net_that_keeps_everybody_and_every_request(real_data_dir, tmp_path):
    folder = real_data_dir / "washington_dc"
    given = read_networks(None, sources(folder / "networks", THREE))
    people = PeopleFile(folder / "networks" / "census_block_groups_2010.parquet", "wgs84", "p0010001")

    found = unify_networks(
        given,
        reference="single_member_district_2013",
        tolerance_m=20.0,
        people=people,
        bounds=HouseholdBounds(1500, 2500),
    )

    assert found.tables["sums"][["given", "placed", "unplaced"]].to_numpy().tolist() == [[601_723, 601_723, 0]]
    requests = pd.read_parquet(folder / "service_requests_2016.parquet", columns=["geom_lon", "geom_lat"])
    points = to_metric(shapely.points(requests["geom_lon"], requests["geom_lat"]), given.epsg)
    for name in ("reference", "agreed", "balanced"):
        layer = found.layers[name]
        stored = layer.geometry.to_numpy()
        metric = to_metric(stored, given.epsg)
        for shapes in (stored, metric):
            assert shapely.is_valid(shapes).all()
            assert shapely.coverage_is_valid(shapes)
        land = shapely.area(metric).sum()
        assert shapely.area(shapely.union_all(metric)) == pytest.approx(land, abs=1e-3)
        assert layer["people"].sum() == 601_723
        unified = Net.of("unified", layer["code"], metric)
        atoms = overlay([*given.nets, unified], tolerance_m=0.0)
        weight, outside = counts_by_atom(atoms, shapely.get_x(points), shapely.get_y(points))
        assert weight.sum() + outside == len(requests) == 22_576
        for k in range(3):
            walk = crosswalk(atoms, k, 3, weight)
            requested = np.bincount(atoms.owner[atoms.owner[:, k] >= 0, k], weight[atoms.owner[:, k] >= 0])
            carried = rebased(walk, np.append(requested, np.zeros(len(given.nets[k]) - len(requested))), whole=True)
            assert int(carried.value.sum()) + int(carried.unplaced) == int(requested.sum())
        walk = found.tables["crosswalk"].query("alternative == @name")
        assert walk.groupby("network")["weight"].sum().to_dict() == pytest.approx(dict.fromkeys(THREE, 601_723.0))
    costs = found.tables["costs"].set_index("alternative")
    assert costs.loc["reference", "grids"] == 296 and costs.loc["reference", "new_codes"] == 0
    assert costs.loc["balanced", ["too_few", "too_many"]].sum() < costs.loc["reference", ["too_few", "too_many"]].sum()
    networks = found.tables["changes"].set_index(["alternative", "network"])
    assert networks.loc[("reference", "single_member_district_2013"), "people_moved"] == 0


@pytest.mark.slow
def test_all_zonings_are_compared_in_one_run(real_data_dir):
    files = sorted((real_data_dir / "washington_dc" / "networks").glob("*.parquet"))
    given = read_networks(None, [FileSource(path, "wgs84") for path in files])

    found = compare_networks(given, tolerance_m=10.0)

    assert len(found.tables["networks"]) == 27
    pairs = found.tables["pairs"]
    assert len(pairs) == 27 * 26 // 2
    assert np.isfinite(pairs["both_m2"]).all()
    outlined = pairs[(pairs["first"] == "dc_boundary") | (pairs["second"] == "dc_boundary")]
    assert len(outlined) == 26
