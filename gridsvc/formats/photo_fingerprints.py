"""Perceptual fingerprints of photos: 64 bits that stay nearly the same when a photo is scaled, re-encoded or lightly edited.

Two photos are alike when few bits differ (Hamming distance). Bands make that searchable with an ordinary index: 64 bits are
four bands of 16, so of two fingerprints that differ in at most seven bits at least one band differs in at most one bit.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn

BITS = 64
BANDS = 4
BAND_BITS = BITS // BANDS
# what the bands find without a miss: four bands with two differing bits each would be eight
FURTHEST_BITS = 2 * BANDS - 1
_SIDE_PX = 32
_LOW = 8
# grey levels; a night sky or a covered lens has no detail to tell it by, and would be like every other
_LEAST_DEVIATION = 3.0


def fingerprint_of(image: Image.Image) -> int | None:
    """Return the fingerprint of an upright image, 64 bits, unsigned; None when the image is too plain to be told from others.

    Notes
    -----
    The lowest 8 x 8 coefficients of the cosine transform of the image at 32 x 32 grey pixels, each compared with their
    median. Source: the "pHash" of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section
    3.2.1, as the ImageHash library computes it; ten lines here against a dependency on PyWavelets (decision 0015).
    """
    grey = np.asarray(image.convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS), dtype=np.float64)
    if grey.std() < _LEAST_DEVIATION:
        return None
    low = dctn(grey, type=2)[:_LOW, :_LOW]
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def distance_bits(first: int, second: int) -> int:
    """Return how many bits differ, 0 to 64.

    Examples
    --------
    >>> distance_bits(0b1011, 0b0010)
    2
    """
    return (first ^ second).bit_count()


def bands_of(fingerprint: int) -> list[int]:
    """Return the four bands as keys that also say which band they are: band number * 65,536 + its 16 bits.

    Examples
    --------
    >>> bands_of(0x0001_0002_0003_0004)
    [4, 65539, 131074, 196609]
    """
    mask = (1 << BAND_BITS) - 1
    return [(band << BAND_BITS) | (fingerprint >> (band * BAND_BITS)) & mask for band in range(BANDS)]


def keys_near(fingerprint: int) -> list[int]:
    """Return the 68 band keys of which every fingerprint within ``FURTHEST_BITS`` has at least one."""
    return [key ^ change for key in bands_of(fingerprint) for change in (0, *(1 << bit for bit in range(BAND_BITS)))]
