"""Networks of a real city held against each other: Washington's zonings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely

from gridsvc.geo.projections import to_metric
from gridsvc.networks.crosswalk import counts_by_atom, crosswalk, rebased
from gridsvc.networks.overlay import overlay
from gridsvc.services.comparing_networks import compare_networks
from gridsvc.services.network_sources import FileSource, read_networks

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
