"""Every refusal gridsvc can give, one class per thing a caller may want to tell apart.

An error says *what* is wrong, *where*, and *how to mend it*; it carries a stable ``code`` and knows nothing of HTTP or
of the terminal. ``web/errors.py`` maps classes to statuses, ``cli`` prints them as one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class GridsvcError(Exception):
    """Base of all refusals.

    Parameters
    ----------
    message
        What is wrong and where, with the offending value.
    hint
        How to mend it, one sentence; may be empty.
    details
        Machine-readable facts (field, value, row ...), JSON-serialisable.
    """

    code = "refused"

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class DatumMissingError(GridsvcError):
    """A coordinate came without a datum; it is never guessed."""

    code = "datum-missing"


class DatumUnknownError(GridsvcError):
    """A datum or CRS name that gridsvc does not know."""

    code = "datum-unknown"


class CoordinateError(GridsvcError):
    """A coordinate that is not a finite longitude, latitude pair in range (NaN, swapped, out of range)."""

    code = "coordinate-invalid"


class OutsideCoverageError(GridsvcError):
    """A position in no administrative division held here."""

    code = "position-outside-coverage"


class CrsMismatchError(GridsvcError):
    """Two inputs in different coordinate systems; nothing is reprojected silently."""

    code = "crs-mismatch"


class NotProjectedError(GridsvcError):
    """Metres or areas were asked of geographic coordinates."""

    code = "crs-not-projected"


class GeometryError(GridsvcError):
    """A geometry that is empty, invalid or of the wrong type."""

    code = "geometry-invalid"


class PartitionError(GridsvcError):
    """A set of grids with gaps, overlaps or unmatched edges where an exact partition is required."""

    code = "partition-not-exact"


class CodeMalformedError(GridsvcError):
    """A division, grid or category code that breaks its scheme's length, digit or range rules."""

    code = "code-malformed"


class CodeDuplicateError(GridsvcError):
    """The same code twice where it must be unique."""

    code = "code-duplicate"


class CodesExhaustedError(GridsvcError):
    """A community has used all serial numbers its code scheme offers (retired codes are never given again)."""

    code = "codes-exhausted"


class ParentMissingError(GridsvcError):
    """A division whose parent division is not there."""

    code = "parent-missing"


class CategoryUnknownError(GridsvcError):
    """A category code not in the edition named."""

    code = "category-unknown"


class NotFoundError(GridsvcError):
    """Something asked for by its key that is not there (at that instant, in that scope)."""

    code = "not-found"


class ConflictError(GridsvcError):
    """A request that contradicts what is stored (same id, different content; overlapping validity)."""

    code = "conflict"


class ForbiddenError(GridsvcError):
    """The role or scope of the caller does not allow this."""

    code = "forbidden"


class UnauthenticatedError(GridsvcError):
    """No token, or one that is unknown, expired or withdrawn."""

    code = "unauthenticated"


class RequestInvalidError(GridsvcError):
    """A request body or parameter that fails validation; details["errors"] lists each fault with its field."""

    code = "request-invalid"


class TooManyRequestsError(GridsvcError):
    """More came from one caller than the server takes; details["retry_after_s"] says how long to wait."""

    code = "too-many-requests"


class EventsGoneError(GridsvcError):
    """Events to resume from that are kept no more."""

    code = "events-gone"


class StreamsFullError(GridsvcError):
    """As many live streams are open as the server holds."""

    code = "streams-full"


class FileUnreadableError(GridsvcError):
    """A file that is missing, empty, of an unknown format, or in another encoding than declared."""

    code = "file-unreadable"


class PhotoTypeError(GridsvcError):
    """A file sent as a photo that is of a kind not accepted: GIF, HEIC, SVG, an animation ..."""

    code = "photo-type-unsupported"


class PhotoTooLargeError(GridsvcError):
    """A photo of more bytes than are accepted."""

    code = "photo-too-large"


class PhotoPixelsError(GridsvcError):
    """A photo that would unpack into more than is accepted."""

    code = "photo-too-many-pixels"


class PhotoUnreadableError(GridsvcError):
    """A photo that is empty, cut short or broken."""

    code = "photo-unreadable"


class PhotoContentError(GridsvcError):
    """A photo that is something else as well: a web page, a script, an archive."""

    code = "photo-holds-other-content"


class PhotoHashError(GridsvcError):
    """A photo whose bytes are not those of the SHA-256 that came with it."""

    code = "photo-hash-mismatch"


class PhotosTooManyError(GridsvcError):
    """A report that has as many photos as it may have."""

    code = "photos-too-many"


class PhotoStoreError(GridsvcError):
    """The place where photos are kept does not answer, is full, or lost a file."""

    code = "photo-store-unavailable"


class UploadVersionError(GridsvcError):
    """An upload request without the version of the tus protocol that is spoken here."""

    code = "upload-version-unsupported"


class UploadOffsetError(GridsvcError):
    """A piece of an upload that does not begin where the last one ended."""

    code = "upload-offset-wrong"


class UploadEndedError(GridsvcError):
    """An upload that was ended, refused, or has expired."""

    code = "upload-ended"


class UploadChecksumError(GridsvcError):
    """A piece of an upload whose bytes are not those of its checksum."""

    code = "upload-checksum-mismatch"


class UploadsTooManyError(GridsvcError):
    """More unfinished uploads of one caller than are kept."""

    code = "uploads-too-many"


class SettingError(GridsvcError):
    """A GRIDSVC_* setting with an impossible value."""

    code = "setting-invalid"


class DatabaseUnavailableError(GridsvcError):
    """No database, no PostGIS in it, or the embedded server cannot start."""

    code = "database-unavailable"


class DatabaseBusyError(GridsvcError):
    """All connections this process may have to the database are in use."""

    code = "database-busy"


class MigrationsBehindError(GridsvcError):
    """The database schema is older or newer than this program."""

    code = "migrations-behind"


@dataclass(frozen=True, slots=True)
class RowError:
    """One refused row of a file: 1-based data row number (header not counted), field, reason, offending value."""

    row: int
    field: str
    reason: str
    value: str = ""


class ImportRefusedError(GridsvcError):
    """A file refused as a whole because of the rows listed in ``rows``; nothing of it was stored."""

    code = "import-refused"

    def __init__(self, message: str, *, rows: Sequence[RowError] = (), hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, **details)
        self.rows = tuple(rows)
