"""Imports of real open data, with the defects it has."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from factories.stored_town import START

from gridsvc.errors import ImportRefusedError
from gridsvc.formats.osm import read_osm
from gridsvc.geo.projections import to_metric
from gridsvc.services.importing import import_file

pytestmark = [pytest.mark.postgis, pytest.mark.real_data]


def boundaries(uow) -> dict[str, shapely.Geometry]:
    stored = uow.divisions.list("district", prefix="11", at=START)
    metric = to_metric(stored.geometry.to_numpy(), 4548)
    return dict(zip(stored["code"], shapely.boundary(metric), strict=True))


def median_distance_m(drawn: shapely.Geometry, reference: shapely.Geometry) -> float:
    vertices = shapely.points(shapely.get_coordinates(drawn))
    return float(np.median(shapely.distance(vertices, reference)))


def test_gcj02_districts_of_beijing_land_on_the_wgs84_ones(open_uow, real_data_dir):
    found = {}
    for datum in ("wgs84", "gcj02"):
        with open_uow() as uow:
            path = real_data_dir / "beijing" / f"districts_{datum}.geojson.gz"
            result = import_file(uow, "divisions", path, datum=datum, valid_from=START, repair=True)
            found[datum] = boundaries(uow)
        assert result.rows_stored == 16

    distances = [median_distance_m(found["gcj02"][code], found["wgs84"][code]) for code in found["wgs84"]]

    assert np.median(distances) < 60
    assert max(distances) < 120


def test_invalid_districts_of_beijing_are_refused_by_name(uow, real_data_dir):
    path = real_data_dir / "beijing" / "districts_gcj02.geojson.gz"

    with pytest.raises(ImportRefusedError) as caught:
        import_file(uow, "divisions", path, datum="gcj02", valid_from=START)

    # 12 are invalid as drawn; in one a corner touches an edge, and no longer does once the datum is converted
    assert len(caught.value.rows) == 11
    assert uow.divisions.list(at=START).empty


def test_codes_and_names_of_beijing_keep_the_boundaries_stored_before(uow, real_data_dir):
    folder = real_data_dir / "beijing"
    import_file(uow, "divisions", folder / "districts_wgs84.geojson.gz", datum="wgs84", valid_from=START, repair=True)

    result = import_file(uow, "divisions", folder / "divisions_2023.csv.gz", datum=None, valid_from=START)

    assert (result.rows_read, result.rows_unchanged) == (7902, 16)
    assert uow.divisions.list("district", at=START).geometry.notna().all()
    assert len(uow.divisions.list("community", at=START, with_geometry=False)) == 7535


def test_extract_of_helsinki_is_stored_and_counted(uow, real_data_dir):
    result = import_file(uow, "osm", real_data_dir / "helsinki" / "centre.osm.pbf", datum=None, valid_from=START)

    assert result.counts["highway_ways"] == 2650
    assert result.counts["building_ways"] == 433
    assert uow.streets.count() == result.counts["street_pieces"] == 5349
    assert uow.residences.count() == result.counts["buildings"]
    assert uow.facilities.count(at=START) == result.counts["facilities"] > 500


def test_streets_of_porto_alegre_meet_at_their_ends(real_data_dir):
    extract = read_osm(real_data_dir / "porto_alegre" / "walk_osm.pbf")
    lines = extract.streets["geometry"].to_numpy()
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(lines, k)) for k in (0, -1)])

    _, uses = np.unique(ends, axis=0, return_counts=True)

    assert extract.counts["highway_ways"] == 15_886
    assert extract.streets["street_code"].is_unique
    assert (uses > 1).mean() > 0.7  # most ends are crossings


def test_edges_of_wuhan_get_codes_of_their_own(uow, real_data_dir):
    path = real_data_dir / "wuhan" / "streets_osm.parquet"

    result = import_file(uow, "streets", path, datum="file", valid_from=START, dry_run=True)

    assert result.rows_stored == 92_667
