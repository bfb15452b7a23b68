"""Photos: the bytes a client sent in; a clean JPEG, a thumbnail and what is known of the picture out. Bytes to bytes, no files.

Whatever comes in, only pixels go on: the picture is decoded, turned upright, cut down to a largest side and encoded anew, so
EXIF, comments, colour profiles, further pictures and anything appended stay behind. Hostile bytes give a refusal, never
another exception.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from gridsvc.errors import GridsvcError, PhotoPixelsError, PhotoTypeError, PhotoUnreadableError
from gridsvc.formats.photo_exif import PhotoNotes, notes_of, orientation_of
from gridsvc.formats.photo_fingerprints import fingerprint_of
from gridsvc.formats.photo_structure import MAX_SCANS, jpeg_scans, kind_of, refuse_other_content, webp_canvas

# Pillow warns of broken EXIF, which phones write every day
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

MEDIA_TYPE = "image/jpeg"
THUMBNAIL_PX = 320
_QUALITY, _THUMBNAIL_QUALITY = 85, 80
# opened directly and not through Image.open, which keeps a limit of its own in a global and takes any of 40 formats
_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "webp": WebPImageFile,
}
# EXIF 2.32, 4.6.5 A: what has to be done to stand the picture upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class CleanPhoto:
    """A photo fit to be kept and shown.

    ``jpeg`` and ``thumbnail`` are JPEG files without EXIF; ``width``, ``height`` (px) those of ``jpeg``, upright;
    ``sent_as`` jpeg, png or webp; ``fingerprint`` 64 bits or None (see ``photo_fingerprints``).
    """

    jpeg: bytes
    thumbnail: bytes
    width: int
    height: int
    sent_as: str
    fingerprint: int | None
    notes: PhotoNotes


def clean_photo(data: bytes, *, max_pixels: int, max_side_px: int, timezone_name: str = "Asia/Shanghai") -> CleanPhoto:
    """Return a photo encoded anew, upright, with nothing but its pixels.

    The same bytes give the same result with the same version of Pillow.

    Parameters
    ----------
    data
        The file as sent: JPEG, PNG or WebP, one still picture (further pictures of a JPEG are left out).
    max_pixels
        Largest width x height accepted; looked at before anything is unpacked.
    max_side_px
        The longer side is scaled down to this.
    timezone_name
        Where the camera's wall clock is, when it gives no offset.

    Raises
    ------
    PhotoTypeError
        Another kind of file (GIF, HEIC, SVG ...), or an animation.
    PhotoContentError
        A picture that is a web page, script, archive or PDF as well.
    PhotoPixelsError
        More than ``max_pixels``.
    PhotoUnreadableError
        Truncated or broken.

    Notes
    -----
    Memory: about ten bytes a pixel at the worst (PNG with transparency); JPEGs larger than twice ``max_side_px`` are decoded
    at a half, quarter or eighth.
    """
    kind = kind_of(data)
    refuse_other_content(data)
    try:
        return _cleaned(data, kind, max_pixels, max_side_px, timezone_name)
    except GridsvcError:
        raise
    except Exception as broken:  # decoders meet hostile bytes with OSError, ValueError, struct.error, IndexError ...
        raise PhotoUnreadableError(
            f"The {kind.upper()} is broken or cut short: {str(broken)[:200] or type(broken).__name__}.",
            hint="Send the file again; if it stays, take the photo again.",
        ) from broken


def _cleaned(data: bytes, kind: str, max_pixels: int, max_side_px: int, timezone_name: str) -> CleanPhoto:
    _refuse_heavy_headers(data, kind, max_pixels)
    with _OPENERS[kind](io.BytesIO(data)) as opened:
        _refuse_pixels(*opened.size, max_pixels)
        if getattr(opened, "is_animated", False):
            raise _animated(kind)
        orientation, notes = orientation_of(opened), notes_of(opened, timezone_name)
        upright = _upright(_flat(_decoded(opened, max_side_px)), orientation)
    picture = _fitted(upright, max_side_px)
    small = _fitted(picture, THUMBNAIL_PX)
    return CleanPhoto(
        jpeg=_encoded(picture, _QUALITY),
        thumbnail=_encoded(small, _THUMBNAIL_QUALITY),
        width=picture.width,
        height=picture.height,
        sent_as=kind,
        fingerprint=fingerprint_of(small),
        notes=notes,
    )


def _refuse_heavy_headers(data: bytes, kind: str, max_pixels: int) -> None:
    """Refuse what would cost too much merely to open."""
    if kind == "webp":
        width, height, animated = webp_canvas(data)
        if animated:
            raise _animated(kind)
        _refuse_pixels(width, height, max_pixels)
    if kind == "jpeg" and jpeg_scans(data) > MAX_SCANS:
        raise PhotoPixelsError(
            f"The JPEG has more than {MAX_SCANS} scans.", hint="Send the photo as the camera made it."
        )


def _animated(kind: str) -> PhotoTypeError:
    return PhotoTypeError(f"The {kind.upper()} is an animation.", hint="Send one still picture.")


def _refuse_pixels(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise PhotoUnreadableError("The picture has no pixels.", hint="Send the file again.")
    if width * height > max_pixels:
        raise PhotoPixelsError(
            f"The picture has {width} x {height} pixels, more than the {max_pixels} that are accepted.",
            hint="Set the camera to a smaller picture, or scale it down before sending.",
            width=width,
            height=height,
            max_pixels=max_pixels,
        )


def _size_within(width: int, height: int, side_px: int) -> tuple[int, int]:
    factor = min(1.0, side_px / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _decoded(opened: ImageFile, max_side_px: int) -> Image.Image:
    """Return the pixels; a JPEG is decoded at the smallest of its scales that is large enough."""
    if isinstance(opened, JpegImageFile):
        opened.draft(None, _size_within(*opened.size, max_side_px))
    opened.load()
    return opened


def _flat(image: Image.Image) -> Image.Image:
    """Return the picture in RGB: what is transparent becomes white, 16 bits a channel become 8."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGB", coloured.size, "white")
        white.paste(coloured, mask=coloured.getchannel("A"))
        return white
    flat = image.convert("RGB")
    flat.info = {}  # Pillow would write the comment of the original again
    return flat


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _fitted(image: Image.Image, side_px: int) -> Image.Image:
    size = _size_within(*image.size, side_px)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _encoded(image: Image.Image, quality: int) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality)
    return written.getvalue()
