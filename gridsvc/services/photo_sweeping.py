"""Tidying up after uploads that nobody finished and processes that were killed. What was acknowledged is never touched.

Uploads whose time is over are cleared by the server itself, every few minutes. Files without a row are deleted only when an
operator asks (``gridsvc photos sweep``): after a restored backup they may be all there is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.services.uploads import REMEMBERED
from gridsvc.store.photo_files import PhotoFiles, picture_name
from gridsvc.store.unit_of_work import UnitOfWork

# a writer puts the file first and the row a moment later; this is far beyond the longest request
YOUNGEST = timedelta(hours=24)
HELD_DAYS = 180
_AT_ONCE = 500
_NAMED_AFTER = re.compile(r"/([0-9a-f]{64})(?:\.small)?\.jpg$")


@dataclass(slots=True)
class PhotoSweep:
    """What a sweep found; ``missing`` are kept photos without a file, by name, which only a backup can bring back."""

    uploads_expired: int = 0
    uploads_cleared: int = 0
    held_deleted: int = 0
    files_seen: int = 0
    files_deleted: int = 0
    missing_count: int = 0
    missing: tuple[str, ...] = ()


def clear_uploads(open_uow: UnitOfWorkMaker, files: PhotoFiles, at: datetime) -> PhotoSweep:
    """Expire the uploads whose time is over, delete the pieces of all that are no longer open, and forget the oldest."""
    found = PhotoSweep()
    with open_uow() as uow:
        found.uploads_expired = uow.photo_uploads.expire(at)
        uow.photo_uploads.forget(at - REMEMBERED)
        uow.commit()
        # a row is there before its first piece, and a closed upload is never opened again
        with_pieces = [name for name in files.upload_ids() if _is_uuid(name)]
        still_open = uow.photo_uploads.open_among(with_pieces)
    for upload_id in with_pieces:
        if upload_id not in still_open:
            files.delete_pieces(upload_id)
            found.uploads_cleared += 1
    return found


def sweep(
    open_uow: UnitOfWorkMaker, files: PhotoFiles, at: datetime, *, held_days: int = HELD_DAYS, dry_run: bool = False
) -> PhotoSweep:
    """Clear uploads, delete photos held too long and files that no row names; say which files are missing.

    Parameters
    ----------
    held_days
        Photos whose report has not come after so many days are given up.
    dry_run
        Only count.

    Notes
    -----
    Files younger than a day are left alone. Deleting waits for those who are writing photos and keeps new ones waiting, for at
    most 500 files at a time.
    """
    found = PhotoSweep() if dry_run else clear_uploads(open_uow, files, at)
    with open_uow() as uow:
        found.held_deleted = uow.photos.delete_held(at - timedelta(days=held_days), dry_run=dry_run)
        uow.commit()
    for first_byte in range(256):
        _sweep_shard(open_uow, files, first_byte, at - YOUNGEST, dry_run, found)
    return found


def _sweep_shard(
    open_uow: UnitOfWorkMaker, files: PhotoFiles, first_byte: int, before: datetime, dry_run: bool, found: PhotoSweep
) -> None:
    there: set[str] = set()
    listed = files.pictures_in(first_byte)
    while batch := list(islice(listed, _AT_ONCE)):
        there.update(name for name, _ in batch)
        found.files_seen += len(batch)
        old = [name for name, written_at in batch if written_at < before]
        with open_uow() as uow:
            orphans = _orphans(uow, old)
            if orphans and not dry_run:
                uow.photos.hold_files_alone()
                orphans = _orphans(uow, orphans)  # somebody may have sent just this photo again
                for name in orphans:
                    files.delete(name)
            uow.commit()
        found.files_deleted += len(orphans)
    with open_uow() as uow:
        missing = sorted(name for name in map(picture_name, uow.photos.stored_in(first_byte)) if name not in there)
    found.missing_count += len(missing)
    found.missing = (*found.missing, *missing)[:100]


def _orphans(uow: UnitOfWork, names: list[str]) -> list[str]:
    named = {name: match[1] for name in names if (match := _NAMED_AFTER.search(name))}
    known = {stored.hex() for stored in uow.photos.stored_among(map(bytes.fromhex, set(named.values())))}
    # what is not named after a hash was left by a writer that was killed
    return [name for name in names if named.get(name) not in known]


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
