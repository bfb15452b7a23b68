"""``gridsvc relocate``: what there is to do, and doing it, through the real entry point."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gridsvc.cli.relocating import relocate
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.integration.test_relocating import SINCE, one_community_redrawn, put_grids, put_town


def test_help_has_an_example():
    result = CliRunner().invoke(relocate, ["--help"])

    assert result.exit_code == 0 and "Example:" in result.output


@pytest.mark.postgis
@pytest.mark.slow
def test_a_dry_run_changes_nothing_and_twice_is_once(clean_database):
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        put_town(uow)
        put_grids(uow, one_community_redrawn(), at=SINCE)
        uow.commit()
    engine.dispose()

    def ask(*arguments):
        environ = {**os.environ, "GRIDSVC_DATABASE_URL": clean_database.replace("+psycopg", "")}
        command = [sys.executable, "-m", "gridsvc.cli.main", "relocate", *arguments, "--json"]
        return json.loads(subprocess.run(command, env=environ, check=True, capture_output=True, timeout=120).stdout)

    foreseen = ask("--dry-run")
    first, second = ask("420103"), ask()

    assert [row["network"] for row in foreseen] == ["social"] and foreseen[0]["ground_m2"] > 100_000
    assert first["changes"] == 1 and first["reports_moved"] == first["cases_moved"] > 0 and first["pending"] == 0
    assert second["changes"] == second["reports_moved"] == 0
