"""Photos in pieces, for networks that break: the tus protocol 1.0.0 with creation, expiration, checksum and termination.

Source: tus resumable upload protocol 1.0.0, https://tus.io/protocols/resumable-upload. An upload is seen by the login that
began it only. What it brought is a photo like any other once its last byte is acknowledged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint, Response, request, url_for
from pydantic import BaseModel, Field
from werkzeug.exceptions import BadRequest, ClientDisconnected, UnsupportedMediaType
from werkzeug.http import http_date

from gridsvc.errors import RequestInvalidError, UploadChecksumError, UploadVersionError
from gridsvc.services import uploads as service
from gridsvc.services.photos import too_large
from gridsvc.web.api.photos import (
    PhotoReceipt,
    open_scoped,
    photo_files,
    photo_rules,
    read_sha256,
    sender,
    with_addresses,
)
from gridsvc.web.callers import REPORTERS, now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.rate_limits import spend
from gridsvc.web.routing import Answer, Endpoints, Header

uploads = Blueprint("uploads", __name__)
endpoints = Endpoints(uploads)

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
CHECKSUMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
PIECE_TYPE = "application/offset+octet-stream"
_READ_BYTES = 64 * 1024
_WHOLE = re.compile(r"\d{1,15}")

_TUS = Header("Tus-Resumable", "The protocol version.", required=True, schema={"type": "string", "enum": [VERSION]})
_CHECKSUM = Header("Upload-Checksum", "sha1 or sha256, a space, and the checksum of this body in Base64.")
_BYTES = {PIECE_TYPE: {"type": "string", "format": "binary"}}


class Upload(BaseModel):
    """An upload, open or complete."""

    upload_id: UUID
    report_id: UUID
    length: int = Field(description="Unit: bytes.")
    offset: int = Field(description="Bytes kept so far.")
    state: Literal["open", "complete"]
    expires_at: datetime = Field(description="When an open upload is given up, unless another piece comes.")
    photo: PhotoReceipt | None = Field(description="Once complete.")


@uploads.after_request
def _say_version(answer: Response) -> Response:
    """Add what tus wants on every answer, and on OPTIONS what is offered here."""
    answer.headers["Tus-Resumable"] = VERSION
    if answer.status_code == 412 or request.method == "OPTIONS":
        answer.headers["Tus-Version"] = VERSION
    if request.method == "OPTIONS":
        answer.headers["Tus-Extension"] = EXTENSIONS
        answer.headers["Tus-Max-Size"] = str(photo_rules().max_bytes)
        answer.headers["Tus-Checksum-Algorithm"] = ",".join(CHECKSUMS)
    return answer


def _check_version() -> None:
    version = request.headers.get("Tus-Resumable")
    if version != VERSION:
        raise UploadVersionError(
            f"Tus-Resumable is {version or 'missing'}.", hint=f"Send Tus-Resumable: {VERSION}.", version=version
        )


def _whole_number(name: str) -> int:
    text = request.headers.get(name, "")
    if not _WHOLE.fullmatch(text):
        raise RequestInvalidError(
            f"The header {name} is {text[:40]!r}, not a number of bytes.",
            hint=f"Send {name} as a whole number.",
            errors=[{"field": name, "code": "number-malformed", "message": "not a whole number of bytes"}],
        )
    return int(text)


def _metadata() -> dict[str, str]:
    """Return Upload-Metadata: keys with Base64 values, separated by commas."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in request.headers.get("Upload-Metadata", "").split(","))):
        key, _, encoded = pair.partition(" ")
        try:
            value = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise _metadata_refusal(key[:40], "not text in Base64") from None
        if key in found:
            raise _metadata_refusal(key[:40], "comes twice")
        found[key] = value
    return found


def _metadata_refusal(key: str, reason: str) -> RequestInvalidError:
    return RequestInvalidError(
        f"Upload-Metadata, {key}: {reason}.",
        hint="Send report_id, and sha256 and filename if you like, each a key, a space and the value in Base64.",
        errors=[{"field": key, "code": "metadata-malformed", "message": reason}],
    )


def _report_id(metadata: dict[str, str]) -> UUID:
    try:
        return UUID(metadata["report_id"])
    except KeyError:
        raise _metadata_refusal("report_id", "is missing") from None
    except ValueError:
        raise _metadata_refusal("report_id", "is not a UUID") from None


def _pieces(most_bytes: int) -> Iterator[bytes]:
    """Yield the body in pieces; when the connection breaks, what came before is the last piece.

    Raises
    ------
    PhotoTooLargeError
        Before anything is yielded, when the body is announced longer than ``most_bytes``; later, when it turns out so.
    UploadChecksumError
        When the body is not that of its checksum; nothing was yielded.
    """
    if (request.content_length or 0) > most_bytes:
        raise too_large(request.content_length or 0, most_bytes)
    # more than that of other bodies, and more than is taken: too many bytes get the answer of a photo
    request.max_content_length = most_bytes + 2 * _READ_BYTES
    read = _read_body(most_bytes)
    checksum = request.headers.get("Upload-Checksum")
    if checksum is not None:
        whole = b"".join(read)
        _check(checksum, whole)
        yield whole
        return
    piece = bytearray()
    for block in read:
        piece += block
        if len(piece) >= service.PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _read_body(most_bytes: int) -> Iterator[bytes]:
    read = 0
    while True:
        try:
            block = request.stream.read(_READ_BYTES)
        except (OSError, ClientDisconnected):
            return
        if not block:
            return
        read += len(block)
        if read > most_bytes:
            raise too_large(read, most_bytes)
        yield block


