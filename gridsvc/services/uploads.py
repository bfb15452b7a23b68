"""Photos that come in pieces over bad networks: every piece acknowledged is kept, the last one makes the photo.

A piece is written and synced, then the offset is moved and committed; the last one moves it only together with the photo's
own row. So an upload whose offset equals its length *is* a photo kept, whatever process died meanwhile.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gridsvc.errors import (
    GridsvcError,
    NotFoundError,
    PhotoStoreError,
    RequestInvalidError,
    UploadEndedError,
    UploadOffsetError,
    UploadsTooManyError,
)
from gridsvc.services.photos import (
    PhotoRules,
    Sender,
    checked_hash,
    cleaned,
    find_known,
    keep_photo,
    state_of,
    too_large,
)
from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.store.photo_files import PhotoFiles, piece_name
from gridsvc.store.unit_of_work import UnitOfWork

# bytes that are written, synced and acknowledged at once
PIECE_BYTES = 1 << 20
# more are no bad network but somebody filling the disk with small files
MOST_PIECES = 2000
MOST_OPEN = 500
# how long an upload that is over is remembered, to be answered with 410 and not 404
REMEMBERED = timedelta(days=7)
_ENDINGS = {
    "refused": "was refused, because what it brought is no photo that is accepted",
    "ended": "was ended by its sender",
    "expired": "has expired",
}


def begin_upload(
    uow: UnitOfWork,
    rules: PhotoRules,
    report_id: UUID,
    length_bytes: int,
    *,
    sha256: str | None,
    sender: Sender,
    at: datetime,
) -> dict[str, Any]:
    """Begin an upload of ``length_bytes`` and commit; return it (see :func:`upload_of`).

    Raises
    ------
    RequestInvalidError
        When it would be empty.
    PhotoTooLargeError
        When it is longer than a photo may be.
    ConflictError
        When the report is in another area than the sender's.
    UploadsTooManyError
        When the sender has too many open.
    """
    if length_bytes < 1:
        raise RequestInvalidError("An upload of no bytes is no photo.", hint="Give the length of the file.")
    if length_bytes > rules.max_bytes:
        raise too_large(length_bytes, rules.max_bytes)
    state_of(uow, report_id)
    if (count := uow.photo_uploads.count_open(sender.login, at)) >= MOST_OPEN:
        raise UploadsTooManyError(
            f"{sender.login} has {count} unfinished uploads.", hint="Finish or end some of them (DELETE)."
        )
    row = uow.photo_uploads.add(
        {
            "upload_id": str(uuid.uuid4()),
            "report_id": str(report_id),
            "sha256": bytes.fromhex(sha256) if sha256 else None,
            "length_bytes": length_bytes,
            "scope_prefix": sender.scope,
            "received_from": sender.login,
            "expires_at": at + timedelta(hours=rules.upload_hours),
        }
    )
    uow.commit()
    return upload_of(row)


def get_upload(uow: UnitOfWork, upload_id: UUID, *, sender: Sender, at: datetime) -> dict[str, Any]:
    """Return an upload of this sender, open or complete; a complete one with the receipt of its photo as ``photo``.

    Raises
    ------
    NotFoundError
        When there is none of this sender.
    UploadEndedError
        When it is over without having become a photo.
    """
    row = _checked(uow.photo_uploads.get(str(upload_id)), upload_id, sender, at)
    photo = find_known(uow, UUID(str(row["report_id"])), bytes(row["photo_sha256"])) if row["photo_sha256"] else None
    return upload_of(row) | {"photo": photo}


def upload_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a client is told of an upload."""
    return {
        "upload_id": str(row["upload_id"]),
        "report_id": str(row["report_id"]),
        "length": row["length_bytes"],
        "offset": row["received_bytes"],
        "state": row["state"],
        "expires_at": row["expires_at"],
    }


def check_offset(upload: dict[str, Any], offset: int) -> None:
    """Do nothing when ``offset`` is where an upload goes on, else raise UploadOffsetError."""
    if upload["offset"] != offset:
        raise UploadOffsetError(
            f"The piece begins at {offset}, but {upload['offset']} bytes are here.",
            hint="Ask with HEAD and go on from there.",
            offset=upload["offset"],
        )


def add_piece(
    open_uow: UnitOfWorkMaker,
    files: PhotoFiles,
    rules: PhotoRules,
    upload_id: UUID,
    offset: int,
    data: bytes,
    *,
    sender: Sender,
    at: datetime,
) -> dict[str, Any]:
    """Keep the next bytes of an upload and commit; return the upload. The last ones make the photo.

    Raises
    ------
    NotFoundError, UploadEndedError
        As :func:`get_upload`.
    UploadOffsetError
        When ``offset`` is not where the last piece ended, also because another request was quicker.
    PhotoTooLargeError
        When there are more bytes than were announced; none of them is kept.
    PhotoHashError, PhotoTypeError, PhotoContentError, PhotoPixelsError, PhotoUnreadableError, PhotosTooManyError, ConflictError
        When the bytes are all there and are no photo that is accepted; the upload is over then.
    PhotoStoreError
        When the bytes cannot be kept; the offset stays.
    """
    with open_uow(sender.scope) as uow:
        row = _next(uow, upload_id, offset, len(data), sender, at)
        if offset + len(data) < row["length_bytes"]:
            return _keep_piece(uow, files, rules, row, data, at)
    try:
        return _finish(open_uow, files, rules, row, data, sender, at)
    except (UploadOffsetError, UploadEndedError, NotFoundError, PhotoStoreError):
        raise
    except GridsvcError:
        _end(open_uow, files, upload_id, "refused", sender, at)
        raise


