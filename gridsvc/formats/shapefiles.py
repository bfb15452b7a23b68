"""What a Shapefile needs beyond reading its shapes: unpacking the archive and finding out its text encoding."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path, PurePosixPath

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.text_encoding import canonical_encoding, check_encoding

# DBF language driver byte -> encoding; only the ones seen on Chinese files. 0 says nothing.
_LANGUAGE_DRIVERS = {0x4D: "gb18030", 0x7A: "gb18030"}
_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_MAX_UNPACKED_BYTES = 4 * 1024**3


def unpack_shapefile(archive: Path, into: Path, layer: str | None = None) -> Path:
    """Unpack the one Shapefile in ``archive`` (or the one whose stem is ``layer``) into ``into``; return its ``.shp``.

    Member names may be in GB18030, as Windows tools write them; they are only used to find the parts of one Shapefile.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            stem, members = _members_of(opened, archive, layer)
            if sum(info.file_size for info in members.values()) > _MAX_UNPACKED_BYTES:
                raise FileUnreadableError(
                    f"{archive.name} unpacks to more than 4 GiB.", hint="Unpack it and import the .shp."
                )
            for suffix, info in members.items():
                (into / f"{stem}{suffix}").write_bytes(opened.read(info))
    except zipfile.BadZipFile as wrong:
        raise FileUnreadableError(
            f"{archive.name} is not a readable zip archive: {wrong}.", path=str(archive)
        ) from wrong
    return into / f"{stem}.shp"


def _members_of(opened: zipfile.ZipFile, archive: Path, layer: str | None) -> tuple[str, dict[str, zipfile.ZipInfo]]:
    by_stem: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for info in opened.infolist():
        path = PurePosixPath(_member_name(info).replace("\\", "/"))
        if path.suffix.lower() in _PARTS and not path.name.startswith("."):
            by_stem.setdefault(str(path.with_suffix("")), {})[path.suffix.lower()] = info
    stems = {stem: parts for stem, parts in by_stem.items() if ".shp" in parts}
    if layer is not None:
        stems = {stem: parts for stem, parts in stems.items() if PurePosixPath(stem).name == layer}
    if len(stems) != 1:
        found = ", ".join(sorted(PurePosixPath(stem).name for stem in stems)) or "none"
        raise FileUnreadableError(
            f"{archive.name} must hold one Shapefile, found: {found}.",
            hint="Choose one with --layer NAME.",
            path=str(archive),
        )
    stem, parts = next(iter(stems.items()))
    return PurePosixPath(stem).name, parts


def _member_name(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x800:  # the name is declared UTF-8
        return info.filename
    raw = info.filename.encode("cp437", errors="replace")
    return raw.decode("gb18030", errors="replace")


def text_encoding_of(shp: Path, declared: str | None) -> str:
    """Return the encoding of the attribute texts, checked against every text of the file.

    In this order: ``declared``, the ``.cpg`` file, the DBF language byte, UTF-8. Whichever it is, a text that does not
    fit is refused: a file without ``.cpg`` written in GB18030 is not read as UTF-8.
    """
    dbf = _sibling(shp, ".dbf")
    if dbf is None:
        return "utf-8"
    data = dbf.read_bytes()
    if len(data) < 33:
        raise FileUnreadableError(f"{dbf.name} is empty or cut off.", path=str(dbf))
    encoding = canonical_encoding(declared) if declared else _stated_encoding(shp, data[29])
    check_encoding(_text_bytes(data, dbf), encoding, f"{shp.name} (attribute texts in {dbf.name})")
    return encoding


def _stated_encoding(shp: Path, language_driver: int) -> str:
    cpg = _sibling(shp, ".cpg")
    stated = cpg.read_text(encoding="ascii", errors="replace").strip() if cpg else ""
    if stated:
        return canonical_encoding(stated)
    return _LANGUAGE_DRIVERS.get(language_driver, "utf-8")


def _sibling(shp: Path, suffix: str) -> Path | None:
    for candidate in (shp.with_suffix(suffix), shp.with_suffix(suffix.upper())):
        if candidate.is_file():
            return candidate
    return None


def _text_bytes(data: bytes, dbf: Path) -> bytes:
    """Return all character fields of all records, one line per text, trailing blanks cut."""
    count, header_bytes, record_bytes = struct.unpack("<IHH", data[4:12])
    spans = _character_spans(data[32:header_bytes])
    if header_bytes + count * record_bytes > len(data) + 1 or (count and record_bytes == 0):
        raise FileUnreadableError(f"{dbf.name} is cut off: it promises {count} records and holds fewer.", path=str(dbf))
    records = memoryview(data)[header_bytes : header_bytes + count * record_bytes]
    texts = bytearray()
    for start in range(0, count * record_bytes, record_bytes):
        for offset, length in spans:
            texts += bytes(records[start + offset : start + offset + length]).rstrip(b" \0") + b"\n"
    return bytes(texts)


def _character_spans(descriptors: bytes) -> list[tuple[int, int]]:
    spans, offset = [], 1  # the first byte of a record is its deletion flag
    for at in range(0, len(descriptors) - 31, 32):
        if descriptors[at] == 0x0D:
            break
        kind, length = chr(descriptors[at + 11]), descriptors[at + 16]
        if kind == "C":
            spans.append((offset, length))
        offset += length
    return spans
