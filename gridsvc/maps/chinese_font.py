"""A Chinese font inside the page: only the characters a page uses, cut out of the vendored Noto Sans SC."""

from __future__ import annotations

import base64
import re
from functools import cache
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.merge import Merger
from fontTools.merge import Options as MergeOptions
from fontTools.ttLib import TTFont

from gridsvc.errors import GridsvcError

FAMILY = "gridsvc Sans"
# as WOFF: taking glyphs out of the WOFF2 that pages are served means decoding all of them, four times the time
FONT_DIR = Path(__file__).parent / "vendor" / "noto-sans-sc"
# 2024-01-01 in seconds since 1904, as TrueType counts
_FIXED_TIME = 3_786_912_000
_FACE = re.compile(r"url\(\./files/([^)]+\.woff)\)[^}]*?unicode-range:\s*([^;}]+)", re.DOTALL)


@cache
def _pieces() -> tuple[tuple[Path, frozenset[int]], ...]:
    """Return the files of the font and the characters each holds, as its style sheet tells."""
    sheet = FONT_DIR / "400.css"
    if not sheet.is_file():
        raise GridsvcError(
            "The font noto-sans-sc is missing.", hint="Run ./run setup, which copies it from its npm package."
        )
    found = []
    for name, ranges in _FACE.findall(sheet.read_text(encoding="utf-8")):
        held: set[int] = set()
        for part in ranges.replace("U+", "").split(","):
            low, _, high = part.strip().partition("-")
            held.update(range(int(low, 16), int(high or low, 16) + 1))
        found.append((FONT_DIR / "files" / name, frozenset(held)))
    return tuple(found)


def font_css(text: str) -> str:
    """Return ``@font-face`` rules for the family `FAMILY` with every character of ``text`` the font has, inside.

    The font comes in about a hundred pieces; each piece in use gives one rule with its own ``unicode-range``, so that
    a browser decodes only what it shows. Same characters, same bytes.
    """
    wanted = frozenset(map(ord, text)) | frozenset(range(0x20, 0x7F))
    rules = []
    for path, held in _pieces():
        used = held & wanted
        if used:
            content = base64.b64encode(_cut(path, used)).decode("ascii")
            listed = ",".join(f"U+{code:x}" for code in sorted(used))
            rules.append(
                f"@font-face{{font-family:'{FAMILY}';font-display:swap;font-weight:400;"
                f"src:url(data:font/woff2;base64,{content}) format('woff2');unicode-range:{listed}}}"
            )
    return "\n".join(rules)


@cache
def _cut(path: Path, characters: frozenset[int]) -> bytes:
    """Return the WOFF2 of the glyphs of ``characters``, without layout tables and without a time stamp."""
    options = subset.Options(layout_features=[], hinting=False, notdef_outline=True, desubroutinize=True, name_IDs=[])
    options.recalc_timestamp = False
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "BASE", "vhea", "vmtx"]
    with TTFont(path, recalcTimestamp=False, lazy=True) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=characters)
        cutter.subset(font)
        font.flavor = "woff2"
        written = BytesIO()
        font.save(written)
    return written.getvalue()


def font_file(text: str, folder: Path) -> Path:
    """Write one TrueType file with every character of ``text`` the font has into ``folder``, and return its path.

    For programs that draw by themselves. Same characters, same bytes.
    """
    wanted = frozenset(map(ord, text)) | frozenset(range(0x20, 0x7F))
    pieces = []
    for number, (path, held) in enumerate(_pieces()):
        if held & wanted:
            with TTFont(BytesIO(_cut(path, held & wanted)), recalcTimestamp=False) as font:
                font.flavor = None
                pieces.append(str(folder / f"piece{number}.ttf"))
                font.save(pieces[-1])
    merged = Merger(MergeOptions(drop_tables=["vmtx", "vhea", "MATH"])).merge(pieces)
    for name in ("created", "modified"):
        setattr(merged["head"], name, _FIXED_TIME)
    merged.recalcTimestamp = False
    made = folder / f"{FAMILY.replace(' ', '-')}.ttf"
    merged.save(made)
    return made
