"""Real Wuhan: exactly the divisions of the statistical list, on the real streets."""

from pathlib import Path

import pytest
import shapely

from gridsvc.formats.dataset import read_dataset
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


@pytest.mark.parametrize(("district", "offices", "communities"), [("420103", 15, 111), ("420102", 17, 141)])
def test_a_district_of_wuhan_is_completed(tmp_path: Path, district: str, offices: int, communities: int) -> None:
    complete_real_district(
        tmp_path,
        streets=WUHAN / "streets_osm.parquet",
        boundary=WUHAN / "districts_gcj02.geojson.gz",
        divisions=WUHAN / "divisions_2023.csv.gz",
        district=district,
        datum="gcj02",
    )
    dataset = read_dataset(tmp_path)
    divisions = dataset.frame("divisions")
    assert (divisions.level == "street").sum() == offices
    assert (divisions.level == "community").sum() == communities
    for _, rows in divisions.groupby("level"):
        assert shapely.coverage_is_valid(rows.geometry.values)
        assert shapely.is_valid(rows.geometry.values).all()
    houses = dataset.frame("residences")
    assert houses.residence_code.str[:12].nunique() == communities