def end_upload(open_uow: UnitOfWorkMaker, files: PhotoFiles, upload_id: UUID, *, sender: Sender, at: datetime) -> None:
    """End an open upload and commit; what came of it is deleted. A photo that is complete stays.

    Raises
    ------
    NotFoundError, UploadEndedError
        As :func:`get_upload`.
    """
    with open_uow(sender.scope) as uow:
        _checked(uow.photo_uploads.get(str(upload_id)), upload_id, sender, at)
    _end(open_uow, files, upload_id, "ended", sender, at)


def _checked(row: dict[str, Any] | None, upload_id: UUID, sender: Sender, at: datetime) -> dict[str, Any]:
    if row is None or row["received_from"] != sender.login:
        raise NotFoundError(f"There is no upload {upload_id}.", hint="Begin a new one.")
    state = "expired" if row["state"] == "open" and row["expires_at"] <= at else row["state"]
    if state in _ENDINGS:
        raise UploadEndedError(f"Upload {upload_id} {_ENDINGS[state]}.", hint="Begin a new one.", state=state)
    return row


def _next(uow: UnitOfWork, upload_id: UUID, offset: int, size: int, sender: Sender, at: datetime) -> dict[str, Any]:
    """Return the upload, kept from others until the end of the transaction, after checking that the piece fits on."""
    row = _checked(uow.photo_uploads.get(str(upload_id), alone=True), upload_id, sender, at)
    check_offset(upload_of(row), offset)
    if offset + size > row["length_bytes"]:
        raise too_large(offset + size, row["length_bytes"])
    if row["pieces"] >= MOST_PIECES:
        raise RequestInvalidError(
            f"Upload {upload_id} came in {MOST_PIECES} pieces already.", hint="Begin a new one, in larger pieces."
        )
    return row


def _keep_piece(
    uow: UnitOfWork, files: PhotoFiles, rules: PhotoRules, row: dict[str, Any], data: bytes, at: datetime
) -> dict[str, Any]:
    if data:
        files.write(piece_name(str(row["upload_id"]), row["received_bytes"]), data)
        row = uow.photo_uploads.change(
            str(row["upload_id"]),
            received_bytes=row["received_bytes"] + len(data),
            pieces=row["pieces"] + 1,
            expires_at=at + timedelta(hours=rules.upload_hours),
        )
        uow.commit()
    return upload_of(row)


def _finish(
    open_uow: UnitOfWorkMaker,
    files: PhotoFiles,
    rules: PhotoRules,
    row: dict[str, Any],
    data: bytes,
    sender: Sender,
    at: datetime,
) -> dict[str, Any]:
    """Make the photo of all pieces; decoding it happens between two transactions, so that no connection waits for it."""
    upload_id, report_id = UUID(str(row["upload_id"])), UUID(str(row["report_id"]))
    if row["state"] == "complete":
        return upload_of(row)
    whole = _assembled(files, str(upload_id), row["received_bytes"]) + data
    claimed = bytes(row["sha256"]).hex() if row["sha256"] else None
    sha256 = checked_hash(whole, claimed, rules.max_bytes)
    with open_uow(sender.scope) as uow:
        seen_before = bool(uow.photos.list_by_sha256(sha256))
    clean = None if seen_before else cleaned(whole, rules)
    with open_uow(sender.scope) as uow:
        row = _next(uow, upload_id, row["received_bytes"], len(data), sender, at)
        keep_photo(uow, files, rules, report_id, whole, sha256, clean, sender=sender, received_at=at)
        row = uow.photo_uploads.change(
            str(upload_id), received_bytes=row["length_bytes"], state="complete", photo_sha256=sha256
        )
        uow.commit()
    _delete_pieces(files, upload_id)
    return upload_of(row)


def _assembled(files: PhotoFiles, upload_id: str, length_bytes: int) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while at < length_bytes:
        pieces.append(files.read(piece_name(upload_id, at)))
        at += len(pieces[-1])
        if not pieces[-1] or at > length_bytes:
            raise PhotoStoreError(f"A piece of upload {upload_id} is not as long as it was.", upload_id=upload_id)
    return b"".join(pieces)


def _end(
    open_uow: UnitOfWorkMaker, files: PhotoFiles, upload_id: UUID, state: str, sender: Sender, at: datetime
) -> None:
    with open_uow(sender.scope) as uow:
        row = uow.photo_uploads.get(str(upload_id), alone=True)
        if row is not None and row["state"] == "open":
            uow.photo_uploads.change(str(upload_id), state=state, expires_at=at)
            uow.commit()
    _delete_pieces(files, upload_id)


def _delete_pieces(files: PhotoFiles, upload_id: UUID) -> None:
    """Delete the pieces of an upload that is over; what cannot be deleted now is left to the sweeper."""
    try:
        files.delete_pieces(str(upload_id))
    except PhotoStoreError:
        return
