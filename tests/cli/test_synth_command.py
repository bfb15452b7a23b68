"""``gridsvc synth`` at the terminal: what it refuses, with which words, and a real place in miniature."""

import gzip
import json
from pathlib import Path

import geopandas
import pandas
import pytest
import shapely
from click.testing import CliRunner, Result

from gridsvc.cli.synth import synth
from gridsvc.errors import GridsvcError
from gridsvc.formats.dataset import read_dataset

DISTRICT = "990299"
WEST, SOUTH, STEP = 114.20, 30.50, 0.0022


def street_lines(count: int = 7) -> geopandas.GeoDataFrame:
    """Return a lattice of streets, noded, about 210 by 240 m."""
    lines, classes = [], []
    for i in range(count):
        for j in range(count - 1):
            x, y = WEST + i * STEP, SOUTH + j * STEP
            lines.append(shapely.LineString([(x, y), (x, y + STEP)]))
            lines.append(
                shapely.LineString([(WEST + j * STEP, SOUTH + i * STEP), (WEST + (j + 1) * STEP, SOUTH + i * STEP)])
            )
            classes += ["secondary" if i % 3 == 0 else "residential"] * 2
    return geopandas.GeoDataFrame({"highway": classes}, geometry=lines, crs=4326)


@pytest.fixture
def place(tmp_path: Path) -> dict[str, Path | str]:
    """Return a small real place: streets, a boundary that cuts through blocks, codes of two street offices."""
    streets = tmp_path / "streets.parquet"
    street_lines().to_parquet(streets)
    reach = 6 * STEP
    outline = shapely.box(WEST - 0.0004, SOUTH + 0.0005, WEST + reach - 0.0007, SOUTH + reach + 0.0003)
    boundary = tmp_path / "districts.geojson.gz"
    feature = {
        "type": "Feature",
        "id": DISTRICT,
        "properties": {"name": "试验区"},
        "geometry": json.loads(shapely.to_geojson(outline)),
    }
    boundary.write_bytes(gzip.compress(json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()))
    divisions = tmp_path / "divisions.csv"
    rows = [("9902", "试验市"), (DISTRICT, "试验区"), (f"{DISTRICT}001", "东街道"), (f"{DISTRICT}002", "西街道")]
    rows += [(f"{DISTRICT}001{k:03d}", f"东{k}社区居委会") for k in (1, 2, 4)] + [
        (f"{DISTRICT}002{k:03d}", f"西{k}村委会") for k in (201, 202)
    ]
    pandas.DataFrame(rows, columns=["code", "name"]).to_csv(divisions, index=False)
    return {
        "streets": streets,
        "boundary": boundary,
        "divisions": divisions,
        "district": DISTRICT,
        "datum": "wgs84",
        "out": tmp_path / "out",
    }


