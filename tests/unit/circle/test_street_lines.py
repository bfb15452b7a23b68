import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.street_lines import StreetLines, join_crossings, join_loose_ends
from gridsvc.circle.walk_network import build_walk_network
from tests.factories.street_towns import crooked_net

MAIN = LineString([(0, 0), (100, 0)])


def network(streets):
    return build_walk_network(streets.lines, layer=streets.layer, penalty_s=streets.penalty_s)


def test_cutting_keeps_length_and_shares_the_penalty():
    streets = StreetLines.of([MAIN, LineString([(0, 50), (60, 50), (60, 90)])], None, [0.0, 50.0])

    cut, source, middle_m = streets.cut(np.array([1, 1, 1, 1]), np.array([80.0, 25.0, 0.0, 100.0]))

    assert source.tolist() == [0, 1, 1, 1]
    assert shapely.length(cut.lines).tolist() == [100.0, 25.0, 55.0, 20.0]
    assert cut.penalty_s == pytest.approx([0.0, 12.5, 27.5, 10.0])
    assert middle_m.tolist() == [50.0, 12.5, 52.5, 90.0]


@pytest.mark.parametrize("short_m", [0.02, 0.3, 0.5])
def test_an_end_that_stops_short_of_a_line_is_joined_to_it(short_m):
    streets, joined = join_loose_ends(StreetLines.of([MAIN, LineString([(40, 50), (40, short_m)])], None, None))

    assert joined == 1
    assert len(network(streets).edge_u) == 3
    assert network(streets).components.components == 1


def test_an_end_further_away_than_the_tolerance_stays_loose():
    streets, joined = join_loose_ends(StreetLines.of([MAIN, LineString([(40, 50), (40, 0.6)])], None, None))

    assert joined == 0
    assert network(streets).components.components == 2


def test_ends_that_miss_each_other_meet_in_the_first():
    lines = [MAIN, LineString([(100.3, 0.2), (200, 0)]), LineString([(100.2, -0.1), (100, -90)])]

    streets, joined = join_loose_ends(StreetLines.of(lines, None, None))

    assert joined == 2
    assert network(streets).node_xy.tolist() == [[0, 0], [100, -90], [100, 0], [200, 0]]


def test_an_end_under_a_bridge_is_not_joined_to_it():
    lines = [MAIN, LineString([(40, 50), (40, 0.2)])]

    streets, joined = join_loose_ends(StreetLines.of(lines, [1, 0], None))

    assert joined == 0
    assert network(streets).components.components == 2


def test_a_tolerance_of_nothing_joins_nothing():
    given = StreetLines.of([MAIN, LineString([(40, 50), (40, 0.2)])], None, None)

    assert join_loose_ends(given, 0.0) == (given, 0)


def test_a_clean_net_stays_as_it_is():
    lines = crooked_net(3)

    streets, joined = join_loose_ends(StreetLines.of(lines, None, None))

    assert joined == 0
    assert network(streets).content_sha256 == build_walk_network(lines).content_sha256


def test_crossing_lines_meet_only_when_asked_for_and_on_one_layer():
    across = [LineString([(30, -50), (30, 50)]), LineString([(60, -50), (60, 50)])]
    given = StreetLines.of([MAIN, *across], [0, 0, 1], None)

    streets, crossings = join_crossings(given)

    assert crossings == 1
    assert network(given).components.components == 3
    assert network(streets).components.components == 2


def test_a_line_shorter_than_the_tolerance_vanishes_without_harm():
    lines = [MAIN, LineString([(40, 0.1), (40.2, 0.2)]), LineString([(40.1, 0.3), (40.1, 60)])]

    streets, joined = join_loose_ends(StreetLines.of(lines, None, [0.0, 7.0, 0.0]))

    assert joined > 0
    assert np.isfinite(network(streets).edge_penalty_s).all()


def test_cutting_a_line_of_no_length_keeps_its_penalty():
    given = StreetLines.of([LineString([(5, 5), (5, 5)])], None, [3.0])

    cut, _, _ = given.cut(np.array([0]), np.array([0.0]))

    assert cut.penalty_s.tolist() == [3.0]
