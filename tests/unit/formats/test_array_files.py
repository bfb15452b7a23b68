"""Arrays in a mapped file: back as they were, whole or not at all."""

import numpy as np
import pytest

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.array_files import read_arrays, write_arrays

ARRAYS = {
    "a": np.arange(7, dtype=np.int32),
    "empty": np.zeros(0),
    "b": np.arange(6, dtype=np.float64).reshape(2, 3) / 7,
    "flags": np.ones(3, dtype=np.uint8),
}


def test_arrays_come_back_bit_by_bit_and_cannot_be_written(tmp_path):
    write_arrays(tmp_path / "new" / "x", ARRAYS, {"codes": ["甲", "b"]})

    arrays, about = read_arrays(tmp_path / "new" / "x")

    assert about == {"codes": ["甲", "b"]}
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].tolist() == array.tolist()
        assert not arrays[name].flags.writeable
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x"]


def test_whoever_has_a_file_open_keeps_it_when_it_is_replaced(tmp_path):
    write_arrays(tmp_path / "x", ARRAYS, {})
    before, _ = read_arrays(tmp_path / "x")

    write_arrays(tmp_path / "x", {"a": np.zeros(9)}, {})
    (tmp_path / "x").unlink()

    assert before["a"].tolist() == ARRAYS["a"].tolist()


@pytest.mark.parametrize(
    "content", [None, b"", b"something else entirely", "cut"], ids=["missing", "empty", "other", "cut"]
)
def test_what_is_no_such_file_is_refused(tmp_path, content):
    if content == "cut":
        write_arrays(tmp_path / "x", ARRAYS, {})
        content = (tmp_path / "x").read_bytes()[:-100]
    if content is not None:
        (tmp_path / "x").write_bytes(content)

    with pytest.raises(FileUnreadableError):
        read_arrays(tmp_path / "x")
