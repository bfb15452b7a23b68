"""Kinds of values that several endpoints take: instants, positions, codes, boxes, pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

MAX_PAGE = 1000

_PLUS_LOST = re.compile(r" (?=\d\d:?\d\d$)")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<offset>Z|z|[+-]\d\d:?\d\d)?$")


def _instant_text(value: Any) -> Any:
    """Accept RFC 3339 text only: a number is not an instant, and without an offset nobody knows which one is meant."""
    if isinstance(value, datetime):
        return value
    # a plus sign that was not written as %2B in a query arrives as a space
    text = _PLUS_LOST.sub("+", value.strip()) if isinstance(value, str) else ""
    match = _INSTANT.match(text)
    if match is None:
        raise PydanticCustomError("instant_malformed", "not an instant such as 2026-01-01T08:00:00+08:00")
    if match["offset"] is None:
        raise PydanticCustomError("offset_missing", "has no offset from UTC; write it like 2026-01-01T08:00:00+08:00")
    return text


def _representable(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("instant_malformed", "lies outside the years 1 to 9999") from None


def _plain_text(value: Any) -> Any:
    """Refuse what a database text cannot hold or a page should not show: half characters, and control characters."""
    if isinstance(value, str):
        if _HALF_CHARACTER.search(value):
            raise PydanticCustomError("text_surrogates", "contains half of a character (a lone surrogate)")
        if _CONTROL_CHARACTER.search(value):
            raise PydanticCustomError("text_control_characters", "contains control characters other than line breaks")
    return value


def _made_by_a_client(value: UUID) -> UUID:
    """Refuse ids that two clients could make alike: only random (4) and time-ordered random (7) ones never meet."""
    if value.version not in (4, 7):
        raise PydanticCustomError(
            "uuid_version",
            "is UUID version {version}; make version 4 (random) or 7 (time-ordered)",
            {"version": str(value.version or "unknown")},
        )
    return value


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_instant_text),
    AfterValidator(_representable),
    Field(description="RFC 3339 instant with offset.", examples=["2026-01-01T08:00:00+08:00"]),
]
Text = Annotated[str, BeforeValidator(_plain_text)]
ClientUuid = Annotated[UUID, AfterValidator(_made_by_a_client)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,12}$")]
Degrees = Annotated[float, Field(strict=True, allow_inf_nan=False)]
QueryDegrees = Annotated[float, Field(allow_inf_nan=False)]
Datum = Annotated[
    str,
    Field(
        max_length=32,
        description="wgs84, cgcs2000, gcj02 or bd09. Required: it is never guessed.",
        examples=["wgs84"],
    ),
]


def _corners(value: Any) -> Any:
    if isinstance(value, str):
        parts = value.split(",")
        try:
            value = tuple(float(part) for part in parts)
        except ValueError:
            raise PydanticCustomError("bbox_malformed", "not four numbers min_lon,min_lat,max_lon,max_lat") from None
    if len(value) != 4 or not all(abs(v) <= 180 for v in value) or value[0] > value[2] or value[1] > value[3]:
        raise PydanticCustomError("bbox_malformed", "not min_lon,min_lat,max_lon,max_lat in degrees, smaller first")
    return value


Bbox = Annotated[
    tuple[float, float, float, float],
    BeforeValidator(_corners, json_schema_input_type=str),
    Field(description="min_lon,min_lat,max_lon,max_lat in EPSG:4490.", examples=["114.2,30.5,114.3,30.6"]),
]


class Query(BaseModel):
    """Base of query models: unknown parameters are refused, so that a misspelt filter cannot widen an answer."""

    model_config = ConfigDict(extra="forbid")


class At(Query):
    """A read at an instant."""

    at: Instant | None = Field(None, description="What was in force at this instant; default now.")


class Paged(At):
    """A page of a list."""

    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z:_.-]{0,100}$")] = Field(
        "", description="next_cursor of the page before; empty begins."
    )
    limit: int = Field(100, ge=1, le=MAX_PAGE, description="Rows of a page.")
    count: bool = Field(False, description="Also count all rows; costs a pass over them.")


class PageInfo(BaseModel):
    """Where a list goes on."""

    next_cursor: str | None = Field(description="Give it as cursor for the next page; null on the last.")
    count: int | None = Field(None, description="Rows of all pages together, when asked for.")
