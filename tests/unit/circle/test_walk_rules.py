import csv

import numpy as np
import pytest

from gridsvc.circle.walk_rules import (
    PASSAGES,
    is_signal_crossing,
    is_way_walkable,
    load_penalties,
    passage_of_way,
    passage_seconds,
    with_penalties,
)
from gridsvc.errors import RequestInvalidError
from gridsvc.resources import content_dir


@pytest.fixture
def penalties():
    with (content_dir("data") / "walk_penalties.csv").open(encoding="utf-8", newline="") as table:
        return load_penalties(csv.DictReader(table))


@pytest.mark.parametrize(
    ("tags", "walkable"),
    [
        ({"highway": "residential", "oneway": "yes"}, True),
        ({"highway": "residential", "access": "private"}, False),
        ({"highway": "residential", "access": "private", "foot": "yes"}, True),
        ({"highway": "residential", "access": "destination"}, True),
        ({"highway": "service", "access": "no"}, False),
        ({"highway": "primary", "foot": "no"}, False),
        ({"highway": "primary", "foot": "use_sidepath"}, False),
        ({"highway": "primary", "motorroad": "yes"}, False),
        ({"highway": "trunk"}, False),
        ({"highway": "trunk", "foot": "designated"}, True),
        ({"highway": "motorway", "foot": "yes"}, False),
        ({"highway": "construction", "foot": "yes"}, False),
        ({"highway": "cycleway"}, True),
        ({"highway": "cycleway", "foot": "no"}, False),
        ({"highway": "steps"}, True),
        ({"building": "yes"}, False),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value),
)
def test_access_of_walkers(tags, walkable):
    assert is_way_walkable(tags) is walkable


@pytest.mark.parametrize(
    ("tags", "passage"),
    [
        ({"highway": "footway", "footway": "crossing", "crossing": "traffic_signals"}, "signal_crossing"),
        ({"highway": "footway", "footway": "crossing", "crossing:signals": "yes"}, "signal_crossing"),
        ({"highway": "footway", "footway": "crossing", "crossing": "zebra"}, ""),
        ({"highway": "footway", "bridge": "yes"}, "overpass"),
        ({"highway": "steps", "bridge": "yes"}, "steps"),
        ({"highway": "footway", "tunnel": "yes"}, "underpass"),
        ({"highway": "footway", "tunnel": "building_passage"}, ""),
        ({"highway": "secondary", "bridge": "yes"}, ""),
        ({"highway": "steps"}, "steps"),
        ({"highway": "elevator"}, "elevator"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value or "nothing",
)
def test_what_a_way_passes(tags, passage):
    assert passage_of_way(tags) == passage


def test_signals_for_cars_alone_are_no_crossing():
    assert not is_signal_crossing({"highway": "traffic_signals"})
    assert is_signal_crossing({"highway": "traffic_signals", "crossing": "traffic_signals"})


def test_every_passage_has_a_penalty_within_its_range_and_with_its_source(penalties):
    with (content_dir("data") / "walk_penalties.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))

    assert tuple(penalties) == PASSAGES
    assert all(float(row["least_s"]) <= float(row["seconds"]) <= float(row["most_s"]) for row in rows)
    assert all(row["source"] for row in rows)


def test_seconds_are_shared(penalties):
    passage = np.array(["", "signal_crossing", "overpass"], dtype=object)

    assert passage_seconds(passage, [0.0, 0.5, 0.25], penalties).tolist() == [0.0, 20.0, 12.5]
    assert passage_seconds(passage, [0.0, 0.5, 1.0], with_penalties(penalties, {"overpass": 60})).tolist() == [
        0,
        20,
        60,
    ]


@pytest.mark.parametrize(
    ("asked", "told"), [({"ford": 9}, "no passage"), ({"overpass": -1}, "outside"), ({"steps": 999}, "outside")]
)
def test_impossible_penalties_are_refused(penalties, asked, told):
    with pytest.raises(RequestInvalidError, match=told):
        with_penalties(penalties, asked)
