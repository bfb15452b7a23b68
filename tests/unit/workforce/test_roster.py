import csv

import pytest

from gridsvc.resources import content_dir
from gridsvc.workforce.roster import (
    BEIJING_2022_ROLE_OF_KIND,
    ROSTER_RULES,
    committee_members,
    community_workers,
    station_staff,
)


@pytest.mark.parametrize(("households", "members"), [(999, 5), (1000, 7), (2000, 7), (2001, 9)])
def test_committee_grows_with_households(households, members):
    assert committee_members(households) == members


@pytest.mark.parametrize(("households", "staff"), [(0, 0), (1, 1), (500, 1), (501, 2), (2999, 6)])
def test_one_of_the_station_for_each_five_hundred_households(households, staff):
    assert station_staff(households) == staff


@pytest.mark.parametrize(("population", "workers"), [(1000, 9), (4999, 9), (5000, 9), (5556, 11), (10_000, 18)])
def test_eighteen_community_workers_for_ten_thousand_people(population, workers):
    assert community_workers(population) == workers


def test_every_rule_names_its_source():
    assert all(rule.source and rule.rule for rule in ROSTER_RULES)


def test_roles_are_of_kinds_in_the_catalogue():
    with (content_dir("data") / "catalogue" / "workers.csv").open(encoding="utf-8-sig", newline="") as file:
        kinds = {row["code"] for row in csv.DictReader(file)}

    assert set(BEIJING_2022_ROLE_OF_KIND) <= kinds
