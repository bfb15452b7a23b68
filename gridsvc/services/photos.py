"""Photos of reports: taken in once whatever is retried, cleaned, kept, and shown to those who may see the report.

A photo is acknowledged when its file is on disk and its row is committed, in this order, so a crash between the two leaves a
file that nobody refers to, never a row without a file. It belongs to its report by ``report_id`` alone: when it comes first
it is *held*, and from the moment the report is there it is *stored*, without anything being moved.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gridsvc.errors import (
    ConflictError,
    NotFoundError,
    PhotoHashError,
    PhotosTooManyError,
    PhotoTooLargeError,
)
from gridsvc.formats.photo_fingerprints import bands_of, keys_near
from gridsvc.formats.photo_structure import KINDS
from gridsvc.formats.photos import MEDIA_TYPE, CleanPhoto, clean_photo
from gridsvc.services.event_stream import announce_photo
from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.settings import Settings
from gridsvc.store.photo_files import PhotoFiles, picture_name, thumbnail_name
from gridsvc.store.photos import signed
from gridsvc.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

TAKEN_TYPES = tuple(f"image/{kind}" for kind in KINDS)

# a large picture takes hundreds of megabytes while it is open: one at a time in each process
_CLEANING = threading.Lock()
# what a row takes from an earlier one of the same photo
_OF_THE_FILE = (
    "stored_sha256", "sent_as", "sent_bytes", "stored_bytes", "width", "height", "fingerprint", "fingerprint_bands",
    "taken_at", "camera_lon", "camera_lat", "camera_datum",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PhotoRules:
    """What is accepted and kept. ``exif``: drop, time, or time-and-position; ``reuse_bits`` at most 7 of 64."""

    max_bytes: int
    max_pixels: int
    max_side_px: int
    per_report: int
    exif: str
    reuse_bits: int
    upload_hours: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends photos: login, and the division-code prefix that the sender is limited to."""

    login: str
    scope: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to be shown: JPEG bytes, and their SHA-256 (hex)."""

    jpeg: bytes
    sha256: str
    media_type: str = MEDIA_TYPE


def photo_rules(settings: Settings) -> PhotoRules:
    """Return what the settings say of photos."""
    return PhotoRules(
        max_bytes=settings.photo_max_bytes,
        max_pixels=settings.photo_max_pixels,
        max_side_px=settings.photo_max_side_px,
        per_report=settings.photos_per_report,
        exif=settings.photo_exif,
        reuse_bits=settings.photo_reuse_bits,
        upload_hours=settings.upload_hours,
        timezone=settings.timezone,
    )


def take_photo(
    open_uow: UnitOfWorkMaker,
    files: PhotoFiles,
    rules: PhotoRules,
    report_id: UUID,
    data: bytes,
    *,
    claimed_sha256: str | None,
    sender: Sender,
    received_at: datetime,
) -> tuple[dict[str, Any], bool]:
    """Keep a photo of a report and commit; return its receipt, and whether it was new.

    When this returns, the photo survives a crash of any process. The same bytes for the same report again give the same
    receipt and False, and are not looked at again.

    Raises
    ------
    PhotoTooLargeError, PhotoHashError, PhotoTypeError, PhotoContentError, PhotoPixelsError, PhotoUnreadableError
        When the bytes are not a photo that is accepted, or not those of ``claimed_sha256`` (hex).
    ConflictError
        When the report is in another area than the sender's.
    PhotosTooManyError
        When the report has as many as it may have.
    PhotoStoreError
        When it cannot be kept; nothing is acknowledged and sending it again is safe.
    """
    sha256 = checked_hash(data, claimed_sha256, rules.max_bytes)
    with open_uow(sender.scope) as uow:
        if known := find_known(uow, report_id, sha256):
            return known, False
        seen_before = bool(uow.photos.list_by_sha256(sha256))
    clean = None if seen_before else cleaned(data, rules)
    with open_uow(sender.scope) as uow:
        receipt, created = keep_photo(
            uow, files, rules, report_id, data, sha256, clean, sender=sender, received_at=received_at
        )
        uow.commit()
    return receipt, created


def checked_hash(data: bytes, claimed_sha256: str | None, max_bytes: int) -> bytes:
    """Return the SHA-256 of the bytes as sent, after checking their number and the hash that came with them."""
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    digest = hashlib.sha256(data)
    if claimed_sha256 is not None and claimed_sha256.lower() != digest.hexdigest():
        raise PhotoHashError(
            f"The {len(data)} bytes that came have the SHA-256 {digest.hexdigest()}, not {claimed_sha256}.",
            hint="Something was lost or changed on the way: send the photo again.",
            sha256=digest.hexdigest(),
            bytes=len(data),
        )
    return digest.digest()


def too_large(size: int, max_bytes: int) -> PhotoTooLargeError:
    """Return the refusal of a photo of ``size`` bytes."""
    return PhotoTooLargeError(
        f"The photo has {size} bytes, more than the {max_bytes} that are accepted.",
        hint="Scale it down, or save it with less quality, before sending.",
        bytes=size,
        max_bytes=max_bytes,
    )


def cleaned(data: bytes, rules: PhotoRules) -> CleanPhoto:
    """Return the photo encoded anew; one at a time in each process."""
    with _CLEANING:
        return clean_photo(
            data, max_pixels=rules.max_pixels, max_side_px=rules.max_side_px, timezone_name=rules.timezone
        )


def find_known(uow: UnitOfWork, report_id: UUID, sha256: bytes) -> dict[str, Any] | None:
    """Return the receipt of a photo that the report has already; None when it has not.

    Raises
    ------
    ConflictError
        When the report is in another area.
    """
    state = state_of(uow, report_id)
    row = uow.photos.get(str(report_id), sha256)
    return None if row is None else receipt_of(row, state)


def state_of(uow: UnitOfWork, report_id: UUID) -> str:
    """Return "stored" when the report is there and within the scope, "held" when it has not come yet.

    Raises
    ------
    ConflictError
        When it is there, in another area.
    """
    if uow.reports.get(str(report_id)) is not None:
        return "stored"
    if uow.scope and uow.everywhere().reports.get(str(report_id)) is not None:
        raise ConflictError(f"Report {report_id} belongs to another area.", report_id=str(report_id))
    return "held"


def keep_photo(
    uow: UnitOfWork,
    files: PhotoFiles,
    rules: PhotoRules,
    report_id: UUID,
    data: bytes,
    sha256: bytes,
    clean: CleanPhoto | None,
    *,
    sender: Sender,
    received_at: datetime,
) -> tuple[dict[str, Any], bool]:
    """Write file and row of a photo; return its receipt and whether it was new. The caller commits.

    ``clean`` None: the same bytes were kept before, for another report, and their file serves again.
    """
    uow.photos.hold_files()
    uow.photos.hold_report(str(report_id))
    if known := find_known(uow, report_id, sha256):
        return known, False
    if (count := uow.photos.count(str(report_id))) >= rules.per_report:
        raise PhotosTooManyError(
            f"Report {report_id} has {count} photos, and may have {rules.per_report}.",
            hint="Keep the most telling ones.",
            report_id=str(report_id),
            per_report=rules.per_report,
        )
    others = [row for row in uow.photos.list_by_sha256(sha256) if str(row["report_id"]) != str(report_id)]
    if others:
        facts = {name: others[0][name] for name in _OF_THE_FILE}
        alike: tuple[str, int] | None = (str(others[0]["report_id"]), 0)
    else:
        clean = clean or cleaned(data, rules)  # its row was there a moment ago and has been swept
        facts = _facts_of(clean, rules) | {"sent_bytes": len(data)}
        files.write(picture_name(facts["stored_sha256"]), clean.jpeg)
        files.write(thumbnail_name(facts["stored_sha256"]), clean.thumbnail)
        alike = _alike(uow, rules, report_id, clean.fingerprint)
    row = facts | {
        "report_id": str(report_id),
        "sha256": sha256,
        "reused_report_id": alike[0] if alike else None,
        "reused_bits": alike[1] if alike else None,
        "scope_prefix": sender.scope,
        "received_from": sender.login,
        "received_at": received_at,
    }
    kept = uow.photos.add(row)
    announce_photo(uow, str(report_id), kept)
    return receipt_of(kept, state_of(uow, report_id)), True


def _facts_of(clean: CleanPhoto, rules: PhotoRules) -> dict[str, Any]:
    notes = clean.notes
    keeps_place = rules.exif == "time-and-position" and notes.lon is not None
    return {
        "stored_sha256": hashlib.sha256(clean.jpeg).digest(),
        "sent_as": clean.sent_as,
        "stored_bytes": len(clean.jpeg),
        "width": clean.width,
        "height": clean.height,
        "fingerprint": None if clean.fingerprint is None else signed(clean.fingerprint),
        "fingerprint_bands": None if clean.fingerprint is None else bands_of(clean.fingerprint),
        "taken_at": None if rules.exif == "drop" else notes.taken_at,
        "camera_lon": notes.lon if keeps_place else None,
        "camera_lat": notes.lat if keeps_place else None,
        "camera_datum": notes.datum if keeps_place else None,
    }


def _alike(uow: UnitOfWork, rules: PhotoRules, report_id: UUID, fingerprint: int | None) -> tuple[str, int] | None:
    if fingerprint is None:
        return None
    return uow.photos.find_alike(str(report_id), fingerprint, keys_near(fingerprint), rules.reuse_bits)


def receipt_of(row: dict[str, Any], state: str) -> dict[str, Any]:
    """Return the receipt of a photo: what the server holds of it."""
    return {
        "report_id": str(row["report_id"]),
        "sha256": bytes(row["sha256"]).hex(),
        "state": state,
        "width": row["width"],
        "height": row["height"],
        "bytes": row["stored_bytes"],
        "received_at": row["received_at"],
        "reused": row["reused_report_id"] is not None,
    }


def list_photos(uow: UnitOfWork, report_id: UUID) -> list[dict[str, Any]]:
    """Return the photos of a report in the order they came: receipt, what the camera noted, and what was used before.

    ``reused_report_id`` and ``reused_bits`` name the other report only where the caller may see it. While the report has
    not come, its photos are listed to the area that sent them.

    Raises
    ------
    NotFoundError
        When there is neither a report nor a held photo of it in this scope.
    """
    visible = uow.reports.get(str(report_id)) is not None
    rows = uow.photos.list_by_report(str(report_id))
    if not visible:
        rows = [row for row in rows if _held_here(uow, row)]
        if not rows:
            raise NotFoundError(f"There is no report {report_id}.", hint="Check the id and your scope.")
    return [_listed(uow, row, "stored" if visible else "held") for row in rows]


def _listed(uow: UnitOfWork, row: dict[str, Any], state: str) -> dict[str, Any]:
    other = row["reused_report_id"]
    shows_other = other is not None and uow.reports.get(str(other)) is not None
    return receipt_of(row, state) | {
        "reused_report_id": str(other) if shows_other else None,
        "reused_bits": row["reused_bits"] if shows_other else None,
        "taken_at": row["taken_at"],
        "camera_lon": row["camera_lon"],
        "camera_lat": row["camera_lat"],
        "camera_datum": row["camera_datum"],
    }


def _held_here(uow: UnitOfWork, row: dict[str, Any]) -> bool:
    """Return whether a photo waits for its report and was sent from within the caller's area."""
    came = uow.everywhere().reports.get(str(row["report_id"])) is not None
    return not came and row["scope_prefix"].startswith(uow.scope)


def get_picture(uow: UnitOfWork, files: PhotoFiles, sha256: bytes, *, thumbnail: bool, reader: str) -> Picture:
    """Return the file of a photo, by the hash of what was sent; whole pictures read are logged with who read them.

    Raises
    ------
    NotFoundError
        When there is none that belongs to a report in this scope.
    PhotoStoreError
        When its file cannot be read.
    """
    stored = find_picture(uow, sha256)
    jpeg = files.read(thumbnail_name(stored) if thumbnail else picture_name(stored))
    if not thumbnail:
        logger.info("photo %s read by %s", sha256.hex(), reader)
    return Picture(jpeg, hashlib.sha256(jpeg).hexdigest())


def find_picture(uow: UnitOfWork, sha256: bytes) -> bytes:
    """Return the hash of the kept file of a photo that the caller may see, or raise NotFoundError."""
    for row in uow.photos.list_by_sha256(sha256):
        if uow.reports.get(str(row["report_id"])) is not None or _held_here(uow, row):
            return bytes(row["stored_sha256"])
    raise NotFoundError(f"There is no photo {sha256.hex()}.", hint="Check the hash and your scope.")
