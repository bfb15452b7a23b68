"""Photos of reports: sent with their hash, acknowledged when safe, shown as clean JPEG to those who may see the report."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Blueprint, Response, current_app, request, url_for
from pydantic import BaseModel, Field
from werkzeug.exceptions import UnsupportedMediaType

from gridsvc.errors import RequestInvalidError
from gridsvc.services import photos as service
from gridsvc.services.photos import TAKEN_TYPES, PhotoRules, Sender
from gridsvc.web.callers import READERS, REPORTERS, caller, now, open_uow, require_role
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import Query
from gridsvc.web.rate_limits import spend
from gridsvc.web.routing import Answer, Endpoints, Header

photos = Blueprint("photos", __name__)
endpoints = Endpoints(photos)

_FORM_BYTES = 64 * 1024  # of the multipart form around the photo
# the parser reads 64 KiB at a time and keeps what may be the beginning of a boundary: a photo may look like one for long
_PARSER_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_SHA256_SCHEMA = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
# a picture shown by itself runs nothing and loads nothing
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; sandbox"


class PhotoReceipt(BaseModel):
    """What the server holds of a photo."""

    report_id: UUID
    sha256: str = Field(description="Of the bytes as they were sent, hex; names the photo.")
    state: Literal["stored", "held"] = Field(description="held: kept, and its report has not come yet.")
    width: int = Field(description="Of the photo as kept, upright. Unit: px.")
    height: int = Field(description="Unit: px.")
    bytes: int = Field(description="Of the photo as kept.")
    received_at: datetime
    reused: bool = Field(description="A photo like this was used before, for another report.")
    url: str
    thumbnail: str = Field(description="Address of a picture of at most 320 px.")


class Photo(PhotoReceipt):
    """A photo of a report."""

    reused_report_id: UUID | None = Field(description="The other report; null where it is outside the caller's area.")
    reused_bits: int | None = Field(description="How far the two photos are apart, 0 (same) to 7 of 64 bits.")
    taken_at: datetime | None = Field(description="By the camera's clock; kept only by policy.")
    camera_lon: float | None = Field(description="As the camera wrote it, in camera_datum; kept only by policy.")
    camera_lat: float | None
    camera_datum: str | None = Field(description="Text of the camera; empty: it gave none, and nobody knows.")


class Photos(BaseModel):
    """The photos of a report, in the order they came."""

    items: list[Photo]


class PictureQuery(Query):
    """Which picture of a photo."""

    size: Literal["full", "thumbnail"] = "full"


def photo_rules() -> PhotoRules:
    """Return what the settings say of photos."""
    return current_app.config["GRIDSVC_PHOTO_RULES"]


def photo_files():
    """Return the place where photos are kept."""
    return current_app.extensions["gridsvc"].photo_files


def open_scoped(scope: str):
    """Return a unit of work cut to ``scope``."""
    return current_app.extensions["gridsvc"].unit_of_work(scope)


def sender() -> Sender:
    """Return the caller as one who sends photos."""
    return Sender(caller().login, caller().scope)


def read_sha256(text: str | None, field: str = "sha256") -> str | None:
    """Return a SHA-256 in hex as sent, in lower case; None when none was.

    Raises
    ------
    RequestInvalidError
        When it is not one.
    """
    if text is None:
        return None
    if not _SHA256.fullmatch(text.strip()):
        raise RequestInvalidError(
            f"{field} is not a SHA-256.",
            hint="Write it as 64 hexadecimal digits.",
            errors=[{"field": field, "code": "sha256-malformed", "message": "not 64 hexadecimal digits"}],
        )
    return text.strip().lower()


def with_addresses(receipt: dict) -> dict:
    """Return a receipt with the addresses of its pictures."""
    url = url_for("photos.get_photo", sha256=receipt["sha256"])
    return receipt | {"url": url, "thumbnail": f"{url}?size=thumbnail"}


def _sent_photo(rules: PhotoRules) -> tuple[bytes, str | None]:
    """Return the one photo of a multipart form, and the hash that came with it."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the photo as multipart/form-data, in a field named photo.")
    request.max_content_length = rules.max_bytes + _FORM_BYTES
    request.max_form_memory_size = _PARSER_BYTES
    sent = request.files.getlist("photo")
    others = sorted({name or "" for name in (*request.files, *request.form)} - {"photo", "sha256"})
    if len(sent) != 1 or others:
        reason = f"{', '.join(others)} is not a field here" if others else f"{len(sent)} files named photo came"
        raise RequestInvalidError(
            f"The form has to hold one photo: {reason}.",
            hint="Send one file in the field photo, and its SHA-256 in the field sha256 if you like.",
            errors=[{"field": others[0] if others else "photo", "code": "one-photo", "message": reason}],
        )
    claims = {read_sha256(text) for text in (*request.form.getlist("sha256"), *request.headers.getlist("Sha256"))}
    if len(claims) > 1:
        raise RequestInvalidError("The SHA-256 came twice, with two values.", hint="Send it once.", field="sha256")
    with closing(sent[0]) as photo:
        data = photo.stream.read(rules.max_bytes + 1)
    return data, claims.pop() if claims else None