def _check(checksum: str, body: bytes) -> None:
    algorithm, _, encoded = checksum.partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadRequest(f"Upload-Checksum names {algorithm[:40]!r}; use one of: {', '.join(CHECKSUMS)}.")
    try:
        wanted = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise BadRequest("Upload-Checksum is not in Base64.") from None
    if CHECKSUMS[algorithm](body).digest() != wanted:
        raise UploadChecksumError(
            f"The {len(body)} bytes that came are not those of the checksum; none is kept.", hint="Send them again."
        )


def _told(upload: dict[str, Any], answer: Response) -> Response:
    """Add the state of an upload to an answer, as headers."""
    answer.headers["Upload-Offset"] = str(upload["offset"])
    if upload["state"] == "open":
        answer.headers["Upload-Expires"] = http_date(upload["expires_at"])
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _require_piece_type() -> None:
    if request.mimetype != PIECE_TYPE:
        raise UnsupportedMediaType(f"The body of an upload is {PIECE_TYPE}.")


@endpoints.post(
    "/uploads",
    summary="Begin an upload of a photo",
    tag="photos",
    answers={201: Answer("Begun; go on at Location.", media_type="text/plain")},
    headers=(
        _TUS,
        Header("Upload-Length", "Bytes of the photo.", required=True, schema={"type": "integer", "minimum": 1}),
        Header("Upload-Metadata", "report_id, sha256, filename: key, space, Base64; commas between.", required=True),
        _CHECKSUM,
    ),
    roles=REPORTERS,
    refusals=(400, 409, 410, 412, 413, 415, 429, 460),
)
def post_upload() -> Response:
    """Begin an upload (tus creation). ``report_id`` is required; with ``sha256`` what arrives changed is refused at the end.

    A body of application/offset+octet-stream is taken as the first bytes (creation-with-upload).
    """
    _check_version()
    if request.headers.get("Upload-Defer-Length") is not None:
        raise RequestInvalidError("Upload-Defer-Length is not offered here.", hint="Send Upload-Length.")
    metadata, length = _metadata(), _whole_number("Upload-Length")
    brings_bytes = request.mimetype == PIECE_TYPE
    if not brings_bytes and request.content_length:
        _require_piece_type()
    spend(1)
    with open_uow() as uow:
        upload = service.begin_upload(
            uow, photo_rules(), _report_id(metadata), length, sha256=read_sha256(metadata.get("sha256")), sender=sender(), at=now(),
        )  # fmt: skip
    if brings_bytes:
        upload = _take(UUID(upload["upload_id"]), 0, length, upload)
    answer = Response(status=201, content_type="text/plain")
    answer.headers["Location"] = url_for("uploads.get_upload", upload_id=upload["upload_id"])
    return _told(upload, answer)


def _take(upload_id: UUID, offset: int, length: int, upload: dict[str, Any]) -> dict[str, Any]:
    for piece in _pieces(length - offset):
        upload = service.add_piece(
            open_scoped, photo_files(), photo_rules(), upload_id, offset, piece, sender=sender(), at=now()
        )
        offset += len(piece)
    return upload


@endpoints.get(
    "/uploads/<uuid:upload_id>",
    summary="How far an upload has come",
    tag="photos",
    answers={200: Answer("The upload.", Upload)},
    roles=REPORTERS,
    refusals=(410, 412),
)
def get_upload(upload_id: UUID) -> Response:
    """Return an upload of the caller. HEAD gives Upload-Offset and Upload-Length (tus core) and needs Tus-Resumable.

    An offset equal to the length says that the photo is kept; ``photo`` is its receipt then.
    """
    if request.method == "HEAD":
        _check_version()
    with open_uow() as uow:
        upload = service.get_upload(uow, upload_id, sender=sender(), at=now())
    if upload["photo"] is not None:
        upload["photo"] = with_addresses(upload["photo"])
    answer = _told(upload, json_answer(upload))
    answer.headers["Upload-Length"] = str(upload["length"])
    return answer


@endpoints.patch(
    "/uploads/<uuid:upload_id>",
    summary="Send the next bytes of an upload",
    tag="photos",
    content=_BYTES,
    headers=(
        _TUS,
        Header("Upload-Offset", "Where these bytes begin.", required=True, schema={"type": "integer", "minimum": 0}),
        _CHECKSUM,
    ),
    answers={204: Answer("Kept; Upload-Offset says up to where.")},
    roles=REPORTERS,
    refusals=(409, 410, 412, 460),
)
def patch_upload(upload_id: UUID) -> Response:
    """Keep the next bytes. When the connection breaks, what came is kept in steps of at most 1 MiB; ask with HEAD where to go on.

    With the last byte the photo is looked at and kept; what is no photo that is accepted is refused like a photo sent whole,
    and the upload is over.
    """
    _check_version()
    _require_piece_type()
    offset = _whole_number("Upload-Offset")
    with open_uow() as uow:
        upload = service.get_upload(uow, upload_id, sender=sender(), at=now())
    service.check_offset(upload, offset)
    return _told(_take(upload_id, offset, upload["length"], upload), Response(status=204))


@endpoints.delete(
    "/uploads/<uuid:upload_id>",
    summary="End an upload",
    tag="photos",
    headers=(_TUS,),
    answers={204: Answer("Ended; its bytes are deleted.")},
    roles=REPORTERS,
    refusals=(410, 412),
)
def delete_upload(upload_id: UUID) -> Response:
    """End an upload (tus termination). A photo that is complete stays."""
    _check_version()
    service.end_upload(open_scoped, photo_files(), upload_id, sender=sender(), at=now())
    return Response(status=204)
