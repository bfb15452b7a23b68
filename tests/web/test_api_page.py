"""docs/api.md says what the code does: every code with its status, every tile layer, the example as posted."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from gridsvc import errors
from gridsvc.resources import content_dir
from gridsvc.services.tiles import LAYER_NAMES
from gridsvc.store.events import KINDS
from gridsvc.web.errors import STATUS

PAGE = (content_dir("migrations").parent / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_code_is_listed_with_its_status():
    rows = dict(re.findall(r"^\| (\d{3})[^|]* \| (.*) \|$", PAGE, re.M))
    kinds = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c in STATUS]

    missing = [c.code for c in kinds if f"`{c.code}`" not in rows[str(STATUS[c])]]

    assert missing == []


def test_every_tile_layer_is_listed():
    assert [layer for layer in LAYER_NAMES if f"`{layer}`" not in PAGE] == []


def test_every_kind_of_event_is_listed_with_what_it_tells():
    rows = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| [^|]* \| (.*) \|$", PAGE, re.M))
    grids = {"urban_grid", "security_grid", "unified_grid"}  # as social_grid

    assert {kind: set(re.findall(r"`(\w+)`", told)) for kind, told in rows.items()} == {
        kind: fields - grids for kind, fields in KINDS.items()
    }


@pytest.mark.postgis
def test_the_example_report_is_one(town_client):
    body = json.loads(re.search(r"-d '(\{.*?\})'", PAGE, re.S)[1])
    answer = town_client.post("/api/v1/reports", json=body | {"occurred_at": "2026-06-20T08:30:00+08:00"})

    assert answer.status_code == 201, answer.text
