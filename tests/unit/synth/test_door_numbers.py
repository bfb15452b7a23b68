"""Door numbers of made-up streets: odd and even sides, rising along the whole street."""

import numpy as np
import shapely

from gridsvc.synth.door_numbers import METRES_PER_NUMBER, DoorNumbers
from gridsvc.synth.ground import Streets

# one street in three pieces, the middle one drawn the other way round; a service way beside it
PIECES = [[(0, 0), (100, 0)], [(200, 0), (100, 0)], [(200, 0), (300, 10)], [(0, 50), (300, 50)]]
STREETS = Streets(
    np.array([shapely.LineString(xy) for xy in PIECES], dtype=object),
    ["primary", "primary", "primary", "service"],
    ["听松大道", "听松大道", "听松大道", "便道"],
    np.zeros(4, dtype=np.int64),
)


def numbers(points):
    doors = DoorNumbers.of(STREETS)
    places = shapely.points(points)
    return doors.numbers(doors.nearest(places), places)


def test_numbers_rise_along_the_street_whichever_way_its_pieces_run():
    along = numbers([(x, 5.0) for x in range(5, 300, 10)])

    assert (np.diff(along) > 0).all()


def test_one_side_is_odd_the_other_even():
    assert (numbers([(x, 8.0) for x in range(5, 200, 10)]) % 2 == 1).all()
    assert (numbers([(x, -8.0) for x in range(5, 200, 10)]) % 2 == 0).all()


def test_a_number_stands_for_its_metres():
    first, last = numbers([(5.0, 5.0), (5.0 + 10 * METRES_PER_NUMBER, 5.0)])

    assert last - first == 20


def test_service_ways_have_no_numbers():
    assert set(DoorNumbers.of(STREETS).names) == {"听松大道"}
