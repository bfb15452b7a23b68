"""``gridsvc quality`` and ``gridsvc map division`` through the real entry point."""

import json
from datetime import UTC, datetime

import pytest

from tests.factories.undivided_district import DISTRICT, put_district

pytestmark = pytest.mark.postgis

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def divided(postgis_server, template_database):
    from gridsvc.services.dividing import divide
    from gridsvc.store.engine import make_engine
    from gridsvc.store.unit_of_work import UnitOfWork

    name = f"{template_database}_quality_cli"
    url = postgis_server.create(name, template_database)
    engine = make_engine(url)
    with UnitOfWork(engine) as uow:
        put_district(uow, AT, columns=2, rows=1)
        divide(uow, DISTRICT, at=AT, actor="test", processes=1)
        uow.commit()
    engine.dispose()
    yield url
    postgis_server.drop(name)


@pytest.fixture
def gridsvc_database(divided):
    return divided


def test_the_report_is_a_table_for_people_and_json_for_machines(gridsvc, tmp_path):
    out = tmp_path / "report.json"

    status, printed, _ = gridsvc("quality", DISTRICT, "--out", str(out))
    plain = json.loads(gridsvc("quality", DISTRICT, "--json")[1])

    assert status == 0
    for words in ("gaps", "buildings cut", "within the bounds", "along streets", "compactness"):
        assert words in printed
    assert plain["gaps"] == {"count": 0, "area_m2": 0.0}
    assert len(plain["rows"]) == plain["grids"]
    written = json.loads(out.read_text(encoding="utf-8"))
    assert {k: v for k, v in written.items() if k != "at"} == {k: v for k, v in plain.items() if k != "at"}


def test_unit_grids_and_a_wider_tolerance(gridsvc):
    near = json.loads(gridsvc("quality", DISTRICT, "--kind", "unit", "--json", "--tolerance", "0.5")[1])
    far = json.loads(gridsvc("quality", DISTRICT, "--kind", "unit", "--json", "--tolerance", "5")[1])

    assert (near["kind"], near["network"]) == ("unit", "urban")
    assert near["on_target_share"] > 0.8
    assert far["border"]["street"]["share"] >= near["border"]["street"]["share"]


def test_the_division_map_is_written(gridsvc, tmp_path):
    out = tmp_path / "map.html"

    status, printed, _ = gridsvc("map", "division", "--division", DISTRICT, "--out", str(out), "--json")

    assert status == 0
    assert json.loads(printed)["bytes"] == out.stat().st_size


def test_refusals_are_one_sentence(gridsvc, tmp_path):
    status, _, wrong = gridsvc("quality", "110101")
    assert (status, wrong.count("\n")) == (1, 1)
    assert gridsvc("quality", DISTRICT, "--out", str(tmp_path / "no" / "r.json"))[0] == 1
    assert gridsvc("map", "division", "--division", DISTRICT, "--out", str(tmp_path / "no" / "m.html"))[0] == 1
    assert gridsvc("quality", DISTRICT, "--kind", "block")[0] == 2
    assert gridsvc("quality", DISTRICT, "--map", "code")[0] == 2
    assert "gridsvc quality 420103" in gridsvc("quality", "--help")[1]
    assert "gridsvc map division" in gridsvc("map", "division", "--help")[1]
