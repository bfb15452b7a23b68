"""The file store: whole or absent, in a folder and in a store that fsspec knows."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from gridsvc.errors import PhotoStoreError, SettingError
from gridsvc.store.photo_files import PhotoFiles, picture_name, piece_name, thumbnail_name

NAME = picture_name(hashlib.sha256(b"x").digest())


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path):
    """A store in a folder, and one of fsspec's without folders of its own (an object store is driven the same way)."""
    return PhotoFiles(str(tmp_path / "照片 #1") if request.param == "folder" else f"memory://{uuid.uuid4()}/photos")


def test_what_is_written_is_read(files):
    files.write(NAME, b"first")
    files.write(NAME, b"second")

    assert files.read(NAME) == b"second"
    assert [name for name, _ in files.pictures_in(int(NAME.split("/")[1], 16))] == [NAME]


def test_what_is_not_there_is_refused_and_deleting_it_is_nothing(files):
    files.delete(NAME)
    files.delete_pieces("nothing")

    assert list(files.pictures_in(7)) == []
    assert files.upload_ids() == []
    with pytest.raises(PhotoStoreError, match="Could not read"):
        files.read(NAME)


def test_pieces_are_deleted_together(files):
    for upload_id in ("one", "two"):
        files.write(piece_name(upload_id, 0), b"a")
        files.write(piece_name(upload_id, 1), b"b")

    files.delete_pieces("one")

    assert files.upload_ids() == ["two"]
    assert files.read(piece_name("two", 1)) == b"b"


def test_a_thumbnail_lies_beside_its_picture():
    assert thumbnail_name(bytes(32)).rsplit("/", 1)[0] == picture_name(bytes(32)).rsplit("/", 1)[0]
    assert thumbnail_name(bytes(32)) != picture_name(bytes(32))


def test_the_check_leaves_nothing(files, tmp_path):
    files.check()

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("place", ["nonsense://x", "s3://bucket/photos"])
def test_a_place_that_cannot_be_used_is_a_wrong_setting(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(SettingError, match="GRIDSVC_PHOTOS"):
        PhotoFiles(place)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(PhotoStoreError, match="Could not write"):
        PhotoFiles(str(tmp_path / "file" / "photos")).write(NAME, b"x")


def test_every_folder_up_to_the_root_is_synced(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda opened: (synced.append(str(Path(f"/proc/self/fd/{opened}").readlink())), real(opened))
    )
    files = PhotoFiles(str(tmp_path / "photos"))

    files.write(NAME, b"x")

    assert synced[0].endswith(".part")
    path = tmp_path / "photos" / NAME
    assert synced[1:] == [str(p) for p in (path.parent, *list(path.parents)[1:5])]


def test_a_writer_killed_half_way_leaves_no_file_under_the_name(tmp_path):
    program = (
        "import os, sys, signal\n"
        "from gridsvc.store.photo_files import PhotoFiles\n"
        "os.fsync = lambda opened: os.kill(os.getpid(), signal.SIGKILL)\n"
        "PhotoFiles(sys.argv[1]).write(sys.argv[2], bytes(100_000))\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "photos"), NAME], check=False)
    files = PhotoFiles(str(tmp_path / "photos"))

    assert killed.returncode == -9
    assert not (tmp_path / "photos" / NAME).exists()
    left = [name for name, _ in files.pictures_in(int(NAME.split("/")[1], 16))]
    assert len(left) == 1 and left[0].endswith(".part")
