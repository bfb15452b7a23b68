"""``gridsvc facilities`` through the real entry point: a correction accepted, one refused, files for Amap."""

import json
from uuid import UUID

import pytest

from gridsvc.services.facility_corrections import NewCorrection, submit_correction
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories import stored_town as town

pytestmark = pytest.mark.postgis
COMMANDS = ("corrections", "correction", "accept", "refuse", "export", "export-corrections")
FIRST, SECOND = (f"7d2f9a54-0f0e-4c4c-9a2b-00000000000{number}" for number in (1, 2))


@pytest.fixture
def gridsvc_database(clean_database):
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(town.division_frame(), town.START)
        uow.facilities.put_frame(town.facility_frame(), town.START)
        for sent in (
            NewCorrection(UUID(FIRST), "renamed", town.LATER, facility_code="F0000", name="新站"),
            NewCorrection(UUID(SECOND), "closed", town.LATER, facility_code="F0001"),
        ):
            submit_correction(uow, sent, received_at=town.LATER, by="wang")
        uow.commit()
    engine.dispose()
    return clean_database


def test_corrections_are_decided_and_files_written(gridsvc, tmp_path):
    status, printed, _ = gridsvc("facilities", "corrections", "--state", "open")
    assert status == 0 and FIRST in printed and SECOND in printed
    assert "renamed" in gridsvc("facilities", "correction", FIRST)[1]

    accepted = json.loads(gridsvc("facilities", "accept", FIRST, "--by", "li", "--reason", "核实", "--json")[1])
    status, printed, _ = gridsvc("facilities", "refuse", SECOND, "--by", "li", "--reason", "仍在营业")
    assert (accepted["state"], accepted["applied_code"], status) == ("accepted", "F0000", 0)
    assert "refused" in printed
    assert gridsvc("facilities", "corrections", "--state", "open")[1].strip() == "no corrections"
    status, _, error = gridsvc("facilities", "accept", SECOND, "--by", "li", "--reason", "x")
    assert status == 1 and "was refused by li" in error

    told = json.loads(gridsvc("facilities", "export", "--out", str(tmp_path / "f.csv"), "--json")[1])
    listed = json.loads(gridsvc("facilities", "export-corrections", "--out", str(tmp_path / "c.csv"), "--json")[1])
    assert (told["rows"], told["datum"], listed["rows"]) == (4, "gcj02", 1)
    assert "新站" in (tmp_path / "c.csv").read_text(encoding="utf-8-sig")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(gridsvc, command):
    status, printed, _ = gridsvc("facilities", command, "--help")

    assert status == 0 and "Example:" in printed
