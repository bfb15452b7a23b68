"""``gridsvc redraw`` through the real entry point: from a draft to approval, refused, discarded, settled."""

import json

import pytest

from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories import served_district as town
from tests.factories.served_district import COMMUNITIES

pytestmark = pytest.mark.postgis
COMMANDS = ("draft", "list", "show", "check", "impact", "approve", "discard", "settle")
HERE, NEXT, THIRD = COMMUNITIES[:3]


@pytest.fixture(scope="module")
def served(postgis_server, template_database):
    name = f"{template_database}_redraw_cli"
    url = postgis_server.create(name, template_database)
    engine = make_engine(url)
    with UnitOfWork(engine) as uow:
        town.put_served_district(uow)
        uow.commit()
    engine.dispose()
    yield url
    postgis_server.drop(name)


@pytest.fixture
def gridsvc_database(served):
    return served


def change(url, redraw_id, how):
    """Change the grids of a draft."""
    engine = make_engine(url)
    with UnitOfWork(engine) as uow:
        uow.redraws.put_grids(redraw_id, how(uow.redraws.grids(redraw_id)))
        uow.commit()
    engine.dispose()


def merging(community):
    return lambda frame: town.with_merged(frame, town.pair_of_neighbours(frame, community), f"{community}900")


def test_from_a_draft_to_approval(gridsvc, served):
    redraw_id = json.loads(gridsvc("redraw", "draft", HERE, "--by", "zhang", "--json")[1])["redraw_id"]
    change(served, redraw_id, merging(HERE))

    assert gridsvc("redraw", "check", redraw_id)[0] == 0
    impact = json.loads(gridsvc("redraw", "impact", redraw_id, "--json")[1])
    assert impact["open_cases"] == 4 and len(impact["inheriting"]) == 1
    status, printed, _ = gridsvc("redraw", "impact", redraw_id)
    assert status == 0 and "open cases that move: 4" in printed and f"{HERE}900 goes to" in printed
    status, _, error = gridsvc("redraw", "approve", redraw_id, "--by", "zhang")
    assert status == 1 and "may not approve it" in error
    done = json.loads(gridsvc("redraw", "approve", redraw_id, "--by", "li", "--json")[1])
    assert (done["effects"]["cases_moved"], done["effects"]["failed"]) == (4, "")
    shown = json.loads(gridsvc("redraw", "show", redraw_id, "--json")[1])
    assert (shown["state"], shown["decided_by"]) == ("approved", "li")
    assert redraw_id[:8] in gridsvc("redraw", "list", "--prefix", HERE)[1]


def test_a_draft_that_fails_its_checks_gives_exit_status_one(gridsvc, served):
    redraw_id = json.loads(gridsvc("redraw", "draft", NEXT, "--by", "zhang", "--json")[1])["redraw_id"]
    change(served, redraw_id, lambda frame: frame.iloc[1:])

    status, printed, _ = gridsvc("redraw", "check", redraw_id)

    assert status == 1 and "fault: A gap of" in printed
    assert gridsvc("redraw", "approve", redraw_id, "--by", "li")[0] == 1
    assert gridsvc("redraw", "discard", redraw_id, "--by", "zhang")[0] == 0
    states = json.loads(gridsvc("redraw", "list", "--state", "discarded", "--json")[1])
    assert [row["redraw_id"] for row in states] == [redraw_id]


def test_a_draft_from_a_file(gridsvc, served, tmp_path):
    engine = make_engine(served)
    with UnitOfWork(engine) as uow:
        held = uow.grids.list("social", THIRD)[["code", "name", "geometry"]]
    engine.dispose()
    held.to_file(tmp_path / "grids.geojson")

    status, printed, error = gridsvc(
        "redraw",
        "draft",
        THIRD,
        "--from",
        str(tmp_path / "grids.geojson"),
        "--datum",
        "cgcs2000",
        "--by",
        "zhang",
        "--json",
    )

    assert status == 0, error
    redraw_id = json.loads(printed)["redraw_id"]
    assert gridsvc("redraw", "check", redraw_id)[0] == 0
    shown = json.loads(gridsvc("redraw", "show", redraw_id, "--json")[1])
    assert (shown["origin"], shown["networks"]) == ("imported", ["social"])
    assert {row["kind"] for row in shown["lineage"]} == {"kept"}


def test_nothing_is_due(gridsvc):
    assert gridsvc("redraw", "settle")[:2] == (0, "nothing is due\n")


def test_unknown_and_misspelt_are_refused(gridsvc):
    status, _, error = gridsvc("redraw", "show", "nonsense")
    assert status == 1 and "There is no redraw nonsense" in error
    assert gridsvc("redraw", "approve", "5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10")[0] == 2
    for command in COMMANDS:
        assert (
            f"gridsvc redraw {command}" in gridsvc("redraw", command, "--help")[1].split("Usage")[1].split("xample:")[1]
        )
