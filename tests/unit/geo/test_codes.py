"""Division codes and grid codes: lengths, prefixes, schemes as data, numbering."""

import json

import numpy as np
import pytest

from gridsvc.errors import CodeMalformedError, CodesExhaustedError
from gridsvc.geo import division_codes, grid_codes
from gridsvc.resources import content_dir

SCHEMES = grid_codes.load_schemes(json.loads((content_dir("data") / "code_schemes.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("code", "level", "parent"),
    [
        ("42", "province", None),
        ("4201", "city", "42"),
        ("420103", "district", "4201"),
        ("420103001", "street", "420103"),
        ("420103001002", "community", "420103001"),
        ("010101001001", "community", "010101001"),
    ],
)
def test_levels_and_parents(code, level, parent):
    assert division_codes.level_of(code) == level
    assert division_codes.parent_of(code) == parent


@pytest.mark.parametrize(
    "code", ["", "4", "42010", "42010300100", "4201030010021", "42010a", "４２０１０３", " 420103", 420103, None]
)
def test_malformed_division_codes_are_refused(code):
    with pytest.raises(CodeMalformedError):
        division_codes.check_division_code(code)


@pytest.mark.parametrize(
    ("padded", "short"),
    [
        ("420103000000", "420103"),
        ("420103001000", "420103001"),
        ("420100", "4201"),
        ("420000000000", "42"),
        ("420103001002", "420103001002"),
    ],
)
def test_padded_codes_are_shortened_and_refused_with_the_short_form(padded, short):
    assert division_codes.unpad(padded) == short
    if padded != short:
        with pytest.raises(CodeMalformedError, match=short):
            division_codes.check_division_code(padded)


def test_a_code_of_another_level_is_refused():
    with pytest.raises(CodeMalformedError, match="street"):
        division_codes.check_division_code("420103001", "community")
    assert division_codes.ancestor_of("420103001002007", "district") == "420103"


def test_the_default_scheme_is_the_default_of_the_data():
    assert next(iter(SCHEMES.values())) == grid_codes.DEFAULT_SCHEME
    assert {s.id: s.length for s in SCHEMES.values()} == {
        "db11-2157-2023": 15,
        "gbt-47678.3-2026": 15,
        "cjt-213-2005": 14,
    }
    assert all(s.source and isinstance(s.verified, bool) for s in SCHEMES.values())


@pytest.mark.parametrize(
    ("scheme", "code"), [("db11-2157-2023", "010103001002007"), ("cjt-213-2005", "01010300100207")]
)
def test_parts_of_a_grid_code(scheme, code):
    parts = grid_codes.parse(code, SCHEMES[scheme])

    assert parts == ("010103", "010103001", "010103001002", 7)
    assert grid_codes.format(parts.community, parts.serial, SCHEMES[scheme]) == code


@pytest.mark.parametrize(
    "code", ["42010300100200", "4201030010020077", "42010300100200x", "420103001002000", "４20103001002007", ""]
)
def test_malformed_grid_codes_are_refused(code):
    with pytest.raises(CodeMalformedError):
        grid_codes.parse(code)


def test_serials_that_do_not_fit_are_refused():
    with pytest.raises(CodesExhaustedError, match="99"):
        grid_codes.format("420103001002", 100, SCHEMES["cjt-213-2005"])
    with pytest.raises(CodesExhaustedError):
        grid_codes.format("420103001002", 0)


@pytest.mark.parametrize("broken", ["parts", "default", "twice"])
def test_broken_scheme_data_is_refused(broken):
    content = json.loads((content_dir("data") / "code_schemes.json").read_text(encoding="utf-8"))
    if broken == "parts":
        content["schemes"][0]["parts"].reverse()
    elif broken == "default":
        content["default"] = "none"
    else:
        content["schemes"].append(content["schemes"][0])

    with pytest.raises(CodeMalformedError):
        grid_codes.load_schemes(content)


def test_numbers_run_west_to_east_then_north_to_south():
    x, y = [100.0, 0.0, 100.0, 0.0, 50.0], [0.0, 0.0, 100.0, 100.0, 50.0]

    assert grid_codes.number_west_to_east(x, y).tolist() == [5, 2, 4, 1, 3]


def test_noise_does_not_split_a_column_and_a_band_widens_it():
    assert grid_codes.number_west_to_east([0.0, 1e-9], [0.0, 100.0]).tolist() == [2, 1]
    assert grid_codes.number_west_to_east([0.0, 9.0], [0.0, 100.0], band=20.0).tolist() == [2, 1]


def test_used_serials_are_never_given_again():
    assert grid_codes.number_west_to_east([0.0, 1.0, 2.0], [0.0] * 3, {1, 3}).tolist() == [2, 4, 5]


def test_a_community_without_serials_left_is_refused():
    with pytest.raises(CodesExhaustedError) as refused:
        grid_codes.number_west_to_east(np.arange(10.0), np.zeros(10), range(1, 995))
    assert refused.value.details == {"needed": 10, "left": 5}
    assert len(grid_codes.number_west_to_east([], [])) == 0
