"""Real Wuhan: exactly the divisions of the statistical list, on the real streets."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import shapely

from gridsvc.formats.dataset import Dataset, read_dataset
from gridsvc.geo.border_fit import border_differences
from gridsvc.geo.projections import to_metric
from gridsvc.services.synthesising import complete_real_district
from gridsvc.settings import read_settings

REAL = read_settings().real_data_dir
WUHAN = REAL / "wuhan" if REAL else Path("missing")

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (WUHAN / "streets_osm.parquet").is_file(), reason="GRIDSVC_REAL_DATA has no wuhan/streets_osm.parquet"
    ),
]


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """Return a function from a district's code to its data set, made once."""

    @cache
    def of(district: str) -> Dataset:
        folder = tmp_path_factory.mktemp(district)
        complete_real_district(
            folder,
            streets=WUHAN / "streets_osm.parquet",
            boundary=WUHAN / "districts_gcj02.geojson.gz",
            divisions=WUHAN / "divisions_2023.csv.gz",
            district=district,
            datum="gcj02",
        )
        return read_dataset(folder)

    return of


@pytest.mark.parametrize(("district", "offices", "communities"), [("420103", 15, 111), ("420102", 17, 141)])
def test_a_district_of_wuhan_is_completed(completed, district: str, offices: int, communities: int) -> None:
    dataset = completed(district)
    divisions = dataset.frame("divisions")
    assert (divisions.level == "street").sum() == offices
    assert (divisions.level == "community").sum() == communities
    for _, rows in divisions.groupby("level"):
        assert shapely.coverage_is_valid(rows.geometry.values)
        assert shapely.is_valid(rows.geometry.values).all()
    houses = dataset.frame("residences")
    assert houses.residence_code.str[:12].nunique() == communities


def test_two_districts_of_wuhan_completed_apart_meet(completed) -> None:
    frames = [completed(district).frame("divisions") for district in ("420103", "420102")]
    shapes = np.concatenate([frame[frame.level == "community"].geometry.to_numpy() for frame in frames])

    assert border_differences(to_metric(shapes, 4547)) == []
