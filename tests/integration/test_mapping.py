"""The coverage map from a real PostGIS: what is stored is what is drawn, in scope, without phone numbers."""

import json
import re

import pandas as pd
import pytest
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    LATER,
    START,
    STREETS,
    division_frame,
    grid_frame,
    report_frame,
    street_frame,
    worker_frame,
)

from gridsvc.errors import NotFoundError
from gridsvc.maps import coverage
from gridsvc.services import mapping
from gridsvc.services.locating import locate_reports
from gridsvc.services.mapping import write_coverage

pytestmark = pytest.mark.postgis


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    for network, kind, parts in (("social", "governance", 2), ("security", "security", 3), ("unified", "unified", 2)):
        grids = grid_frame(network=network, kind=kind, parts=parts)
        redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "planner", START)
        uow.redraws.put_grids(redraw, grids)
        uow.redraws.approve(redraw, "manager", START, START, {"gap_area_m2": 0.0})
    uow.streets.put_frame(street_frame(source="streets_osm.parquet"))
    uow.workers.put_frame(worker_frame(phone="13800001234"), START)
    assigned = pd.DataFrame({"worker_code": ["WK0000"], "grid_code": [f"{COMMUNITIES[0]}001"], "role": ["full_time"]})
    uow.assignments.put_in_force(
        assigned.assign(is_primary=True, deputy_of=None), network="social", prefix=DISTRICT, at=START
    )
    reports = report_frame()
    uow.reports.ensure_months(reports["reported_at"].min(), reports["reported_at"].max())
    uow.reports.add_frame(reports)
    locate_reports(uow)
    return uow


def layers(path):
    text = path.read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="gridsvc-data">(.*?)</script>', text, re.DOTALL).group(1))
    return {entry["id"]: entry for entry in found["layers"]}


def test_the_map_of_a_district_shows_what_is_stored(town, tmp_path):
    out = tmp_path / "map.html"

    written = write_coverage(town, DISTRICT, at=LATER, out=out)

    assert written.features["grids_social"] == 8
    assert written.features["grids_security"] == 12
    drawn = layers(out)
    social = drawn["grids_social"]
    assert social["worker"][0] == "网格员0"
    assert sum(social["reports"]) == 20
    assert drawn["streets"]["count"] == 3
    text = out.read_text(encoding="utf-8")
    assert "13800001234" not in text
    assert "ODbL" in text
    assert "江汉区 网格覆盖图" in text


def test_a_street_office_and_a_scope_cut_the_map(town, open_uow, tmp_path):
    out = tmp_path / "map.html"

    part = write_coverage(town, STREETS[0], at=LATER, out=out)
    with open_uow(STREETS[0]) as narrow:
        scoped = write_coverage(narrow, None, at=LATER, out=out)

    assert part.features["grids_social"] == scoped.features["grids_social"] == 4


def test_a_city_is_read_as_counts(town, tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "MOST_GRIDS", 10)

    written = write_coverage(town, DISTRICT, at=LATER, out=tmp_path / "map.html")

    assert written.aggregated
    communities = layers(tmp_path / "map.html")["communities"]
    assert communities["social"] == [2] * 4
    assert communities["security"] == [3] * 4
    assert coverage.MOST_GRIDS > 10


def test_an_unknown_division_is_refused_and_nothing_is_written(town, tmp_path):
    with pytest.raises(NotFoundError):
        write_coverage(town, "999999", at=LATER, out=tmp_path / "map.html")
    assert list(tmp_path.iterdir()) == []
