"""Files of photos: in a folder, or in any store that fsspec knows (S3-compatible ones with ``gridsvc[s3]``).

A file is there whole or not at all, under a name that is never written with other content: photos are named after the hash
of their bytes. When ``write`` returns, the file survives a power cut: in a folder it and the entries that lead to it were
synced to the disk; an object store answers when it has the object.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gridsvc.errors import PhotoStoreError, SettingError

logger = logging.getLogger(__name__)

_PICTURES, _PIECES = "pictures", "uploads"
_UNFINISHED = ".part"


def picture_name(stored_sha256: bytes) -> str:
    """Return the name of a kept photo, from the hash of its bytes; two levels of folders keep each of them small.

    Examples
    --------
    >>> picture_name(bytes.fromhex("ab12" + 30 * "00"))[:21]
    'pictures/ab/12/ab1200'
    """
    name = stored_sha256.hex()
    return f"{_PICTURES}/{name[:2]}/{name[2:4]}/{name}.jpg"


def thumbnail_name(stored_sha256: bytes) -> str:
    """Return the name of the thumbnail of a kept photo."""
    return picture_name(stored_sha256).removesuffix(".jpg") + ".small.jpg"


def piece_name(upload_id: str, offset: int) -> str:
    """Return the name of the piece of an upload that begins at ``offset``."""
    return f"{_PIECES}/{upload_id}/{offset:012d}"


class PhotoFiles:
    """The files of one place.

    Parameters
    ----------
    place
        A folder (made when first needed) or a URL that fsspec knows: ``s3://bucket/prefix``, ``memory://photos``.

    Raises
    ------
    SettingError
        When fsspec does not know the kind of URL, or the package for it is not installed.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        try:
            self._files, root = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError) as unknown:
            raise SettingError(
                f"GRIDSVC_PHOTOS is {place!r}, which cannot be used: {unknown}.",
                hint="Give a folder, or s3://bucket/prefix after pip install 'gridsvc[s3]'.",
            ) from unknown
        self._root = root.rstrip("/")

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, or None when the files are elsewhere."""
        return Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole; when this returns it survives a crash.

        Raises
        ------
        PhotoStoreError
            When it cannot be kept: disk full, no right to write, store not reachable.
        """
        with self._refusing("write", name):
            if self.folder is not None:
                _write_synced(self.folder, self.folder / name, data)
            else:
                self._files.pipe_file(self._path(name), data)

    def read(self, name: str) -> bytes:
        """Return a file.

        Raises
        ------
        PhotoStoreError
            When it is not there or cannot be read.
        """
        with self._refusing("read", name):
            return self._files.cat_file(self._path(name))

    def delete(self, name: str) -> None:
        """Delete a file; nothing happens when there is none."""
        with self._refusing("delete", name), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def delete_pieces(self, upload_id: str) -> None:
        """Delete all pieces of an upload; nothing happens when there are none."""
        with self._refusing("delete", upload_id), contextlib.suppress(FileNotFoundError):
            self._files.rm(self._path(f"{_PIECES}/{upload_id}"), recursive=True)

    def upload_ids(self) -> list[str]:
        """Return the uploads that have pieces, by id."""
        return sorted(self._children(_PIECES))

    def pictures_in(self, first_byte: int) -> Iterator[tuple[str, datetime]]:
        """Yield name and time of writing of the files whose hash begins with a byte, by name; those of killed writers too."""
        folder = f"{_PICTURES}/{first_byte:02x}"
        with self._refusing("list", folder):
            self._files.invalidate_cache()
            found = self._files.find(self._path(folder), detail=True)
        for path in sorted(found):
            yield self._name(path), _written_at(found[path])

    def check(self) -> None:
        """Write, read and delete a small file.

        Raises
        ------
        PhotoStoreError
            When one of these fails.
        """
        name, content = f"check-{uuid.uuid4()}", os.urandom(64)
        self.write(name, content)
        same = self.read(name) == content
        self.delete(name)
        if not same:
            raise PhotoStoreError(f"{self.place} gives back other bytes than were written.", place=self.place)

    def _children(self, folder: str) -> set[str]:
        with self._refusing("list", folder):
            self._files.invalidate_cache()  # clients of object stores remember listings
            try:
                found = self._files.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return set()
        return {path.rstrip("/").rsplit("/", 1)[-1] for path in found}

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _name(self, path: str) -> str:
        return path[path.rindex(f"{self._root}/") + len(self._root) + 1 :]

    @contextlib.contextmanager
    def _refusing(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as failed:
            if self.folder is not None and not isinstance(failed, OSError):
                raise
            logger.warning("photos in %s: could not %s %s: %s", self.place, verb, name, failed)
            # object stores fail in classes of their own: no credentials, no route, slow down
            reason = failed.strerror if isinstance(failed, OSError) and failed.strerror else type(failed).__name__
            raise PhotoStoreError(
                f"Could not {verb} {name}: {reason}.",
                hint="Try again later; the operator: run gridsvc doctor.",
                name=name,
            ) from failed


def _written_at(entry: dict[str, Any]) -> datetime:
    for key in ("mtime", "LastModified", "last_modified", "created"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
    return datetime.now(UTC)  # of unknown age: counts as new, and is left alone


def _write_synced(root: Path, path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_UNFINISHED}")
    try:
        with unfinished.open("xb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    # another process may have made the folders and not synced them yet: every level up to the root
    for folder in (path.parent, *path.parent.parents):
        _sync_folder(folder)
        if folder == root.parent:
            break


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
