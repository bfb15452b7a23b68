"""Sheets to print: true scale on A3, everything that a sheet needs beside the map, the same bytes each time."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import shapely
from PIL import Image

from gridsvc.errors import FileUnreadableError, NotFoundError, RequestInvalidError
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.maps import sheet
from gridsvc.maps.sheet import write_sheet_map
from tests.factories.coverage import coverage_content


@cache
def content():
    return coverage_content(8, 8)


@cache
def drawn_svg(folder):
    write_sheet_map(content(), folder / "drawn.svg")
    return (folder / "drawn.svg").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def svg(tmp_path_factory):
    return drawn_svg(tmp_path_factory.mktemp("sheet"))


@pytest.mark.parametrize("ending", [".pdf", ".svg", ".png"])
def test_the_same_content_is_the_same_bytes(tmp_path, ending):
    first, again = (write_sheet_map(content(), tmp_path / f"{name}{ending}") for name in ("first", "again"))

    assert first.out.read_bytes() == again.out.read_bytes()
    assert first.bytes == first.out.stat().st_size > 10_000


def test_it_is_a3(tmp_path):
    lying = write_sheet_map(content(), tmp_path / "lying.pdf")
    standing = write_sheet_map(coverage_content(4, 12), tmp_path / "standing.png")

    (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", lying.out.read_bytes())
    assert [round(float(side) / 72 * 25.4) for side in box] == ([420, 297] if lying.is_landscape else [297, 420])
    assert not standing.is_landscape
    with Image.open(standing.out) as image:
        assert np.allclose(np.array(image.size) / 200 * 25.4, (297, 420), atol=0.2)
        assert np.asarray(image.convert("L")).std() > 5


def test_the_scale_is_the_largest_round_one_that_holds_the_grids(tmp_path):
    written = write_sheet_map(content(), tmp_path / "map.svg")
    grids = content().grids["urban"].geometry.to_numpy()
    west, south, east, north = shapely.total_bounds(to_metric(grids, zone_of(grids)))
    page = sheet._page_for((west, south, east, north))
    frame_west, frame_east, frame_south, frame_north = page.extent_m()

    assert written.scale == page.scale and written.scale in (1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 7500)
    assert frame_west < west and east < frame_east and frame_south < south and north < frame_north
    assert frame_east - frame_west == pytest.approx(page.frame[2] / 1000 * page.scale)


@pytest.mark.parametrize(
    ("needed", "found"), [(999.0, 1000), (1000.0, 1000), (1001.0, 1250), (5100.0, 6000), (76_000.0, 100_000)]
)
def test_scales_are_round(needed, found):
    assert sheet._round_scale(needed) == found


def test_every_net_and_division_is_drawn_line_by_line(svg):
    drawn = [
        len(re.findall("<path", group)) for group in re.findall(r'<g id="LineCollection_\d+">(.*?)</g>', svg, re.DOTALL)
    ]
    counts = [len(content().grids[one]) for one in ("unified", "urban", "social", "security")]

    # streets first, then the nets from below, then communities, the street office, the district
    assert drawn[1:5] == counts
    assert drawn[5:] == [4, 1, 1]


def test_the_legend_tells_counts_scale_date_projection_and_sources():
    page = sheet._page_for((0, 0, 900, 600))
    texts = sheet._texts(content(), ["unified", "social"], page, 4548)
    said = " ".join(texts.values())

    assert "试验区网格图" in said and "2026-01-01 08:00" in said and "EPSG:4548" in said
    assert f"1 : {page.scale:,}" in said and "治理网格（社会服务） Governance grids（16）" in said
    assert "ODbL" in said and "北 N" in said


def test_only_the_nets_asked_for_are_drawn(tmp_path):
    assert dict(write_sheet_map(content(), tmp_path / "map.svg", networks=["unified"]).grids) == {"unified": 16}


@pytest.mark.parametrize(
    ("name", "changes", "networks", "error"),
    [
        ("map.jpg", {}, (), RequestInvalidError),
        ("map.pdf", {}, ("police",), RequestInvalidError),
        ("map.pdf", {"grids": {}}, (), NotFoundError),
        ("map.pdf", {"grids": {}, "counts": {}}, (), NotFoundError),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_written(tmp_path, name, changes, networks, error):
    with pytest.raises(error):
        write_sheet_map(replace(content(), **changes), tmp_path / name, networks=networks)

    assert list(tmp_path.iterdir()) == []


def test_grids_of_several_parts_are_drawn_as_those_of_one(tmp_path):
    """As they are stored: everything is a MultiPolygon there."""
    stored = {
        network: frame.set_geometry([shapely.MultiPolygon([shape]) for shape in frame.geometry], crs=frame.crs)
        for network, frame in content().grids.items()
    }
    single = write_sheet_map(content(), tmp_path / "single.png")
    several = write_sheet_map(replace(content(), grids=stored), tmp_path / "several.png")

    assert several.out.read_bytes() == single.out.read_bytes()


def test_a_place_that_cannot_be_written_to_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "taken.pdf").mkdir()
    with pytest.raises(FileUnreadableError, match=r"taken\.pdf cannot be written"):
        write_sheet_map(content(), tmp_path / "taken.pdf")

    assert [path.name for path in tmp_path.iterdir()] == ["taken.pdf"]
