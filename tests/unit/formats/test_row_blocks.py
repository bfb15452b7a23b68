"""Long files in blocks: together they are the file, wherever it is cut."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridsvc.errors import FileUnreadableError
from gridsvc.formats import row_blocks
from gridsvc.formats.row_blocks import plan_blocks, read_block
from gridsvc.formats.vector_files import read_table

TEXTS = {
    "plain": "a{i}",
    "quoted separators and line ends": '"a,{i}\nb"',
    "doubled quotes": '"say ""{i}"" \n now"',
    "a quote inside a field": 'pipe 5" {i}',
    "text after a closing quote": '"a"b{i}',
    "empty": "",
}


@pytest.fixture(autouse=True)
def _small_rows(monkeypatch):
    monkeypatch.setattr(row_blocks, "_ROW_BYTES", 10)


def together(plan):
    return pd.concat([read_block(plan, i).rows.to_pandas() for i in range(len(plan.blocks))], ignore_index=True)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_blocks_of_a_csv_are_its_rows(tmp_path, text, separator, line_end):
    path = tmp_path / "a.csv"
    text = text.replace(",", separator)
    rows = [separator.join([text.format(i=i) if i % 3 else "x", str(i), "2"]) for i in range(400)]
    path.write_bytes(line_end.join([separator.join(["名", "lon", "lat"]), *rows, ""]).encode())

    plan = plan_blocks(path, rows=40)

    assert plan.how == "csv" and len(plan.blocks) > 5
    whole = read_table(path).frame.reset_index(drop=True)
    assert together(plan).fillna("").to_numpy().tolist() == whole.fillna("").to_numpy().tolist()


def test_a_csv_without_a_last_line_end_and_with_a_header_over_two_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"名\n称",lon,lat\n' + "\n".join(f"甲{i},{i},1" for i in range(300)), encoding="utf-8")

    plan = plan_blocks(path, rows=30)

    read = together(plan)
    assert len(plan.blocks) > 3 and read.columns[0] == "名\n称" and read.iloc[-1, 0] == "甲299" and len(read) == 300


def test_a_wrong_encoding_is_told_by_byte_and_line_of_the_file(tmp_path):
    path = tmp_path / "a.csv"
    lines = [f"{i},1,2" for i in range(300)]
    data = ("名,lon,lat\n" + "\n".join(lines) + "\n").encode() + "乙,1,2\n".encode("gb18030")
    path.write_bytes(data)
    plan = plan_blocks(path, rows=30)

    with pytest.raises(FileUnreadableError) as of_block:
        together(plan)
    with pytest.raises(FileUnreadableError) as of_whole:
        read_table(path)

    assert of_block.value.message == of_whole.value.message


def test_a_row_with_too_many_fields_is_told_by_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,lon,lat\n" + "".join(f"{i},1,2\n" for i in range(300)) + "9,1,2,3\n9,1,2\n", encoding="utf-8")
    plan = plan_blocks(path, rows=30)

    with pytest.raises(FileUnreadableError) as of_block:
        together(plan)
    with pytest.raises(FileUnreadableError) as of_whole:
        read_table(path)

    assert of_block.value.message == of_whole.value.message


@pytest.mark.parametrize("group", [7, 50, 1000])
def test_blocks_of_a_parquet_file_are_its_rows(tmp_path, group):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"lon": np.arange(500.0), "n": pd.array([None, 1] * 250, dtype="Int64"), "t": ["甲"] * 500})
    frame.to_parquet(path, row_group_size=group)

    plan = plan_blocks(path, rows=60)

    assert plan.how == "parquet" and max(block.size for block in plan.blocks) <= 60
    assert together(plan)["lon"].tolist() == frame["lon"].tolist()
    assert read_block(plan, 0).rows.schema.field("n").type == pa.int64()


def test_the_index_of_a_frame_is_no_column(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"lon": np.arange(100.0)}, index=[f"r{i}" for i in range(100)]).to_parquet(path)

    assert read_block(plan_blocks(path, rows=30), 1).rows.column_names == ["lon"]


def test_short_files_and_formats_that_cannot_be_cut_are_one_block(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lon,lat\n1,2\n", encoding="utf-8")

    plan = plan_blocks(path)

    assert (plan.how, len(plan.blocks)) == ("whole", 1)
    assert read_block(plan, 0).rows.to_pylist() == [{"lon": "1", "lat": "2"}]
    with pytest.raises(FileUnreadableError, match="There is no file"):
        plan_blocks(tmp_path / "none.csv")
