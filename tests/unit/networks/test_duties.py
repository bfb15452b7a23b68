"""Which department answers: precedence of ground and category, conflicts told, nothing settled by chance."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.errors import GridsvcError
from gridsvc.networks.duties import NOBODY, Duty, DutyIndex, settle

COMMUNITY = "420103001001"
GRID = f"{COMMUNITY}001"
NEW, OLD = "gbt-47678.5-2026", "gbt-30428.2-2013"
ROAD = ((NEW, "E06001"),)

DISTRICT_DUTY = Duty("1", "district", None, "420103")


def settled(*duties: Duty, categories=ROAD, network="urban", code=GRID):
    return settle(duties, network, code, categories)


def test_no_duty_means_nobody():
    assert settled() == NOBODY
    assert settled(Duty("1", "other", None, "420104")) == NOBODY
    assert not NOBODY.is_conflict


def test_the_smallest_ground_answers():
    duties = [
        DISTRICT_DUTY,
        Duty("2", "street", None, "420103001"),
        Duty("3", "community", None, COMMUNITY),
        Duty("4", "grid", "urban", GRID),
    ]

    found = settled(*duties)

    assert found.department == "grid"
    assert [duty.department for duty in found.beaten] == ["community", "street", "district"]
    assert settled(*duties, code=f"{COMMUNITY}002").department == "community"
    assert settled(*duties, network="security").department == "community"


def test_a_duty_in_one_network_goes_before_one_in_all_of_the_same_ground():
    both = [Duty("1", "all", None, COMMUNITY), Duty("2", "urban only", "urban", COMMUNITY)]

    assert settled(*both).department == "urban only"
    assert settled(*both, network="social").department == "all"


def test_the_nearest_category_answers_on_the_same_ground():
    duties = [
        DISTRICT_DUTY,
        Duty("2", "major", None, "420103", NEW, "E06"),
        Duty("3", "class", None, "420103", NEW, "E06001"),
    ]

    assert settled(*duties).department == "class"
    assert settled(*duties, categories=((NEW, "E06002"),)).department == "major"
    assert settled(*duties, categories=((NEW, "S01"),)).department == "district"
    assert settled(*duties, categories=()).department == "district"


def test_ground_counts_before_category():
    found = settled(Duty("1", "near", None, COMMUNITY), Duty("2", "exact", None, "420103", NEW, "E06001"))

    assert found.department == "near"
    assert [duty.department for duty in found.beaten] == ["exact"]


def test_departments_that_stand_alike_are_a_conflict_and_not_settled():
    alike = [Duty("b", "fire", None, COMMUNITY, NEW, "E06"), Duty("a", "police", None, COMMUNITY, NEW, "E06")]

    found = settled(*alike, DISTRICT_DUTY)

    assert found.department is None
    assert found.is_conflict
    assert [duty.code for duty in found.duties] == ["a", "b"]
    assert found.beaten == (DISTRICT_DUTY,)


def test_two_duties_of_one_department_are_no_conflict():
    assert settled(Duty("a", "fire", None, COMMUNITY), Duty("b", "fire", None, COMMUNITY)).department == "fire"


def test_a_class_is_known_by_the_codes_of_every_edition():
    duty = Duty("1", "roads", None, "420103", OLD, "E0101")

    assert settled(duty) == NOBODY
    assert settled(duty, categories=((NEW, "E06001"), (OLD, "E0101"))).department == "roads"


def test_a_code_of_another_edition_is_another_class():
    assert settled(Duty("1", "old", None, "420103", OLD, "E0600")) == NOBODY


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": None, "ground": GRID},
        {"network": None, "ground": "42", "edition": NEW},
        {"network": None, "ground": "42", "category": "E06"},
        {"network": None, "ground": "42", "edition": NEW, "category": ""},
    ],
)
def test_a_duty_that_cannot_be_understood_is_refused(wrong):
    with pytest.raises(GridsvcError, match="Duty D1"):
        Duty("D1", "any", **wrong)


GROUNDS = ("42", "420103", "420103001", COMMUNITY, GRID, f"{COMMUNITY}002", "420103002001")
CATEGORIES = ((None, None), (NEW, "E"), (NEW, "E06"), (NEW, "E06001"), (OLD, "E0101"))


@st.composite
def duty_lists(draw):
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from("PQR"), st.sampled_from(["urban", "social", None]), st.sampled_from(GROUNDS),
                st.sampled_from(CATEGORIES),
            ), max_size=12,
        )
    )  # fmt: skip
    return [
        Duty(f"{i:02d}", department, network or ("urban" if len(ground) > 12 else None), ground, *category)
        for i, (department, network, ground, category) in enumerate(drawn)
    ]


@settings(max_examples=150, deadline=None)
@given(
    duty_lists(), st.randoms(use_true_random=False), st.sampled_from(["urban", "social"]), st.sampled_from(GROUNDS),
    st.sampled_from([(), ROAD, ((OLD, "E0101"), (NEW, "E06001"))]),
)  # fmt: skip
def test_the_index_says_the_same_in_any_order_and_loses_no_duty(duties, random, network, code, categories):
    shuffled = duties.copy()
    random.shuffle(shuffled)

    found = settle(duties, network, code, categories)

    assert DutyIndex.of(shuffled).settle(network, code, categories) == found
    matching = {d.code for d in duties if d.holds_on(network, code) and d.holds_for(categories)}
    assert {d.code for d in (*found.duties, *found.beaten)} == matching
    assert found.is_conflict == (len({d.department for d in found.duties}) > 1)
    for weaker in found.beaten:
        assert weaker.precedence(categories) < found.duties[0].precedence(categories)
