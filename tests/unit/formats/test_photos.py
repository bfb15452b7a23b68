"""Photos: what comes in is refused or becomes a clean JPEG; nothing else ever happens."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from factories import photos as made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gridsvc.errors import (
    GridsvcError,
    PhotoContentError,
    PhotoPixelsError,
    PhotoTypeError,
    PhotoUnreadableError,
)
from gridsvc.formats.photo_structure import jpeg_scans, webp_canvas
from gridsvc.formats.photos import THUMBNAIL_PX, CleanPhoto, clean_photo

# pytest sets the filters of each test anew, without the one that the module under test adds
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def clean(data: bytes, **limits) -> CleanPhoto:
    return clean_photo(data, **({"max_pixels": 64_000_000, "max_side_px": 4096} | limits))


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_accepted_kind_becomes_a_jpeg_of_the_same_picture(kind):
    found = clean(made.photo(kind=kind))

    again = opened(found.jpeg)
    assert (again.format, again.size, found.sent_as) == ("JPEG", (640, 480), kind.lower())
    difference = np.abs(np.asarray(again, dtype=float) - np.asarray(made.scene(), dtype=float))
    assert difference.mean() < 4
    assert max(opened(found.thumbnail).size) == THUMBNAIL_PX


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_picture_is_turned_upright(orientation):
    lying = {
        1: (), 2: (Image.Transpose.FLIP_LEFT_RIGHT,), 3: (Image.Transpose.ROTATE_180,), 4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,), 6: (Image.Transpose.ROTATE_90,), 7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_270,),
    }[orientation]  # fmt: skip
    picture = made.scene()
    for turn in lying:
        picture = picture.transpose(turn)

    found = clean(made.encoded(picture, quality=95, exif=made.exif(orientation)))

    assert (found.width, found.height) == (640, 480)
    red, green, blue = opened(found.jpeg).getpixel((20, 20))
    assert red > 230 and green < 40 and blue < 40


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nothing_but_pixels_is_kept(kind):
    options = {"JPEG": {"comment": b"secret comment"}, "PNG": {}, "WEBP": {"xmp": b"<x:xmpmeta>secret</x:xmpmeta>"}}[
        kind
    ]
    sent = made.photo(kind=kind, exif=made.exif(), icc_profile=b"secret profile" * 20, **options)

    found = clean(sent)

    for kept in (found.jpeg, found.thumbnail):
        assert b"secret" not in kept and b"Zhang" not in kept and b"Exif" not in kept
        assert not opened(kept).getexif()


def test_what_phones_append_is_left_out():
    motion = made.photo() + b"\x00\x00\x00\x18ftypmp42" + bytes(5000)

    assert clean(motion).jpeg == clean(made.photo()).jpeg


def test_only_the_first_of_several_pictures_is_taken():
    several = made.encoded(made.scene(1), "MPO", save_all=True, append_images=[made.scene(2)], quality=75)

    found = clean(several)

    assert found.sent_as == "jpeg"
    assert np.abs(np.asarray(opened(found.jpeg), float) - np.asarray(made.scene(1), float)).mean() < 4


def test_time_and_position_are_read_with_their_offset_and_datum():
    notes = clean(made.photo(exif=made.exif())).notes

    assert notes.taken_at == datetime(2026, 3, 5, 1, 29, 58, tzinfo=UTC)
    assert (notes.lon, notes.lat, notes.datum) == (114.255, 30.585, "WGS-84")


def test_a_camera_without_offset_has_the_clock_of_the_city_and_one_without_datum_has_none():
    notes = clean(made.photo(exif=made.exif(datum=None, offset=None)), timezone_name="Asia/Shanghai").notes

    assert notes.taken_at == datetime(2026, 3, 5, 1, 29, 58, tzinfo=UTC)
    assert (notes.lon, notes.datum) == (114.255, "")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"Exif\0\0garbage", id="garbage"),
        pytest.param(made.exif()[:40], id="cut short"),
        pytest.param(made.exif().replace(b"2026:03:05 09:29:58", b"0000:00:00 00:00:00"), id="no such day"),
    ],
)
def test_a_photo_with_broken_exif_is_a_photo(broken):
    found = clean(made.photo(exif=broken))

    assert found.width == 640
    assert found.notes.taken_at is None


def test_large_pictures_are_scaled_down_keeping_their_shape():
    found = clean(made.photo(size=(900, 300)), max_side_px=600)

    assert (found.width, found.height) == (600, 200)
    assert opened(found.jpeg).size == (600, 200)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_every_colour_mode_becomes_rgb(mode):
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(made.scene().convert("L"), dtype=np.uint16) << 8)
    else:
        picture = made.scene().convert(mode)
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"

    found = opened(clean(made.encoded(picture, kind)).jpeg)

    assert found.mode == "RGB"
    grey, wanted = (np.asarray(p.convert("L"), dtype=float) for p in (found, made.scene()))
    assert mode == "1" or np.abs(grey - wanted).mean() < 12


def test_what_is_transparent_becomes_white():
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))

    assert opened(clean(made.encoded(clear, "PNG")).jpeg).getpixel((20, 20)) == (255, 255, 255)


def test_the_same_bytes_give_the_same_bytes():
    assert clean(made.photo(kind="PNG")) == clean(made.photo(kind="PNG"))


# -------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        pytest.param(b"", PhotoUnreadableError, "empty", id="empty"),
        pytest.param(b"hello", PhotoTypeError, "no photo", id="text"),
        pytest.param(made.animation("GIF"), PhotoTypeError, "GIF", id="animated gif"),
        pytest.param(made.photo(kind="GIF"), PhotoTypeError, "GIF", id="gif"),
        pytest.param(made.animation("WEBP"), PhotoTypeError, "animation", id="animated webp"),
        pytest.param(made.animation("PNG"), PhotoTypeError, "animation", id="animated png"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", PhotoTypeError, "HEIC", id="heic"),
        pytest.param(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", PhotoTypeError, "AVIF", id="avif"),
        pytest.param(b"\0\0\0\x18ftypmp42\0\0\0\0", PhotoTypeError, "video", id="video"),
        pytest.param(made.photo(kind="BMP"), PhotoTypeError, "BMP", id="bmp"),
        pytest.param(made.photo(kind="TIFF"), PhotoTypeError, "TIFF", id="tiff"),
        pytest.param(b"%PDF-1.7", PhotoTypeError, "PDF", id="pdf"),
        pytest.param(made.zip_archive(), PhotoTypeError, "zip", id="zip"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', PhotoTypeError, "SVG", id="svg"),
        pytest.param(b'\n<?xml version="1.0"?><svg/>', PhotoTypeError, "SVG", id="svg with declaration"),
        pytest.param(b"<!DOCTYPE html><html></html>", PhotoTypeError, "web page", id="html"),
        pytest.param(made.photo() + b"<script>alert(1)</script>", PhotoContentError, "script", id="jpeg and script"),
        pytest.param(made.photo(comment=b"<html><body>"), PhotoContentError, "<html>", id="html in a comment"),
        pytest.param(made.photo(kind="PNG") + b"<?php system('id'); ?>", PhotoContentError, "<?php", id="png and php"),
        pytest.param(made.photo() + made.zip_archive(), PhotoContentError, "archive", id="jpeg and zip"),
        pytest.param(made.photo(kind="WEBP") + made.zip_archive(), PhotoContentError, "archive", id="webp and zip"),
        pytest.param(made.photo() + b"Rar!\x1a\x07\x00", PhotoContentError, "archive", id="jpeg and rar"),
        pytest.param(made.photo(comment=b"%PDF-1.4 "), PhotoContentError, "PDF", id="jpeg and pdf"),
        pytest.param(made.photo()[:9000], PhotoUnreadableError, "cut short", id="truncated jpeg"),
        pytest.param(made.photo(kind="PNG")[:9000], PhotoUnreadableError, "cut short", id="truncated png"),
        pytest.param(made.photo(kind="WEBP")[:3000], PhotoUnreadableError, "cut short", id="truncated webp"),
        pytest.param(b"\xff\xd8\xff\xe0", PhotoUnreadableError, "broken", id="only the beginning of a jpeg"),
        pytest.param(b"RIFF\x10\0\0\0WEBP", PhotoUnreadableError, "WebP", id="only the beginning of a webp"),
        pytest.param(made.png_bomb(), PhotoPixelsError, "50000 x 50000", id="png bomb"),
    ],
)
def test_what_is_no_photo_is_refused_with_its_reason(data, error, says):
    with pytest.raises(error, match=says) as refused:
        clean(data)

    assert refused.value.hint


def test_a_jpeg_that_claims_too_many_pixels_is_refused_before_it_is_unpacked():
    data = bytearray(made.photo())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)

    with pytest.raises(PhotoPixelsError, match="65000 x 65000"):
        clean(bytes(data))


def test_a_webp_that_claims_too_many_pixels_is_refused_before_the_decoder_sees_it():
    data = bytearray(made.photo(kind="WEBP", exif=made.exif()))
    data[24:30] = (16_382).to_bytes(3, "little") * 2

    assert webp_canvas(bytes(data))[:2] == (16_383, 16_383)
    with pytest.raises(PhotoPixelsError):
        clean(bytes(data))


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"exif": made.exif()}], ids=["lossy", "lossless", "extended"]
)
def test_the_header_of_a_webp_tells_its_size(options):
    assert webp_canvas(made.photo(kind="WEBP", size=(321, 123), **options)) == (321, 123, False)


def test_a_jpeg_of_very_many_scans_is_refused():
    data = made.photo(progressive=True)
    start = data.index(b"\xff\xda")
    scan = data[start : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]

    assert 1 < jpeg_scans(data) < 20
    with pytest.raises(PhotoPixelsError, match="scans"):
        clean(data[:start] + scan * 2000 + data[start:])


def test_a_limit_is_inclusive():
    assert clean(made.photo(), max_pixels=640 * 480).width == 640
    with pytest.raises(PhotoPixelsError):
        clean(made.photo(), max_pixels=640 * 480 - 1)


SMALL = {kind: made.photo(kind=kind, size=(48, 36), exif=made.exif(6)) for kind in ("JPEG", "PNG", "WEBP")}


def becomes_a_photo_or_a_refusal(data: bytes) -> None:
    try:
        found = clean(data, max_pixels=1_000_000)
    except GridsvcError as refused:
        assert refused.code.startswith("photo-")
    else:
        assert opened(found.jpeg).size == (found.width, found.height)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(SMALL)), data=st.data())
def test_truncated_files_are_refused_and_nothing_else_happens(kind, data):
    whole = SMALL[kind]

    becomes_a_photo_or_a_refusal(whole[: data.draw(st.integers(0, len(whole) - 1))])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(SMALL)), data=st.data())
def test_files_with_changed_bytes_are_photos_or_refused(kind, data):
    changed = bytearray(SMALL[kind])
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)), min_size=1, max_size=12)
    ):
        changed[at] = value

    becomes_a_photo_or_a_refusal(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(
    beginning=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBPVP8X", b""]), rest=st.binary()
)
def test_random_bytes_are_refused(beginning, rest):
    with pytest.raises(GridsvcError) as refused:
        clean(beginning + rest, max_pixels=1_000_000)

    assert refused.value.code.startswith("photo-")
