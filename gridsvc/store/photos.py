"""Photos of reports: one row for each report and photo, found by the hash of what was sent, by look, and by file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, cast, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BIT, insert

from gridsvc.store.repository import Repository
from gridsvc.store.tables import photos

_FILES_LOCK = 4_490_202_015
_REPORT_LOCK = 4_490_202
_SIGN = 1 << 63


def signed(fingerprint: int) -> int:
    """Return 64 unsigned bits as the signed number that a bigint holds.

    Examples
    --------
    >>> signed(0xFFFF_FFFF_FFFF_FFFF)
    -1
    """
    return (fingerprint ^ _SIGN) - _SIGN


class PhotoRepository(Repository):
    """Photos. Whether a caller may see one follows from its report, see ``services/photos.py``; nothing is cut here."""

    def hold_files(self) -> None:
        """Keep the sweeper out until the end of the transaction: files written now have no row yet."""
        self.connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _FILES_LOCK})

    def hold_files_alone(self) -> None:
        """Wait for those who write photos, and keep new ones waiting, until the end of the transaction."""
        self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FILES_LOCK})

    def hold_report(self, report_id: str) -> None:
        """Keep others from adding photos to the same report until the end of the transaction."""
        statement = text("SELECT pg_advisory_xact_lock(:key, hashtext(:id))")
        self.connection.execute(statement, {"key": _REPORT_LOCK, "id": report_id})

    def get(self, report_id: str, sha256: bytes) -> dict[str, Any] | None:
        """Return the row of a photo of a report; None when there is none."""
        statement = select(photos).where(photos.c.report_id == report_id, photos.c.sha256 == sha256)
        row = self.connection.execute(statement).mappings().first()
        return dict(row) if row else None

    def list_by_sha256(self, sha256: bytes) -> list[dict[str, Any]]:
        """Return the rows of one photo, one for each report it was sent for, oldest first."""
        statement = select(photos).where(photos.c.sha256 == sha256).order_by(photos.c.received_at, photos.c.report_id)
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def list_by_report(self, report_id: str) -> list[dict[str, Any]]:
        """Return the photos of a report in the order they came."""
        statement = (
            select(photos).where(photos.c.report_id == report_id).order_by(photos.c.received_at, photos.c.sha256)
        )
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def sha256_by_report(self, report_ids: Iterable[str]) -> dict[str, list[str]]:
        """Return the hashes (hex) of the photos of each report that has any, in the order they came."""
        wanted = list(report_ids)
        statement = (
            select(photos.c.report_id, func.encode(photos.c.sha256, "hex"))
            .where(photos.c.report_id.in_(wanted))
            .order_by(photos.c.report_id, photos.c.received_at, photos.c.sha256)
        )
        found: dict[str, list[str]] = {}
        for report_id, sha256 in self.connection.execute(statement) if wanted else ():
            found.setdefault(str(report_id), []).append(sha256)
        return found

    def count(self, report_id: str) -> int:
        """Return how many photos a report has."""
        return self.connection.scalar(select(func.count()).where(photos.c.report_id == report_id)) or 0

    def find_alike(
        self, report_id: str, fingerprint: int, keys_near: list[int], max_bits: int
    ) -> tuple[str, int] | None:
        """Return the other report whose photo is most like this one, and by how many bits it differs; None when none is.

        Parameters
        ----------
        fingerprint, keys_near
            64 bits, unsigned, and the band keys that everything within ``max_bits`` shares one of.

        Notes
        -----
        Cost: the index gives about one in a thousand photos (68 of 65,536 keys a band), which are compared bit by bit.
        """
        differing = func.bit_count(cast(photos.c.fingerprint.op("#")(signed(fingerprint)), BIT(64)))
        statement = (
            select(photos.c.report_id, differing.label("bits"))
            .where(
                photos.c.fingerprint_bands.op("&&")(cast(literal(keys_near, ARRAY(Integer)), ARRAY(Integer))),
                photos.c.report_id != report_id,
                differing <= max_bits,
            )
            .order_by("bits", photos.c.received_at, photos.c.report_id)
            .limit(1)
        )
        row = self.connection.execute(statement).first()
        return None if row is None else (str(row.report_id), int(row.bits))

    def add(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Add a photo to its report and return the row as stored; the caller holds the report and the files."""
        statement = insert(photos).values(dict(row)).returning(*photos.columns)
        return dict(self.connection.execute(statement).mappings().one())

    def stored_among(self, stored: Iterable[bytes]) -> set[bytes]:
        """Return those of the hashes of files that some row names."""
        wanted = list(stored)
        if not wanted:
            return set()
        statement = select(photos.c.stored_sha256).where(photos.c.stored_sha256.in_(wanted)).distinct()
        return {bytes(found) for found in self.connection.scalars(statement)}

    def stored_in(self, first_byte: int) -> set[bytes]:
        """Return the hashes of the files that rows name, of those that begin with one byte."""
        low, high = bytes([first_byte]), bytes([first_byte + 1]) if first_byte < 255 else None
        statement = select(photos.c.stored_sha256).where(photos.c.stored_sha256 >= low).distinct()
        if high is not None:
            statement = statement.where(photos.c.stored_sha256 < high)
        return {bytes(found) for found in self.connection.scalars(statement)}

    def delete_held(self, before: datetime, *, dry_run: bool) -> int:
        """Delete the photos received before an instant whose report never came; return how many (there would be)."""
        came = text("NOT EXISTS (SELECT 1 FROM report_receipts r WHERE r.report_id = photos.report_id)")
        held = (photos.c.received_at < before, came)
        if dry_run:
            return self.connection.scalar(select(func.count()).select_from(photos).where(*held)) or 0
        return self.connection.execute(delete(photos).where(*held)).rowcount
