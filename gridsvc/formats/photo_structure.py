"""What a file sent as a photo is, told from its bytes before any decoder sees it: kind, size, and what else hides in it."""

from __future__ import annotations

import io
import re
import zipfile

from gridsvc.errors import PhotoContentError, PhotoTypeError, PhotoUnreadableError

KINDS = ("jpeg", "png", "webp")
_HINT = "Send JPEG, PNG or WebP."
# what else is sent now and then: how it begins, its name, what to do
_OTHERS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"GIF8[79]a"), "GIF", _HINT),
    (
        re.compile(rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.S),
        "HEIC",
        "Set the camera to JPEG (iPhone: Settings, Camera, Formats, Most Compatible), or convert before sending.",
    ),
    (re.compile(rb".{4}ftypavi[fs]", re.S), "AVIF", _HINT),
    (re.compile(rb".{4}ftyp", re.S), "a video", _HINT),
    (re.compile(rb"BM"), "BMP", _HINT),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF or a camera's raw format", _HINT),
    (re.compile(rb"%PDF-"), "PDF", _HINT),
    (re.compile(rb"PK\x03\x04"), "a zip archive", _HINT),
    (re.compile(rb"\s*(\xef\xbb\xbf)?\s*<\?xml|\s*<svg", re.I), "SVG or XML", _HINT),
    (re.compile(rb"\s*<(!doctype|html|script)", re.I), "a web page", _HINT),
)
# texts that a browser or a server would act on. Long enough not to turn up in compressed pixels by chance
_ACTIVE = re.compile(
    rb"<(?:script[\s>/]|html[\s>]|!doctype\s+html|iframe[\s>]|body[\s>]|svg\s[^>]{0,400}xmlns|\?php\s)"
    rb"|__halt_compiler\s*\(",
    re.I,
)
_ARCHIVES = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")
_PDF_LOOKS_IN = 1024  # where readers of PDF look for its beginning
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
# progressive files of phones and encoders have 3 to 20; thousands would keep the decoder busy for minutes
MAX_SCANS = 64


def kind_of(data: bytes) -> str:
    """Return "jpeg", "png" or "webp", from the first bytes; what the client calls the file does not matter.

    Raises
    ------
    PhotoUnreadableError
        When there are no bytes.
    PhotoTypeError
        When it is anything else, or a WebP animation.
    """
    if not data:
        raise PhotoUnreadableError("The photo is empty.", hint="Send the file again.")
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for beginning, name, hint in _OTHERS:
        if beginning.match(data[:512]):
            raise PhotoTypeError(f"The file is {name}, which is not accepted as a photo.", hint=hint)
    raise PhotoTypeError("The file is no photo of a kind that is accepted.", hint=_HINT)


def refuse_other_content(data: bytes) -> None:
    """Do nothing when the file is only a picture.

    Photos are encoded anew before anybody sees them, so nothing of this would be handed on; a file made to be two things at
    once is refused all the same, since no camera makes one. Further pictures and the short film that phones append to a JPEG
    are no such thing and are dropped silently.

    Raises
    ------
    PhotoContentError
        When it is also a web page, a script, a zip, RAR or 7z archive, or PDF.
    """
    found = ""
    if match := _ACTIVE.search(data):
        found = f"markup or script ({match[0][:20].decode('ascii', 'replace').strip()}) at byte {match.start()}"
    elif _is_zip(data) or any(beginning in data for beginning in _ARCHIVES):
        found = "an archive"
    elif b"%PDF-" in data[:_PDF_LOOKS_IN]:
        found = "a PDF document"
    if found:
        raise PhotoContentError(
            f"The file is a picture and also holds {found}.", hint="Send the photo as the camera made it."
        )


def _is_zip(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)):
            return True
    except Exception:  # whatever a broken directory makes zipfile say: not an archive that anything opens
        return False


def webp_canvas(data: bytes) -> tuple[int, int, bool]:
    """Return width, height (px) and whether it is animated, from the header: the decoder allocates before it can be asked.

    Raises
    ------
    PhotoUnreadableError
        When the header is cut short or of no known kind.
    """
    chunk, head = data[12:16], data[20:30]
    if len(head) == 10:
        if chunk == b"VP8X":
            width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (4, 7))
            return width, height, bool(head[0] & 0x02)
        if chunk == b"VP8L" and head[0] == 0x2F:
            sizes = int.from_bytes(head[1:5], "little")
            return (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1, False
        if chunk == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
            return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF, False
    raise PhotoUnreadableError("The WebP header is broken.", hint="Send the file again.")


def jpeg_scans(data: bytes) -> int:
    """Return how many scans (passes over the picture) the first picture of a JPEG has; stops counting past MAX_SCANS.

    Notes
    -----
    Source: ITU-T T.81, B.1.1: within a scan FF is followed by 00 or a restart marker, so the next other marker ends it.
    """
    at, scans = 2, 0
    while scans <= MAX_SCANS and (marker := _JPEG_MARKER.search(data, at)):
        kind = data[marker.start() + 1]
        if kind == _END_OF_IMAGE:
            break
        scans += kind == _START_OF_SCAN
        length = int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        at = marker.end() + max(length, 2)
    return scans
