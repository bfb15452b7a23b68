"""Fingerprints: near for the same photo however it was saved, far for another; bands find all that is near."""

from __future__ import annotations

import numpy as np
import pytest
from factories import photos as made
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from gridsvc.formats.photo_fingerprints import FURTHEST_BITS, bands_of, distance_bits, fingerprint_of, keys_near

bits = st.integers(0, (1 << 64) - 1)
CHANGES = {
    "half the size": lambda p: p.resize((p.width // 2, p.height // 2)),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.15),
    "grey": lambda p: p.convert("L").convert("RGB"),
    "a date stamped on it": lambda p: _stamped(p),
    "one percent cut off": lambda p: p.crop((3, 2, p.width - 3, p.height - 2)),
}


def _stamped(picture: Image.Image) -> Image.Image:
    stamped = picture.copy()
    stamped.paste((255, 200, 0), (500, 450, 620, 465))
    return stamped


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("seed", range(8))
def test_a_changed_copy_is_near(change, seed):
    picture = made.scene(seed)

    assert distance_bits(fingerprint_of(picture), fingerprint_of(change(picture))) <= 6


def test_other_photos_are_far():
    prints = [fingerprint_of(made.scene(seed)) for seed in range(40)]
    distances = [distance_bits(a, b) for i, a in enumerate(prints) for b in prints[:i]]

    assert min(distances) > FURTHEST_BITS
    assert 28 < np.mean(distances) < 36


def test_a_plain_picture_has_none():
    assert fingerprint_of(Image.new("RGB", (640, 480), (12, 12, 20))) is None


@given(fingerprint=bits, flipped=st.sets(st.integers(0, 63), max_size=FURTHEST_BITS))
def test_whatever_is_near_shares_a_key(fingerprint, flipped):
    other = fingerprint
    for bit in flipped:
        other ^= 1 << bit

    assert distance_bits(fingerprint, other) == len(flipped)
    assert set(bands_of(other)) & set(keys_near(fingerprint))


@given(fingerprint=bits)
def test_keys_say_which_band_they_are(fingerprint):
    keys = keys_near(fingerprint)

    assert len(set(keys)) == 68
    assert {key >> 16 for key in keys} == {0, 1, 2, 3}
    assert sum((key & 0xFFFF) << (16 * (key >> 16)) for key in bands_of(fingerprint)) == fingerprint
