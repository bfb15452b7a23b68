"""Small JPEG photos, every one different, made from a number."""

from __future__ import annotations

import io
import random

from PIL import Image


def photo(number: int, *, side: int = 48) -> bytes:
    """Return a JPEG of ``side`` px that no other number gives."""
    dice = random.Random(number)
    picture = Image.frombytes("RGB", (side, side), dice.randbytes(side * side * 3))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return buffer.getvalue()
