"""Photos made for tests: scenes with detail, in every format, upright or not, and files that are no photos."""

from __future__ import annotations

import hashlib
import io
import zipfile

import numpy as np
from PIL import Image, ImageDraw


def scene(seed: int = 1, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return a picture with shapes of its own for each seed; the red corner is at the top left."""
    rng = np.random.default_rng(seed)
    coarse = (rng.random((9, 12, 3)) * 255).astype(np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        draw.rectangle((x, y, x + size[0] // 6, y + size[1] // 6), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
    draw.rectangle((0, 0, size[0] // 8, size[1] // 8), fill=(255, 0, 0))
    return picture


def encoded(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    """Return a picture as a file."""
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()


def photo(seed: int = 1, kind: str = "JPEG", size: tuple[int, int] = (640, 480), **options) -> bytes:
    """Return a scene as a file."""
    return encoded(scene(seed, size), kind, **options)


def large_photo(seed: int = 1) -> bytes:
    """Return a photo of more than two MiB, with noise that does not compress."""
    noise = np.random.default_rng(seed).integers(0, 255, (1300, 1700, 3), dtype=np.uint8)
    return encoded(Image.blend(Image.fromarray(noise), scene(seed, (1700, 1300)), 0.4), "JPEG", quality=97)


def exif(orientation: int = 1, *, datum: str | None = "WGS-84", offset: str | None = "+08:00") -> bytes:
    """Return EXIF with a position in Jianghan, a time and an orientation."""
    notes = Image.Exif()
    notes[0x0112] = orientation
    notes[0x010F] = "Camera of Zhang San"
    taken = {0x9003: "2026:03:05 09:29:58"}
    if offset is not None:
        taken[0x9011] = offset
    notes._ifds[0x8769] = taken
    gps = {1: "N", 2: (30.0, 35.0, 6.0), 3: "E", 4: (114.0, 15.0, 18.0)}
    if datum is not None:
        gps[18] = datum
    notes._ifds[0x8825] = gps
    return notes.tobytes()


def animation(kind: str) -> bytes:
    """Return three frames as GIF, PNG or WEBP."""
    frames = [scene(n, (64, 48)) for n in (1, 2, 3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def zip_archive() -> bytes:
    """Return a zip archive with a page in it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.html", "<script>alert(1)</script>" * 9)
    return written.getvalue()


def png_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """Return a PNG whose header claims very many pixels, in few bytes."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def sha256(data: bytes) -> str:
    """Return the hash that names a photo."""
    return hashlib.sha256(data).hexdigest()
