"""The datum of a file: declared by the caller, checked against what the file says."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gridsvc.errors import CrsMismatchError, DatumMissingError, DatumUnknownError
from gridsvc.formats.declared_datum import DeclaredDatum, declare_datum

ACCEPTED = [
    ("wgs84", None, DeclaredDatum("wgs84")),
    ("EPSG:4490", None, DeclaredDatum("cgcs2000")),
    ("gcj02", "EPSG:4326", DeclaredDatum("gcj02")),
    ("wgs84", "EPSG:4490", DeclaredDatum("wgs84")),
    ("file", "EPSG:4490", DeclaredDatum("cgcs2000")),
    ("file", "urn:ogc:def:crs:OGC:1.3:CRS84", DeclaredDatum("wgs84")),
    ("file", "EPSG:4547", DeclaredDatum("cgcs2000", 4547)),
    ("EPSG:4547", None, DeclaredDatum("cgcs2000", 4547)),
    ("EPSG:4547", "EPSG:4547", DeclaredDatum("cgcs2000", 4547)),
]


@pytest.mark.parametrize(("declared", "stated", "expected"), ACCEPTED)
def test_declaration_is_taken(declared, stated, expected):
    assert declare_datum(declared, stated, "f") == expected


REFUSED = [
    (None, None, DatumMissingError), ("", "EPSG:4326", DatumMissingError), ("file", None, DatumMissingError),
    ("xian80", None, DatumUnknownError), ("file", "EPSG:4214", DatumUnknownError), ("EPSG:999999", None, DatumUnknownError),
    ("gcj02", "EPSG:4547", CrsMismatchError), ("gcj02", "EPSG:4490", CrsMismatchError), ("EPSG:4548", "EPSG:4547", CrsMismatchError),
    ("EPSG:4547", "EPSG:4326", CrsMismatchError),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "stated", "error"), REFUSED)
def test_contradiction_or_silence_is_refused(declared, stated, error):
    with pytest.raises(error):
        declare_datum(declared, stated, "f")


def test_projected_coordinates_come_to_storage_precision():
    metric = np.array([shapely.Point(447950.515, 4419435.790)], dtype=object)

    placed = DeclaredDatum("cgcs2000", 4548).to_storage(metric)

    assert shapely.get_coordinates(placed)[0] == pytest.approx([116.3913, 39.9075], abs=1e-8)
