"""docs/how-to/photos.md: its commands run from top to bottom, against a real server with a real token."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from factories.killed_server import ServedProcess, environment_of

from gridsvc.bootstrap import open_app
from gridsvc.settings import read_settings

pytestmark = [pytest.mark.slow, pytest.mark.postgis]
PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "photos.md").read_text(encoding="utf-8")


@pytest.fixture
def served(tmp_path):
    """Address and token of a server that takes nothing without one."""
    environment = environment_of(tmp_path / "var", GRIDSVC_ANONYMOUS="off", GRIDSVC_WORKERS="1")
    with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
        uow.access.add_user("phone", "phone", "field")
        token = uow.access.issue_token("phone")
        uow.commit()
    with (tmp_path / "serve.log").open("wb") as log:
        server = ServedProcess(environment, log)
        server.start()
        yield {"GRIDSVC_URL": server.url, "GRIDSVC_TOKEN": token}
        server.end()


def test_the_commands_of_the_page_run(served, tmp_path):
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env={"PATH": "/usr/bin:/bin"} | served, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    receipts = [json.loads(text) for text in re.findall(r"\{.*?\}(?=\{|$)", done.stdout.strip(), flags=re.DOTALL)]
    assert receipts[0]["state"] == "held"
    assert set(receipts[0]) == set(json.loads(re.search(r"^```json\n(.*?)^```", PAGE, flags=re.M | re.S)[1]))
    assert '"state":"complete"' in done.stdout
    assert (tmp_path / "full.jpg").read_bytes()[:3] == (tmp_path / "small.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
