import json

import pytest

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.kind_lists import read_kind_list


def test_json_is_read_as_it_stands(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"id": "own", "kinds": [{"code": "J02"}]}), encoding="utf-8-sig")

    assert read_kind_list(path) == {"id": "own", "kinds": [{"code": "J02"}]}


def test_csv_gets_its_id_from_its_name_and_leaves_out_empty_cells(tmp_path):
    path = tmp_path / "Our List_2026.csv"
    path.write_text("code,minutes,required\nJ02,5,是\nG0101,,no\n,10,\n", encoding="utf-8-sig")

    assert read_kind_list(path) == {
        "id": "our-list-2026",
        "kinds": [
            {"code": "J02", "minutes": "5", "required": "是"},
            {"code": "G0101", "required": "no"},
            {"code": "", "minutes": "10"},
        ],
    }


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("own.json", b"{", "line 1 column 2"),
        ("own.json", "{\"name_zh\": \"清单\"}".encode("gbk"), "UTF-8"),
        ("own.json", b"[" * 100_000, "nested too deep"),
        ("own.txt", b"J02", ".json or .csv"),
        ("own.csv", b"", "empty"),
        ("own.csv", b"code\n", "no rows"),
        ("own.json", b" " * 1_000_001, "1,000,000"),
    ],
)  # fmt: skip
def test_unreadable_lists_say_why(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(FileUnreadableError, match=says):
        read_kind_list(path)


def test_missing_list_is_named(tmp_path):
    with pytest.raises(FileUnreadableError, match=r"gone\.json"):
        read_kind_list(tmp_path / "gone.json")
