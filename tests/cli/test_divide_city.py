"""``gridsvc divide`` of a city through the real entry point: what is printed, what is resumed, which exit status."""

import json
from datetime import UTC, datetime

import pytest

from tests.factories.undivided_city import CITY, community_codes, district_codes, put_city

pytestmark = pytest.mark.postgis

AT = ("--at", "2026-01-01T00:00:00+00:00")


@pytest.fixture
def put(clean_database, monkeypatch):
    """Store a city in the database that the entry point uses."""
    from gridsvc.store.engine import make_engine
    from gridsvc.store.unit_of_work import UnitOfWork

    monkeypatch.setenv("GRIDSVC_DATABASE_URL", clean_database)

    def store(**changes):
        engine = make_engine(clean_database)
        with UnitOfWork(engine) as uow:
            put_city(uow, datetime(2026, 1, 1, tzinfo=UTC), **changes)
            uow.commit()
        engine.dispose()

    return store


def test_a_city_with_a_bad_community_is_divided_and_says_so(gridsvc, put):
    bad = community_codes(2, 2)[3]
    put(districts=2, undrawn=[bad])
    status, printed, _ = gridsvc("divide", CITY, *AT, "--draft")
    resumed = json.loads(gridsvc("divide", CITY, "--resume", "--json")[1])

    assert status == 0
    assert f"failed {bad}: Community {bad} has no boundary." in printed
    assert all(district in printed for district in district_codes(2))
    assert resumed["failed"] == [[bad, f"Community {bad} has no boundary."]]
    assert [part["state"] for part in resumed["parts"]] == ["done", "done"]
    assert sorted(resumed["redraws"]) == district_codes(2) and resumed["communities"] == 3
    assert "run id" in printed and resumed["run_id"] in printed


def test_the_exit_status_is_one_when_nothing_could_be_divided(gridsvc, put):
    put(districts=2, undrawn=community_codes(2, 2))
    status, printed, _ = gridsvc("divide", CITY, *AT)

    assert status == 1
    assert printed.count("has no boundary") == 4


def test_resume_takes_everything_from_the_run(gridsvc, put):
    put(districts=1)
    status, _, said = gridsvc("divide", CITY, "--resume", "--seed", "3", "--draft")

    assert status == 2 and "leave --draft, --seed away" in said
    assert gridsvc("divide", CITY, "--resume")[::2] == (
        1,
        f"gridsvc: There is no division run of {CITY} to resume. Leave --resume away to begin one.\n",
    )
