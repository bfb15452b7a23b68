import csv
import json
from pathlib import Path

import numpy as np
import pytest

from gridsvc.circle.coverage import (
    CircleStandard,
    StandardKind,
    circle_coverage,
    find_standard,
    kinds_lacking,
    load_standards,
)
from gridsvc.errors import NotFoundError
from gridsvc.resources import content_dir

INF = np.inf


def make_standard(*kinds: tuple[str, float, bool]) -> CircleStandard:
    return CircleStandard("own", "自定", "own", "test", False, "", tuple(StandardKind(*kind) for kind in kinds))


SHOP_AND_CLINIC = make_standard(("shop", 5, True), ("clinic", 15, True), ("gym", 15, False))


def coverage(times_s, population, communities, standard=SHOP_AND_CLINIC, households=None):
    return circle_coverage(
        np.array(times_s, dtype=float),
        standard,
        population=population,
        households=[p // 3 for p in population] if households is None else households,
        community_codes=communities,
        facilities_of_kind=[1] * len(standard.kinds),
    )


def test_each_kind_has_its_own_minutes():
    found = coverage([[299, 899, INF], [301, 901, 10]], [100, 300], ["a", "a"])

    assert [kind.population_covered for kind in found.kinds] == [100, 100, 300]
    assert [kind.population_share for kind in found.kinds] == [0.25, 0.25, 0.75]
    assert found.kinds[0].residence_share == 0.5


def test_household_share_counts_households():
    found = coverage([[10, 10, 10], [INF, INF, INF]], [10, 10], ["a", "a"], households=[3, 1])

    assert found.kinds[0].household_share == 0.75


@pytest.mark.parametrize(("covered", "qualified"), [(90, True), (89, False)])
def test_community_is_qualified_from_nine_tenths_of_the_people(covered, qualified):
    found = coverage([[10, 10, INF], [10, INF, INF]], [covered, 100 - covered], ["a", "a"])

    assert found.communities[0].is_qualified is qualified
    assert found.qualified == int(qualified)


def test_qualified_needs_all_kinds_for_the_same_people():
    times = [[10, INF, INF], [INF, 10, INF]] + [[10, 10, INF]] * 8

    found = coverage(times, [10] * 10, ["a"] * 10).communities[0]

    assert found.kind_population_share == {"shop": 0.9, "clinic": 0.9, "gym": 0.0}
    assert found.compliance == 1.0
    assert found.complete_share == 0.8
    assert found.is_qualified is False


def test_compliance_counts_required_kinds_only():
    found = coverage([[10, INF, 10]], [50], ["a"]).communities[0]

    assert found.compliance == 0.5
    assert found.lacking == ("clinic",)


def test_community_without_people_is_not_judged():
    found = coverage([[INF, INF, INF], [1, 1, 1]], [0, 10], ["empty", "lived"])

    empty = found.communities[1] if found.communities[0].community_code == "lived" else found.communities[0]
    assert (empty.is_qualified, empty.compliance, empty.lacking) == (None, None, ())
    assert found.community_share == 1.0


def test_no_residences_give_no_shares():
    found = coverage(np.empty((0, 3)), [], [])

    assert found.communities == ()
    assert found.community_share is None
    assert found.kinds[0].population_share is None


def test_residences_know_how_many_required_kinds_they_lack():
    times = np.array([[10, 10, INF], [400, 10, INF], [INF, INF, INF]])

    assert kinds_lacking(times, SHOP_AND_CLINIC).tolist() == [0, 1, 2]


@pytest.fixture(scope="module")
def standards():
    return load_standards(json.loads((content_dir("data") / "circle_standards.json").read_text("utf-8")))


def test_unknown_standard_is_refused_with_the_names_there_are(standards):
    with pytest.raises(NotFoundError, match=r"gb50180-15.*complete-community"):
        find_standard(standards, "gb50180-16")


def test_beijing_circle_has_thirty_slots(standards):
    assert len(standards["beijing-service"].kinds) == 30
    assert not standards["beijing-service"].is_verified


def test_fifteen_minute_circle_asks_for_the_lists_of_lower_levels_too(standards):
    minutes = {kind.minutes for kind in standards["gb50180-15"].kinds}

    assert minutes == {5, 10, 15}
    assert set(standards["gb50180-10"].codes) < set(standards["gb50180-15"].codes)


def test_standards_agree_with_the_facility_catalogue(standards):
    path = Path(content_dir("data")) / "catalogue" / "facilities.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        catalogue = {row["code"]: row for row in csv.DictReader(file)}

    for standard in standards.values():
        for kind in standard.kinds:
            row = catalogue[kind.code]
            assert (str(int(kind.minutes)), kind.required) == (row["circle_minutes"], row["required"] == "yes"), (
                kind.code
            )
        assert standard.is_verified == all(catalogue[code]["verified"] == "yes" for code in standard.codes)
        assert standard.source
