"""Static files: compressed once in each process, kept by browsers for good under an address that changes with their content.

``url_for("static", ...)`` gives ``/static/v-HASH/...``, the hash being of all static files together, so that what scripts and style sheets
import by relative addresses is versioned as well. Files asked for without a hash, or with that of another release, are there too and asked for
again by their ETag.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request
from werkzeug.security import safe_join

_VERSION = re.compile(r"v-[0-9a-f]{16}/")
# a year, as long as caches keep anything
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "public, no-cache"
_COMPRESSED = (".js", ".mjs", ".css", ".svg", ".json", ".txt", ".html")
# smaller ones do not get smaller by compression
_COMPRESS_FROM_BYTES = 512


@dataclass(frozen=True, slots=True)
class _Content:
    raw: bytes
    compressed: bytes | None
    tag: str
    kind: str


class StaticFiles:
    """The files of a folder, read and compressed when they are first asked for.

    Parameters
    ----------
    folder
        With everything below it; what is outside, or a link out of it, is not served.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, tuple[tuple[int, int], _Content]] = {}
        self._lock = threading.Lock()
        self._version = ""

    @property
    def version(self) -> str:
        """A hash of names, sizes and times of all files: another release, or another set-up, is another version."""
        if not self._version:
            digest = hashlib.sha256()
            for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
                state = path.stat()
                digest.update(f"{path.relative_to(self._folder)} {state.st_size} {state.st_mtime_ns}\n".encode())
            self._version = f"v-{digest.hexdigest()[:16]}"
        return self._version

    def find(self, name: str) -> _Content | None:
        """Return a file by its name below the folder, None where there is none; a file that changed is read again."""
        joined = safe_join(str(self._folder), name)
        if joined is None:
            return None
        path = Path(joined)
        try:
            if not path.is_file() or not path.resolve().is_relative_to(self._folder.resolve()):
                return None
            state = path.stat()
        except OSError:  # a name that no file can have
            return None
        key = (state.st_size, state.st_mtime_ns)
        held = self._held.get(name)
        if held is None or held[0] != key:
            # one thread compresses, the others wait for what it made
            with self._lock:
                held = self._held.get(name)
                if held is None or held[0] != key:
                    held = (key, _content(path))
                    self._held[name] = held
        return held[1]

    def warm(self, suffixes: tuple[str, ...] = (".js", ".mjs", ".css")) -> None:
        """Read and compress scripts and style sheets, so that the first visitor need not wait for that."""
        for path in sorted(self._folder.rglob("*")):
            if path.suffix in suffixes:
                self.find(path.relative_to(self._folder).as_posix())


def _content(path: Path) -> _Content:
    raw = path.read_bytes()
    compressed = None
    if path.suffix in _COMPRESSED and len(raw) >= _COMPRESS_FROM_BYTES:
        # mtime 0: the same file is the same bytes whenever it is compressed
        compressed = gzip.compress(raw, 9, mtime=0)
    kind = "text/javascript" if path.suffix == ".mjs" else mimetypes.guess_type(path.name)[0]
    kind = kind or "application/octet-stream"
    if kind.startswith("text/") or kind == "application/json":
        kind += "; charset=utf-8"
    return _Content(raw, compressed, hashlib.sha256(raw).hexdigest()[:32], kind)


def register_static_files(app: Flask) -> None:
    """Serve the static files of ``app`` from here."""
    files = StaticFiles(Path(app.static_folder or ""))
    app.extensions["gridsvc_static_files"] = files

    @app.url_defaults
    def versioned(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values:
            values["filename"] = f"{files.version}/{values['filename']}"

    def send(filename: str) -> Response:
        named = _VERSION.match(filename)
        found = files.find(filename[named.end() :] if named else filename)
        if found is None:
            abort(404)
        answer = Response(mimetype=None)
        use_gzip = found.compressed is not None and request.accept_encodings["gzip"] > 0
        answer.set_data(found.compressed if use_gzip and found.compressed is not None else found.raw)
        answer.content_type = found.kind
        if use_gzip:
            answer.headers["Content-Encoding"] = "gzip"
        if found.compressed is not None:
            answer.vary.add("Accept-Encoding")
        is_current = named is not None and named.group().rstrip("/") == files.version
        answer.headers["Cache-Control"] = _FOR_GOOD if is_current else _ASK_AGAIN
        answer.set_etag(f"{found.tag}-gzip" if use_gzip else found.tag)
        answer.make_conditional(request)
        return answer

    app.view_functions["static"] = send
