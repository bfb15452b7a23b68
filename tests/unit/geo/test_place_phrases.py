"""Where something is, in words: directions, distances as people say them, phrases."""

import pytest

from gridsvc.geo.addresses import DIRECTIONS
from gridsvc.geo.place_phrases import Landmark, bearing_deg, direction_of, distance_m, moved, place_phrase, rounded_m


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_moving_and_looking_back_agree(direction):
    lon, lat = moved(114.25, 30.58, direction, 120.0)

    assert direction_of(bearing_deg(114.25, 30.58, lon, lat)) == direction
    assert distance_m(114.25, 30.58, lon, lat) == pytest.approx(120.0, rel=0.005)


@pytest.mark.parametrize(("bearing", "direction"), [(0, "北"), (22.4, "北"), (22.5, "东北"), (180, "南"), (337.4, "西北"), (337.5, "北"), (-45, "西北")])  # fmt: skip
def test_a_bearing_is_one_of_eight_directions(bearing, direction):
    assert direction_of(bearing) == direction


@pytest.mark.parametrize(("metres", "said"), [(1, 5), (23, 25), (82, 80), (450, 450), (734, 750)])
def test_distances_are_said_in_round_numbers(metres, said):
    assert rounded_m(metres) == said


@pytest.mark.parametrize(
    ("how", "phrase"),
    [
        ({"divisions": ["江汉区"], "street": "中山大道", "number": "12"}, "江汉区中山大道12号附近"),
        ({"divisions": ["江汉区"], "street": "中山大道", "street_distance_m": 20.0}, "江汉区中山大道"),
        ({"divisions": ["江汉区"], "street": "中山大道", "street_distance_m": 90.0}, "江汉区中山大道附近"),
        ({"divisions": ["江汉区"], "landmark": Landmark("民众乐园", 5.0, "东")}, "江汉区，民众乐园处"),
        ({"divisions": [], "landmark": Landmark("民众乐园", 82.0, "东")}, "民众乐园东方向约80米"),
        ({"divisions": []}, ""),
    ],
)
def test_a_phrase_says_what_is_known(how, phrase):
    assert place_phrase(**how) == phrase