def run(place: dict[str, Path | str], **changes: Path | str | None) -> Result:
    options = {**place, **changes}
    arguments = [
        part
        for name, value in options.items()
        if value is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    return CliRunner().invoke(synth, arguments)


def refusal(result: Result) -> GridsvcError:
    assert isinstance(result.exception, GridsvcError), result.output
    return result.exception


def test_a_real_place_gets_exactly_its_divisions(place: dict[str, Path | str]) -> None:
    result = run(place)
    assert result.exit_code == 0, result.output
    divisions = read_dataset(Path(place["out"])).frame("divisions")
    assert divisions.level.value_counts().to_dict() == {"community": 5, "street": 2, "district": 1, "city": 1}
    assert set(divisions[divisions.level == "community"].name) == {
        "东1社区居委会",
        "东2社区居委会",
        "东4社区居委会",
        "西201村委会",
        "西202村委会",
    }
    for _, rows in divisions.groupby("level"):
        assert shapely.coverage_is_valid(rows.geometry.values)


def test_real_streets_stay_where_they_are(place: dict[str, Path | str]) -> None:
    run(place)
    made = read_dataset(Path(place["out"])).frame("streets")
    drawn = shapely.union_all(made[made.street_class.isin(["secondary", "residential"])].to_crs(4547).geometry.values)
    real = shapely.union_all(street_lines().to_crs(4547).geometry.values)
    assert shapely.hausdorff_distance(drawn, real) < 0.02


def test_a_boundary_in_gcj02_is_moved(place: dict[str, Path | str]) -> None:
    run(place)
    plain = read_dataset(Path(place["out"])).frame("divisions").total_bounds
    run(place, datum="gcj02", out=Path(place["out"]).with_name("moved"))
    moved = read_dataset(Path(place["out"]).with_name("moved")).frame("divisions").total_bounds
    assert 0.003 < plain[0] - moved[0] < 0.008


def test_a_missing_datum_is_refused_by_name(place: dict[str, Path | str]) -> None:
    error = refusal(run(place, datum=None))
    assert error.code == "datum-missing"
    assert "--datum" in str(error)


def test_streets_without_crs_need_a_datum(place: dict[str, Path | str], tmp_path: Path) -> None:
    bare = tmp_path / "bare.geojson"
    bare.write_text(street_lines().to_json(), encoding="utf-8")
    assert "--streets-datum" in str(refusal(run(place, streets=bare)))
    assert run(place, streets=bare, streets_datum="wgs84").exit_code == 0


def test_a_district_not_in_the_list_is_refused_with_those_there(place: dict[str, Path | str]) -> None:
    error = refusal(run(place, district="420103"))
    assert error.code == "not-found"
    assert "990299 试验区" in str(error)


def test_a_boundary_elsewhere_is_refused(place: dict[str, Path | str], tmp_path: Path) -> None:
    far = street_lines()
    far.geometry = far.geometry.translate(1.0, 0.0)
    far.to_parquet(tmp_path / "far.parquet")
    assert "No street" in str(refusal(run(place, streets=tmp_path / "far.parquet")))


def test_streets_without_classes_are_refused_with_their_columns(place: dict[str, Path | str], tmp_path: Path) -> None:
    street_lines().rename(columns={"highway": "kind_of_road"}).to_parquet(tmp_path / "odd.parquet")
    error = refusal(run(place, streets=tmp_path / "odd.parquet"))
    assert "kind_of_road" in str(error)
    assert "highway" in str(error)


def test_a_list_without_names_is_refused(place: dict[str, Path | str], tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text("code,title\n990299,试验区\n", encoding="utf-8")
    assert "lacks column name" in str(refusal(run(place, divisions=tmp_path / "codes.csv")))


def test_a_community_without_its_street_office_is_refused(place: dict[str, Path | str], tmp_path: Path) -> None:
    text = Path(place["divisions"]).read_text(encoding="utf-8") + f"{DISTRICT}003001,孤社区居委会\n"
    (tmp_path / "orphan.csv").write_text(text, encoding="utf-8")
    assert refusal(run(place, divisions=tmp_path / "orphan.csv")).code == "parent-missing"


def test_a_list_without_street_offices_puts_communities_under_the_district(
    place: dict[str, Path | str], tmp_path: Path
) -> None:
    rows = [
        line
        for line in Path(place["divisions"]).read_text(encoding="utf-8").splitlines()
        if len(line.split(",")[0]) != 9
    ]
    (tmp_path / "flat.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert run(place, divisions=tmp_path / "flat.csv").exit_code == 0
    divisions = read_dataset(Path(place["out"])).frame("divisions")
    assert set(divisions.level) == {"city", "district", "community"}
    assert set(divisions[divisions.level == "community"].parent_code) == {DISTRICT}


def test_two_streets_are_enough(place: dict[str, Path | str], tmp_path: Path) -> None:
    few = street_lines()
    few[few.geometry.bounds.minx.round(6) == round(WEST + 3 * STEP, 6)].to_parquet(tmp_path / "few.parquet")
    assert run(place, streets=tmp_path / "few.parquet").exit_code == 0
    communities = read_dataset(Path(place["out"])).frame("divisions").query("level == 'community'")
    assert len(communities) == 5
    assert shapely.coverage_is_valid(communities.geometry.values)


def test_an_empty_file_is_refused(place: dict[str, Path | str], tmp_path: Path) -> None:
    (tmp_path / "empty.geojson").write_bytes(b"")
    assert refusal(run(place, boundary=tmp_path / "empty.geojson")).code == "file-unreadable"


def test_wrong_usage_is_told_apart(place: dict[str, Path | str]) -> None:
    assert run(place, scale="street").exit_code == 2
    assert "--divisions missing" in run(place, divisions=None).output
    assert (
        CliRunner().invoke(synth, ["--scale", "street", "--out", str(place["out"]), "--as-of", "soon"]).exit_code == 2
    )


def test_help_shows_an_example() -> None:
    assert "gridsvc synth --scale street" in CliRunner().invoke(synth, ["--help"]).output
