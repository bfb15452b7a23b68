"""Point to words: where a point is, as one would say it, from the gazetteer held here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.errors import OutsideCoverageError
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.geo.place_phrases import Landmark, bearing_deg, direction_of, distance_m, place_phrase
from gridsvc.store.unit_of_work import UnitOfWork

_REVERSE_REACH_DEG = 0.004


@dataclass(frozen=True, slots=True)
class ReversePlace:
    """Where a point is: the phrase, and what it is made of. Distances in m, directions as seen from the named thing."""

    lon: float
    lat: float
    phrase: str
    divisions: list[dict[str, Any]]
    street: dict[str, Any] | None
    plate: dict[str, Any] | None
    nearest: dict[str, Any] | None


def reverse_geocode(uow: UnitOfWork, lon: float, lat: float, datum: str | None, *, at: datetime) -> ReversePlace:
    """Return where a point is, in a Chinese phrase and in fields.

    Parameters
    ----------
    lon, lat, datum
        The position as it came. Unit: degrees.
    at
        The instant whose divisions and places are meant.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    OutsideCoverageError
        When nothing held here (in this scope) is near.
    """
    name = parse_datum(datum)
    check_lonlat(lon, lat)
    x, y = (round(float(v), STORAGE_DECIMALS) for v in convert(lon, lat, name, "cgcs2000"))
    divisions = []
    for level in ("district", "street", "community"):
        code = uow.divisions.at(x, y, at, level)
        division = uow.divisions.get(code, at) if code else None
        if division is not None:
            divisions.append({"code": code, "name": division["name"], "level": level})
    inside = bool(divisions) or not uow.scope
    around = uow.gazetteer.around(x, y, at=at, reach_deg=_REVERSE_REACH_DEG) if inside else []
    for row in around:
        row["distance_m"] = distance_m(row["lon"], row["lat"], x, y)
        row["direction"] = direction_of(bearing_deg(row["lon"], row["lat"], x, y))
    street = _closest(around, "street")
    nearest = _closest(around, "place")
    plate = _closest([row for row in around if row["kind"] == "street" and row["distance_m"] <= 50.0], "plate")
    if not divisions and street is None and nearest is None:
        raise OutsideCoverageError(
            f"Nothing held here is near the position ({lon:.6g}, {lat:.6g}) in {name}.",
            hint="Check datum and axis order; the gazetteer may have to be built: gridsvc gazetteer build.",
            lon=float(lon),
            lat=float(lat),
        )
    landmark = Landmark(nearest["name"], nearest["distance_m"], nearest["direction"]) if nearest else None
    on = plate or street
    phrase = place_phrase(
        [division["name"] for division in divisions],
        on["name"] if on else "",
        plate["number"] if plate else "",
        on["distance_m"] if on else 0.0,
        landmark,
    )
    return ReversePlace(x, y, phrase, divisions, street, plate, nearest)


def _closest(rows: list[dict[str, Any]], what: str) -> dict[str, Any] | None:
    """Return the nearest of one sort: name, number, kind, distance and direction."""
    found = sorted(
        (row for row in rows if row["what"] == what),
        key=lambda row: (row["distance_m"], row["place_id"], row["suffix"]),
    )
    if not found:
        return None
    row = found[0]
    return {
        "name": row["label"],
        "kind": row["kind"],
        "number": "" if row["number"] is None else f"{row['number']}{row['suffix']}",
        "distance_m": round(row["distance_m"], 1),
        "direction": row["direction"],
    }
