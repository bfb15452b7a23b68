"""docs/how-to/use-the-api.md: every call has an example, and every example works against a running server."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from factories import served_town, walking_town
from factories import stored_town as town
from factories.registers import register_csv
from factories.serve_process import ServeProcess, town_environment

from gridsvc.bootstrap import open_app
from gridsvc.resources import content_dir
from gridsvc.services.circles import build_network, run_circle
from gridsvc.services.crosswalks import save_crosswalk
from gridsvc.services.importing import import_file
from gridsvc.services.network_conflicts import compare_stored
from gridsvc.services.network_sources import StoredSource
from gridsvc.settings import read_settings
from gridsvc.web import create_app

pytestmark = [pytest.mark.postgis, pytest.mark.slow]
PAGE = (content_dir("migrations").parent / "docs" / "how-to" / "use-the-api.md").read_text(encoding="utf-8")
# its commands are run by tests/integration/test_photos_how_to.py
PHOTOS_PAGE = (content_dir("migrations").parent / "docs" / "how-to" / "photos.md").read_text(encoding="utf-8")
# options before the address, its path, options after it
CURL = re.compile(r'\bcurl\b(.*?)"\$GRIDSVC_URL(/[^"?]*)(?:\?[^"]*)?"(.*?)(?=\bcurl\b|\Z)', re.S)
HERE = town.COMMUNITIES[0]
WEST, SOUTH, EAST, NORTH = town.community_box(HERE).bounds
QUARTER = (EAST - WEST) / 4


def sections() -> dict[str, str]:
    """Return the commands of each section that has any, by its heading."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.M)
    fences = {
        title: "\n".join(re.findall(r"^```bash\n(.*?)^```$", body, re.S | re.M))
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    return {title: commands for title, commands in fences.items() if commands}


def shown_calls() -> set[tuple[str, str]]:
    """Return method and path of every curl of the pages, variables as they stand."""
    fences = [fence for page in (PAGE, PHOTOS_PAGE) for fence in re.findall(r"^```bash\n(.*?)^```$", page, re.S | re.M)]
    calls = set()
    for fence in fences:
        # the address of an upload is what the server answered
        text = re.sub(r"\$GRIDSVC_URL\$(UPLOAD|OTHER)", r"$GRIDSVC_URL/api/v1/uploads/$\1", fence)
        for before, path, after in CURL.findall(text):
            stated = re.search(r"-X (\w+)", before + after)
            sends = re.search(r"\s(-d|--data-binary|-F)\s", after)
            calls.add((stated[1].lower() if stated else "post" if sends else "get", path))
    return calls


def test_every_call_of_the_interface_has_an_example():
    app = create_app(served_town.Services(None), served_town.settings())
    paths = app.extensions["gridsvc_openapi"]["paths"]
    calls = shown_calls()

    def is_shown(method: str, path: str) -> bool:
        pattern = re.compile(re.sub(r"\\\{\w+\\\}", r"[^/:]+", re.escape(path)) + r"\Z")
        return any(m == method and pattern.match(shown) for m, shown in calls)

    missing = [f"{m.upper()} {path}" for path, methods in paths.items() for m in methods if not is_shown(m, path)]

    assert missing == []


def put_nested_grids(uow) -> None:
    """Put unit grids in force that name their governance grids, both with each other's corners, as after a division."""
    social = town.grid_frame(network="social", kind="governance", households=800, population=2400)
    urban = town.grid_frame(network="urban", kind="unit", parts=4)
    units = urban.geometry.to_numpy()
    social = social.set_geometry(
        [shapely.coverage_union_all(units[i : i + 2]) for i in range(0, len(units), 2)], crs=social.crs
    )
    urban["parent_code"] = np.repeat(social["code"].to_numpy(), 2)
    uow.divisions.put_frame(division_frame(urban), town.LATER)
    unified = social.assign(network="unified", kind="unified")
    networks = ["urban", "social", "unified"]
    redraw = uow.redraws.open_draft(networks, town.DISTRICT, "automatic", "test", town.START)
    uow.redraws.put_grids(redraw, pd.concat([urban, social, unified], ignore_index=True))
    uow.redraws.approve(redraw, "test", town.LATER, town.LATER, {})


def division_frame(units):
    """Return the divisions with every corner of the unit grids, so that these cover them exactly."""
    divisions = town.division_frame()
    within = [units[units["community_code"].str.startswith(code)].geometry.to_numpy() for code in divisions["code"]]
    return divisions.set_geometry(
        [shapely.MultiPolygon([shapely.coverage_union_all(shapes)]) for shapes in within], crs=divisions.crs
    )


def building_to_move():
    """Return a building in the fourth unit grid, near the third."""
    return town.residence_frame(count=1, residence_code="B1").set_geometry(
        [shapely.box(WEST + 0.0079, SOUTH + 0.001, WEST + 0.0081, SOUTH + 0.0012)], crs="EPSG:4490"
    )


@pytest.fixture(scope="module")
def shell():
    """Environment of the examples, and a server they work with."""
    with tempfile.TemporaryDirectory(prefix="gridsvc-curl-") as folder:
        Path(folder).chmod(0o755)
        environment = town_environment(Path(folder), GRIDSVC_ANONYMOUS="off", GRIDSVC_WORKERS="1")
        with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
            uow.streets.put_frame(walking_town.walking_streets())
            uow.residences.put_frame(building_to_move())
            put_nested_grids(uow)
            register = register_csv(Path(folder) / "components.csv")
            import_file(uow, "components", register, datum="cgcs2000", valid_from=town.START)
            build_network(uow, town.DISTRICT, town.LATER)
            run_circle(uow, town.DISTRICT, at=town.LATER)
            nets = [StoredSource(name, town.DISTRICT, town.LATER, name) for name in ("social", "urban")]
            compare_stored(uow, nets, now=town.LATER, actor="test")
            save_crosswalk(uow, *nets, now=town.LATER, actor="test")
            tokens = []
            for login in ("wang", "li"):
                uow.access.add_user(login, login, "manager", "")
                tokens.append(uow.access.issue_token(login))
            uow.commit()
        variables = {
            "GRIDSVC_TOKEN": tokens[0], "OTHER_TOKEN": tokens[1],
            "COMMUNITY": HERE, "GRID": f"{HERE}001", "LAST_GRID": f"{HERE}002",
            "LON": "114.2545", "LAT": "30.585",
            "UNIT": f"{HERE}001", "NEXT_UNIT": f"{HERE}002", "THIRD_UNIT": f"{HERE}003", "FOURTH_UNIT": f"{HERE}004",
            "BUILDING": "B1", "COMPONENT": "42010301037000001", "FACILITY": "F0000",
            "ACROSS": str([[WEST - 0.0001, SOUTH + 0.003], [WEST + QUARTER, SOUTH + 0.003]]),
            "BETWEEN": str([[WEST + 3 * QUARTER, SOUTH], [WEST + 3 * QUARTER + 0.0005, SOUTH + 0.005], [WEST + 3 * QUARTER, NORTH]]),
        }  # fmt: skip
        with (Path(folder) / "serve.log").open("wb") as log:
            server = ServeProcess(environment, log)
            server.start()
            yield {"PATH": environment["PATH"], "LANG": "C.UTF-8", "GRIDSVC_URL": server.url} | variables
            server.end()


@pytest.mark.parametrize("title", sections())
def test_the_examples_of_a_section_work(shell, title, tmp_path):
    script = f"set -eu -o pipefail\n{sections()[title]}"
    done = subprocess.run(
        ["bash", "-c", script], env=shell, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert done.stdout or "-o /dev/null" in script
