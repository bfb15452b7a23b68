"""``gridsvc geocode``, ``gridsvc gazetteer`` and ``gridsvc import addresses`` on a real database."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner
from factories import addressed_town
from factories import stored_town as town

from gridsvc.cli.geocoding import gazetteer, geocode_command
from gridsvc.cli.importing import import_group
from gridsvc.errors import ImportRefusedError, NotFoundError
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis


@pytest.fixture
def run(clean_database, monkeypatch):
    monkeypatch.setenv("GRIDSVC_DATABASE_URL", clean_database)
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        addressed_town.put_addressed_town(uow)
        uow.commit()
    engine.dispose()

    def run(command, *arguments):
        done = CliRunner().invoke(command, [str(argument) for argument in arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture
def orders(tmp_path):
    """An XLSX of orders, as a hotline exports them."""
    path = tmp_path / "12345工单.xlsx"
    addresses = ["江汉区南湖大道11号", "", "惠民菜场", "火星基地", "南湖大道与中兴路交叉口", "南湖大道51号附近"]
    frame = pd.DataFrame({"工单编号": [f"W{i}" for i in range(6)], "事发地址": addresses})
    frame.to_excel(path, index=False)
    return path


def test_orders_come_back_with_places_grids_and_reasons(run, orders, tmp_path):
    out = tmp_path / "已定位.xlsx"
    run(gazetteer, "build")

    result = json.loads(run(geocode_command, orders, "--out", out, "--json"))

    assert (result["rows"], result["located"], result["column"]) == (6, 3, "事发地址")
    assert result["by_match_kind"] == {"crossing": 1, "door": 1, "door_interpolated": 1}
    assert [(r["row"], r["reason"]) for r in result["refused"]] == [
        (2, "地址为空"),
        (3, "地址不唯一，有多处相符"),
        (4, "地名库中没有相符的地点"),
    ]
    located = pd.read_excel(out, sheet_name="已定位", dtype={"community_code": str})
    assert located["工单编号"].tolist() == [f"W{i}" for i in range(6)]
    assert located["community_code"][0] == town.COMMUNITIES[0]
    door = addressed_town.door(11)
    assert addressed_town.metres_apart(located["geo_lon"][0], located["geo_lat"][0], door) < 0.1
    assert pd.read_excel(out, sheet_name="未定位")["行号"].tolist() == [2, 3, 4]


def test_the_same_orders_give_the_same_bytes(run, orders, tmp_path):
    run(gazetteer, "build")

    files = [tmp_path / "a.xlsx", tmp_path / "b.xlsx"]
    for out in files:
        run(geocode_command, orders, "--out", out, "--at", "2026-06-01T00:00:00+08:00")

    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_column_can_be_named(run, tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("哪里\n南湖大道11号\n", encoding="utf-8")
    run(gazetteer, "build")

    with pytest.raises(ImportRefusedError, match="no column of addresses"):
        run(geocode_command, path, "--out", out)
    run(geocode_command, path, "--out", out, "--map", "哪里=address")

    assert pd.read_csv(out)["geo_match"].tolist() == ["door"]


def test_a_text_is_answered_at_once(run):
    run(gazetteer, "build")

    assert json.loads(run(geocode_command, "南湖大道11号", "--json"))[0]["match_kind"] == "door"
    assert "Nothing of this address" in run(geocode_command, "火星基地")


def test_without_a_gazetteer_the_way_out_is_named(run, orders, tmp_path):
    assert "gridsvc gazetteer build" in run(geocode_command, "南湖大道11号")
    with pytest.raises(NotFoundError, match="gridsvc gazetteer build"):
        run(geocode_command, orders, "--out", tmp_path / "x.xlsx")


def test_imported_door_numbers_are_found_at_once(run, tmp_path):
    lon, lat = addressed_town.door(51)
    path = tmp_path / "门牌.csv"
    path.write_text(f"街路巷,门牌号,经度,纬度\n南湖大道,51,{lon},{lat}\n", encoding="utf-8")

    run(import_group, "addresses", path, "--datum", "cgcs2000", "--valid-from", "2026-01-01")

    assert json.loads(run(geocode_command, "南湖大道51号", "--json"))[0]["match_kind"] == "door"
    assert json.loads(run(gazetteer, "status", "--json"))["is_behind"] is False


def test_an_import_can_leave_the_gazetteer_for_later(run, tmp_path):
    lon, lat = addressed_town.door(51)
    path = tmp_path / "门牌.csv"
    path.write_text(f"地址,经度,纬度\n南湖大道51号,{lon},{lat}\n", encoding="utf-8")

    run(import_group, "addresses", path, "--datum", "cgcs2000", "--no-gazetteer")

    assert json.loads(run(gazetteer, "status", "--json"))["is_behind"] is True


def test_bad_addresses_are_listed_row_by_row(run, tmp_path):
    lon, lat = addressed_town.door(51)
    path = tmp_path / "门牌.csv"
    path.write_text(
        f"地址,名称,经度,纬度\n南湖大道51号,,{lon},{lat}\n,,{lon},{lat}\n北湖大道1号,,0,0\n南湖大道51号,,{lon},{lat}\n",
        encoding="utf-8",
    )

    with pytest.raises(ImportRefusedError) as refused:
        run(import_group, "addresses", path, "--datum", "cgcs2000")

    assert {(fault.row, fault.field) for fault in refused.value.rows} >= {
        (1, "address"),
        (2, "address"),
        (3, "geometry"),
        (4, "address"),
    }
