"""Parsing without a database: instants, boxes, paths, redirects, JSON out."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from flask import Flask
from pydantic import BaseModel, ValidationError

from gridsvc.web.json_bodies import dumps, instant_text
from gridsvc.web.localisation import local_path
from gridsvc.web.openapi import rule_to_path
from gridsvc.web.parameters import Bbox, Instant


class Read(BaseModel):
    at: Instant | None = None
    bbox: Bbox | None = None


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-01-01T08:00:00+08:00", 0),
        ("2026-01-01T08:00:00 08:00", 0),  # the plus sign was lost in a query
        ("2026-01-01 08:00+0800", 0),
        ("2026-01-01T08:00:00.123456Z", 8),
    ],
)
def test_instants_are_read_as_utc(text, hour):
    at = Read(at=text).at

    assert (at.tzinfo, at.hour) == (UTC, hour)


@pytest.mark.parametrize("value", ["2026-01-01T08:00:00", "2026-01-01", "now", "", 1767225600, 1.5, True])
def test_what_is_no_instant_with_offset_is_refused(value):
    with pytest.raises(ValidationError):
        Read(at=value)


@pytest.mark.parametrize(
    "text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "3,2,1,4", "1,4,3,2", "inf,0,inf,1", "nan,0,1,1", ""]
)
def test_what_is_no_box_is_refused(text):
    with pytest.raises(ValidationError):
        Read(bbox=text)


def test_a_box_is_four_numbers():
    assert Read(bbox="114.2,30.5,114.3,30.6").bbox == (114.2, 30.5, 114.3, 30.6)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/api/v1/grids/<code>", "/api/v1/grids/{code}"),
        ("/tiles/<layer>/<int:z>/<int:x>/<int:y>.mvt", "/tiles/{layer}/{z}/{x}/{y}.mvt"),
        ("/r/<uuid:report_id>", "/r/{report_id}"),
    ],
)
def test_rules_become_openapi_paths(rule, path):
    assert rule_to_path(rule) == path


@pytest.mark.parametrize(
    "path", ["//elsewhere", "https://elsewhere", "/\\elsewhere", "relative", "", "/a\nb", "javascript:x"]
)
def test_paths_to_elsewhere_become_the_start(path):
    with Flask(__name__).test_request_context():
        assert local_path(path) == "/"


def test_instants_leave_in_utc_with_z():
    assert instant_text(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"


def test_nan_never_leaves():
    with pytest.raises(ValueError):
        dumps({"x": math.nan})
