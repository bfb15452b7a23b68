"""Departments, kept crosswalks and kept conflicts through the real entry point, on the stored town."""

from __future__ import annotations

import itertools
import json

import pandas as pd
import pytest
from factories import served_duties
from factories import stored_town as town

pytestmark = pytest.mark.postgis
_numbers = itertools.count()
AT = ("--at", "2026-02-01T00:00:00Z")
SOCIAL, SECURITY = (f"{name}:{town.DISTRICT}@2026-02-01T00:00:00Z" for name in ("social", "security"))


@pytest.fixture
def gridsvc_database(postgis_server, town_template):
    """The served town in a database of its own."""
    name = f"{town_template}_departments_{next(_numbers)}"
    yield postgis_server.create(name, town_template)
    postgis_server.drop(name)


def test_departments_are_listed_exported_and_retired(gridsvc, tmp_path):
    listed = json.loads(gridsvc("departments", "list", *AT, "--json")[1])
    duties = gridsvc("departments", "duties", "--prefix", town.COMMUNITIES[3], *AT)[1]
    out = tmp_path / "duties.csv"
    status, _, _ = gridsvc("export", "duties", *AT, "--out", str(out))
    again = gridsvc("import", "duties", str(out), "--valid-from", "2026-03-01", "--json")

    assert [row["department_code"] for row in listed] == list(served_duties.DEPARTMENTS)
    assert "duties: 2" in duties
    assert status == 0
    assert json.loads(again[1])["rows_unchanged"] == len(served_duties.DUTIES)
    retired = json.loads(gridsvc("departments", "retire", "FIRE", "--at", "2026-05-01", "--json")[1])
    assert retired == {"departments": 1, "duties": 2}
    duty = json.loads(gridsvc("departments", "retire-duty", "D2", "--at", "2026-05-01", "--json")[1])
    assert duty == {"departments": 0, "duties": 1}
    status, _, wrong = gridsvc("departments", "retire", "FIRE", "--at", "2026-06-01")
    assert (status, "no department in force" in wrong) == (1, True)


def test_a_crosswalk_is_kept_written_and_figures_carried_over(gridsvc, tmp_path):
    saved = gridsvc("networks", "crosswalk", SOCIAL, SECURITY, "--save", "--json")
    (listed,) = json.loads(gridsvc("networks", "crosswalks", "--prefix", town.DISTRICT, "--json")[1])
    shown = gridsvc("networks", "crosswalks")[1]
    out, figures = tmp_path / "crosswalk.csv", tmp_path / "2025.csv"
    status, _, _ = gridsvc("networks", "crosswalk-export", listed["crosswalk_id"], "--out", str(out))
    codes = sorted(set(pd.read_csv(out, dtype=str)["first_code"]))
    pd.DataFrame({"grid": codes, "people": [100 + n for n in range(len(codes))]}).to_csv(figures, index=False)

    carried = json.loads(
        gridsvc("networks", "rebase", listed["crosswalk_id"], str(figures), "--code", "grid", "--value", "people",
                "--whole", "--out", str(tmp_path / "2026.xlsx"), "--json")[1]
    )  # fmt: skip

    assert saved[0] == status == 0
    assert listed["crosswalk_id"] in saved[2]
    assert listed["crosswalk_id"] in shown
    assert carried["placed"] + carried["unplaced"] == carried["given"] == sum(100 + n for n in range(8))
    assert (tmp_path / "2026.xlsx").is_file()


def test_networks_compared_are_kept_only_when_stored(gridsvc, tmp_path):
    status, printed, _ = gridsvc(
        "networks", "compare", f"social:{town.DISTRICT}", f"security:{town.DISTRICT}", *AT, "--save"
    )

    assert status == 0
    assert "conflicts: 0 rows" in printed
    points = tmp_path / "net.geojson"
    points.write_text('{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"code": "A"}, "geometry":'
                      ' {"type": "Polygon", "coordinates": [[[114, 30], [114.1, 30], [114, 30.1], [114, 30]]]}}]}')  # fmt: skip
    status, _, wrong = gridsvc("networks", "compare", str(points), "--datum", "wgs84", "--save")
    assert status == 2
    assert "stored networks only" in wrong


def test_answers_of_stored_networks_name_department_and_worker(gridsvc, tmp_path):
    points = tmp_path / "events.csv"
    places = [town.community_box(code).bounds for code in (town.COMMUNITIES[2], town.COMMUNITIES[3])]
    pd.DataFrame(
        {"lon": [b[0] + 0.002 for b in places], "lat": [b[1] + 0.002 for b in places], "class": ["E06001", "E06001"]}
    ).to_csv(points, index=False)
    asked = ("networks", "answers", SOCIAL, SECURITY, "--points", str(points), "--points-datum", "cgcs2000", "--json")

    found = json.loads(gridsvc(*asked, "--category-column", "class")[1])["answers"]

    assert [row[f"department_{SOCIAL}"] for row in found] == ["FIRE", "FIRE | ROADS"]
    assert [row[f"worker_{SOCIAL}"] for row in found] == ["WK0004", "WK0006"]
    plain = json.loads(gridsvc(*asked)[1])["answers"]
    assert [row[f"department_{SECURITY}"] for row in plain] == ["FIRE", "FIRE"]
    status, _, wrong = gridsvc(*asked, "--category", "E99999")
    assert (status, "has no category E99999" in wrong) == (1, True)