@endpoints.post(
    "/reports/<uuid:report_id>/photos",
    summary="Send one photo of a report",
    tag="photos",
    content={
        "multipart/form-data": {
            "type": "object",
            "required": ["photo"],
            "properties": {"photo": {"type": "string", "format": "binary"}, "sha256": _SHA256_SCHEMA},
        }
    },
    part_types={"photo": TAKEN_TYPES},
    headers=(Header("Sha256", "SHA-256 of the photo, hex; the same as the field.", schema=_SHA256_SCHEMA),),
    answers={
        201: Answer("Kept now.", PhotoReceipt),
        200: Answer("Was kept before; the same receipt.", PhotoReceipt),
    },
    roles=REPORTERS,
    refusals=(409, 429),
)
def post_photo(report_id: UUID) -> Response:
    """Keep a photo: JPEG, PNG or WebP, one still picture.

    The answer is sent when file and row are on disk: what was acknowledged survives a crash, and sending the same photo
    again is safe. With ``sha256`` a photo that was changed on the way is refused. A photo may come before its report; it is
    held then and belongs to the report as soon as that comes. Kept is the picture encoded anew, upright, without EXIF.
    """
    spend(1)
    data, claimed = _sent_photo(photo_rules())
    receipt, created = service.take_photo(
        open_scoped, photo_files(), photo_rules(), report_id, data, claimed_sha256=claimed, sender=sender(), received_at=now(),
    )  # fmt: skip
    answer = json_answer(with_addresses(receipt), 201 if created else 200)
    answer.headers["Location"] = url_for("photos.get_photo", sha256=receipt["sha256"])
    return answer


@endpoints.get(
    "/reports/<uuid:report_id>/photos",
    summary="Photos of a report",
    tag="photos",
    answers={200: Answer("The photos.", Photos)},
)
def list_photos(report_id: UUID) -> Response:
    """Return the photos of a report in the order they came, held ones too. The role viewer is not told where a camera was."""
    with open_uow() as uow:
        items = [with_addresses(photo) for photo in service.list_photos(uow, report_id)]
    if caller().role not in REPORTERS:
        items = [item | {"camera_lon": None, "camera_lat": None, "camera_datum": None} for item in items]
    return json_answer({"items": items})


@endpoints.get(
    "/photos/<sha256>",
    summary="One photo",
    tag="photos",
    query=PictureQuery,
    answers={
        200: Answer("The picture.", media_type="image/jpeg"),
        304: Answer("The picture is the one that If-None-Match names."),
    },
    roles=READERS,
)
def get_photo(sha256: str, query: PictureQuery) -> Response:
    """Return a photo as kept, or its thumbnail, by the hash of what was sent. The role viewer gets thumbnails only.

    It is always the picture as gridsvc encoded it, never the bytes that came.
    """
    if query.size == "full":
        require_role(REPORTERS)
    wanted = bytes.fromhex(read_sha256(sha256) or "")
    with open_uow() as uow:
        picture = service.get_picture(
            uow, photo_files(), wanted, thumbnail=query.size == "thumbnail", reader=caller().login
        )
    answer = Response(picture.jpeg, mimetype=picture.media_type)
    answer.headers["Content-Disposition"] = f'inline; filename="{wanted.hex()}.jpg"'
    answer.headers["Content-Security-Policy"] = _PICTURE_POLICY
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.set_etag(picture.sha256)
    answer.make_conditional(request)
    return answer
