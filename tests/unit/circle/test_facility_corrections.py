"""What speaks against a correction of a facility."""

import pytest

from gridsvc.circle.facility_corrections import DUPLICATE_M, FAR_MOVE_M, check_correction, corrected


def codes(*said, **known):
    return [finding.code for finding in check_correction(*said, **known)]


def test_nothing_speaks_against_a_short_move_in_the_district():
    assert codes("moved", "M101", moved_m=FAR_MOVE_M, district="420103", place_district="420103") == []


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({"moved_m": FAR_MOVE_M + 1}, ["far-move"]),
        ({"place_district": "420104"}, ["outside-division"]),
        ({"place_district": None}, ["outside-division"]),
        ({"changed_since": True}, ["changed-since"]),
        ({"near_codes": ["F1"], "near_kinds": ["M101"], "near_m": [DUPLICATE_M]}, ["duplicate"]),
        ({"near_codes": ["F1"], "near_kinds": ["M101"], "near_m": [DUPLICATE_M + 0.1]}, []),
        ({"near_codes": ["F1"], "near_kinds": ["M102"], "near_m": [0.0]}, []),
    ],
)
def test_each_check_finds_its_own(known, found):
    assert codes("moved", "M101", **({"district": "420103", "place_district": "420103"} | known)) == found


def test_duplicates_come_nearest_first():
    (found,) = check_correction(
        "new", "M101", place_district="420103", near_codes=["F3", "F1", "F2"], near_kinds=["M101"] * 3, near_m=[9, 5, 5]
    )

    assert found.facility_codes == ("F1", "F2", "F3")
    assert found.message == "F1, of the same kind, stands 5 m away."


def test_a_closed_one_has_no_duplicates():
    assert codes("closed", "M101", near_codes=["F1"], near_kinds=["M101"], near_m=[0.0]) == []


def test_what_a_correction_does_not_say_stays():
    held = {
        "kind_code": "M101",
        "name": "店",
        "address": "1号",
        "geometry": "here",
        "area": "ground",
        "entrances": "gate",
    }
    said = {"what": "renamed", "name": "新店", "address": "", "kind_code": None, "geometry": None, "original_datum": ""}

    assert corrected(held, said) == held | {"name": "新店"}


def test_a_facility_that_moves_loses_its_old_ground():
    held = {
        "kind_code": "M101",
        "name": "店",
        "address": "1号",
        "geometry": "here",
        "area": "ground",
        "entrances": "gate",
    }
    said = {
        "what": "moved",
        "name": "",
        "address": "2号",
        "kind_code": None,
        "geometry": "there",
        "original_datum": "gcj02",
    }

    assert corrected(held, said) == held | {
        "geometry": "there", "area": None, "entrances": None, "address": "2号", "original_datum": "gcj02",
    }  # fmt: skip
