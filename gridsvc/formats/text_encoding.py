"""Bytes to text without guessing: a wrong encoding is refused, never stored as mojibake."""

from __future__ import annotations

import codecs
import re

from gridsvc.errors import FileUnreadableError

_CJK = re.compile("[\u4e00-\u9fff]")
_GB_FAMILY = frozenset({"gb18030", "gbk", "gb2312", "cp936", "hz"})


def canonical_encoding(name: str) -> str:
    """Return Python's name of an encoding; ``.cpg`` spellings such as ``936`` or ``ANSI 936`` are understood.

    Raises
    ------
    FileUnreadableError
        When no such encoding exists.
    """
    text = name.strip().lower().replace("ansi", "").strip(" -_")
    if text in ("936", "cp936", "gbk", "gb2312", "gb_2312-80", "oem 936"):
        return "gb18030"  # the superset reads all of them
    if text in ("utf8", "utf-8", "65001", "cp65001"):
        return "utf-8"
    if text.isdigit():
        text = f"cp{text}"
    try:
        return codecs.lookup(text).name
    except LookupError as unknown:
        raise FileUnreadableError(
            f"{name!r} is not a text encoding known here.", hint="Use --encoding utf-8 or --encoding gb18030."
        ) from unknown


def check_encoding(data: bytes, encoding: str, where: str) -> str:
    """Return ``data`` as text; refuse when it cannot be, or is plainly not, in ``encoding``.

    GB18030 accepts most byte sequences, so UTF-8 read as GB18030 would pass and give wrong characters. Bytes that are
    strictly valid UTF-8 and hold a Chinese character in that reading are therefore refused under a GB encoding.

    Parameters
    ----------
    encoding
        A name as `canonical_encoding` returns.
    where
        Names the file (and field) in the message.
    """
    if encoding in _GB_FAMILY and _reads_as_chinese(data, "utf-8"):
        raise FileUnreadableError(
            f"{where} was declared {encoding} but its text is UTF-8.", hint="Use --encoding utf-8.", declared=encoding
        )
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as wrong:
        raise _refused(data, encoding, where, wrong) from wrong


def _reads_as_chinese(data: bytes, encoding: str) -> bool:
    try:
        return _CJK.search(data.decode(encoding)) is not None
    except UnicodeDecodeError:
        return False


def _refused(data: bytes, encoding: str, where: str, wrong: UnicodeDecodeError) -> FileUnreadableError:
    line = data[: wrong.start].count(b"\n") + 1
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        hint = "It begins as UTF-16 does: use --encoding utf-16."
    elif encoding == "utf-8" and _reads_as_chinese(data, "gb18030"):
        hint = "Its bytes read as Chinese in GB18030: use --encoding gb18030 if that is what it is."
    else:
        hint = "Name the right one with --encoding, for example gb18030 or utf-8."
    return FileUnreadableError(
        f"{where} is not {encoding}: byte {wrong.start + 1} (line {line}) cannot be read.", hint=hint, declared=encoding
    )
