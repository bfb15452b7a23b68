import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.circle.coverage import CircleStandard, StandardKind, circle_coverage
from gridsvc.circle.place_coverage import coverage_by_place, mean_counts
from gridsvc.errors import RequestInvalidError

INF = np.inf


def make_standard(*kinds: tuple[str, float, bool]) -> CircleStandard:
    return CircleStandard("own", "自定", "own", "test", False, "", tuple(StandardKind(*kind) for kind in kinds))


SHOP_AND_GYM = make_standard(("shop", 5, True), ("gym", 15, False))


def found_at(times_s, population, households, places, standard=SHOP_AND_GYM):
    return coverage_by_place(
        np.array(times_s, dtype=float), standard, population=population, households=households, place_codes=places
    )


def test_people_households_and_residences_have_their_own_shares():
    found = found_at([[10, INF], [INF, INF], [INF, INF]], [60, 20, 20], [1, 2, 1], ["a"] * 3)

    assert found.totals.tolist() == [[100, 4, 3]]
    assert found.kind_shares[0, :, 0].tolist() == [0.6, 0.25, pytest.approx(1 / 3)]
    assert found.complete_shares[0].tolist() == [0.6, 0.25, pytest.approx(1 / 3)]


def test_places_are_told_apart_and_come_by_code():
    found = found_at([[10, 10], [INF, 10]], [10, 10], [4, 4], ["b", "a"])

    assert found.place_codes == ("a", "b")
    assert found.is_qualified.tolist() == [False, True]
    assert found.is_lacking.tolist() == [[True, False], [False, False]]
    assert found.qualified_place_share == 0.5


def test_place_without_people_is_not_judged():
    found = found_at([[INF, INF]], [0], [3], ["a"])

    assert not found.is_judged[0] and not found.is_qualified[0] and not found.is_lacking.any()
    assert np.isnan(found.compliance[0]) and np.isnan(found.kind_shares[0, 0]).all()
    assert found.kind_shares[0, 1].tolist() == [0, 0]
    assert found.qualified_place_share is None


def test_no_residences_give_no_places():
    found = found_at(np.empty((0, 2)), [], [], [])

    assert found.place_codes == () and found.totals.shape == (0, 3)


@pytest.mark.parametrize(
    ("population", "places", "standard"),
    [([1], ["a", "a"], SHOP_AND_GYM), ([1, 2], ["a"], SHOP_AND_GYM), ([1, 2], ["a", "a"], make_standard())],
    ids=["people missing", "place missing", "no kinds"],
)
def test_what_does_not_fit_is_refused(population, places, standard):
    with pytest.raises(RequestInvalidError):
        found_at([[1, 1], [2, 2]], population, [1, 1], places, standard)


def test_mean_count_is_weighted_by_people():
    counts = np.array([[[0, 4]], [[2, 8]], [[7, 7]]])

    means = mean_counts(counts, [30, 10, 0], ["a", "a", "b"])

    assert means[0, 0].tolist() == [0.5, 5.0]
    assert np.isnan(means[1]).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 299.0, 300.0, 900.0, INF]), st.integers(0, 9), st.sampled_from("abc")),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_places_agree_with_the_communities_of_a_run_in_any_order(rows, random):
    def of(some):
        times = np.array([[t, t] for t, _, _ in some], dtype=float)
        people, codes = [p for _, p, _ in some], [c for _, _, c in some]
        return times, {"population": people, "households": people}, codes

    times, counted, codes = of(rows)
    whole = circle_coverage(times, SHOP_AND_GYM, **counted, community_codes=codes, facilities_of_kind=[1, 1])
    shuffled = list(rows)
    random.shuffle(shuffled)
    times, counted, codes = of(shuffled)
    found = coverage_by_place(times, SHOP_AND_GYM, **counted, place_codes=codes)

    assert found.place_codes == tuple(c.community_code for c in whole.communities)
    for row, community in enumerate(whole.communities):
        assert found.totals[row, 0] == community.population
        if community.population:
            assert bool(found.is_qualified[row]) == community.is_qualified
            assert found.complete_shares[row, 0] == community.complete_share
            assert found.compliance[row] == community.compliance
