"""One position is stored to the same bits as one of an array, so that a vertex given as text is that vertex either way."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridsvc.services.locating import _one_to_storage, _to_storage
from gridsvc.store.grid_history import _array_text


@given(
    st.floats(73.0, 135.0),
    st.floats(3.0, 54.0),
    st.sampled_from(["wgs84", "cgcs2000", "gcj02", "bd09"]),
    st.integers(5, 12),
)
def test_one_position_is_stored_as_one_of_many(lon, lat, datum, decimals):
    lon, lat = round(lon, decimals), round(lat, decimals)
    x, y = _to_storage(np.array([lon]), np.array([lat]), datum)

    assert _one_to_storage(lon, lat, datum) == (x[0], y[0])


def test_arrays_are_written_as_the_database_reads_them():
    assert _array_text([]) == "{}"
    assert _array_text(['a"b', "c\\d", "e,f", "{g}"]) == r'{"a\"b","c\\d","e,f","{g}"}'
    assert _array_text([1, True]) == '{"1","True"}'
