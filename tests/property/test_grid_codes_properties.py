"""Properties of grid codes and numbering over generated codes and positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridsvc.errors import CodeMalformedError
from gridsvc.geo import grid_codes

COMMUNITY = st.from_regex(r"\A[0-9]{12}\Z")
POSITIONS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=60)


@given(COMMUNITY, st.integers(1, 999))
def test_parse_gives_back_what_format_was_given(community, serial):
    code = grid_codes.format(community, serial)
    parts = grid_codes.parse(code)

    assert (parts.community, parts.serial) == (community, serial)
    assert parts.community.startswith(parts.street)
    assert parts.street.startswith(parts.district)


@given(COMMUNITY, st.integers(1, 999), st.integers(0, 14), st.characters(exclude_categories=["Cs"]))
def test_every_one_character_corruption_of_a_rule_is_refused(community, serial, place, character):
    code = grid_codes.format(community, serial)

    for corrupted in (code[:place] + code[place + 1 :], code[:place] + character + code[place:]):
        with pytest.raises(CodeMalformedError):
            grid_codes.parse(corrupted)
    if character not in "0123456789":
        with pytest.raises(CodeMalformedError):
            grid_codes.parse(code[:place] + character + code[place + 1 :])


@given(POSITIONS, st.sets(st.integers(1, 999), max_size=200))
def test_serials_are_unique_unused_and_in_order(positions, used):
    x, y = np.array(positions, dtype=float).T

    serials = grid_codes.number_west_to_east(x, y, used)

    assert len(set(serials)) == len(positions)
    assert not used & set(serials.tolist())
    order = np.argsort(serials)
    keys = list(zip(x[order], -y[order], strict=True))
    assert keys == sorted(keys)


@given(POSITIONS, st.randoms())
def test_the_order_of_the_input_does_not_matter(positions, random):
    distinct = list(dict.fromkeys(positions))
    shuffled = random.sample(distinct, len(distinct))

    first = dict(zip(distinct, grid_codes.number_west_to_east(*np.array(distinct, float).T), strict=True))
    second = dict(zip(shuffled, grid_codes.number_west_to_east(*np.array(shuffled, float).T), strict=True))

    assert first == second
