"""Headers to fields, texts to values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gridsvc.errors import ImportRefusedError
from gridsvc.formats.import_fields import FIELDS, as_numbers, as_text, map_columns
from gridsvc.resources import checkout_dir


def test_aliases_names_and_mapping_are_taken_in_that_order():
    frame = pd.DataFrame(
        {"设施编码": ["F1"], "名称": ["店"], "LB": ["M101"], "经度": [1.0], "纬度": [2.0], "备注": ["x"]}
    )

    mapped = map_columns(frame, "facilities", {"LB": "kind_code"}, has_geometry=False)

    assert sorted(mapped.columns) == ["facility_code", "kind_code", "lat", "lon", "name"]


def test_missing_columns_tell_what_was_found_and_expected():
    with pytest.raises(ImportRefusedError) as caught:
        map_columns(pd.DataFrame({"a": ["1"]}), "facilities", {}, has_geometry=False)

    assert [row.field for row in caught.value.rows] == ["facility_code", "kind_code", "lon and lat, or wkt"]
    assert "it has a" in caught.value.message
    assert "address (optional)" in caught.value.hint


@pytest.mark.parametrize(("header", "field"), [("b", "name"), ("a", "nonsense")])
def test_mapping_of_what_is_not_there_is_refused(header, field):
    with pytest.raises(ImportRefusedError, match="--map"):
        map_columns(pd.DataFrame({"a": ["1"]}), "facilities", {header: field}, has_geometry=True)


def test_numbers_that_are_codes_become_text_without_a_fraction():
    assert list(as_text(pd.Series([420103.0, np.nan]))) == ["420103", ""]
    assert list(as_text(pd.Series(["0123", None, " NULL "], dtype=object))) == ["0123", "", ""]


def test_numbers_tell_missing_from_bad():
    numbers, bad = as_numbers(pd.Series(["1.5", "", None, "inf", "abc"], dtype=object))

    assert np.array_equal(numbers[:3], [1.5, np.nan, np.nan], equal_nan=True)
    assert list(bad) == [False, False, False, True, True]


def test_every_field_and_alias_is_documented():
    text = (checkout_dir() / "docs" / "how-to" / "import.md").read_text(encoding="utf-8")

    missing = [
        f"{kind}.{word}"
        for kind, fields in FIELDS.items()
        for field in fields
        for word in (field.name, *field.aliases)
        if f"`{word}`" not in text
    ]

    assert missing == []
