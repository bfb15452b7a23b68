"""Locating the points of a long file as a job: the same bytes whoever does the blocks, what survives being stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from factories.stored_town import COMMUNITIES, DISTRICT, LATER, SIDE, SOUTH, START, WEST, division_frame, grid_frame

from gridsvc.bootstrap import App
from gridsvc.errors import ConflictError, FileUnreadableError, GridsvcError, ImportRefusedError, NotFoundError
from gridsvc.jobs.locating_job import run_locating
from gridsvc.services.grid_lookup import find_places
from gridsvc.services.locating_files import LocateOrder, locate_file
from gridsvc.settings import read_settings
from gridsvc.store.engine import make_engine

pytestmark = pytest.mark.postgis

COUNT = 4000
BLOCK = 300


@pytest.fixture
def app(clean_database):
    engine = make_engine(clean_database)
    made = App(read_settings({}), engine)
    with made.unit_of_work() as uow:
        uow.divisions.put_frame(division_frame(), START)
        for network, parts in (("social", 2), ("security", 3)):
            redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "planner", START)
            uow.redraws.put_grids(redraw, grid_frame(network=network, parts=parts))
            uow.redraws.approve(redraw, "manager", START, START, {})
        uow.commit()
    yield made
    engine.dispose()


def points(count=COUNT):
    """Return rows as offices keep them: texts with everything a CSV must quote, whole numbers that are missing, times."""
    draw = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "编号": [f"{i:05d}" for i in range(count)],
            "内容": [['占道, "经营"', "两行\n文字", "", '5" 管'][i % 4] + str(i) for i in range(count)],
            "件数": pd.array([None if i % 3 else i for i in range(count)], dtype="Int64"),
            "lon": np.round(draw.uniform(WEST - SIDE / 4, WEST + 2 * SIDE, count), 9),
            "lat": np.round(draw.uniform(SOUTH, SOUTH + 2 * SIDE, count), 9),
        }
    )


def written(folder: Path, suffix: str, frame=None) -> Path:
    frame = points() if frame is None else frame
    path = folder / f"points{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
        return path
    located = gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame["lon"], frame["lat"]), crs=4326)
    if suffix == ".parquet":
        located.to_parquet(path, row_group_size=1000)
    else:
        located.to_file(path)
    return path


def order_of(path, out, **changes):
    return LocateOrder(**{"path": path, "out": out, "datum": "wgs84", "at": START} | changes)


@pytest.mark.parametrize(("suffix", "out_suffix"), [(".csv", ".csv"), (".parquet", ".parquet"), (".gpkg", ".geojson")])
def test_blocks_side_by_side_give_the_bytes_of_one_after_the_other(app, tmp_path, suffix, out_suffix, monkeypatch):
    monkeypatch.setattr("gridsvc.formats.row_blocks._ROW_BYTES", 40)
    source = written(tmp_path, suffix)
    one, two = tmp_path / f"one{out_suffix}", tmp_path / "two" / f"one{out_suffix}"
    two.parent.mkdir()

    alone = run_locating(app, order_of(source, one), processes=1, block_rows=BLOCK)
    beside = run_locating(app, order_of(source, two), processes=2, block_rows=BLOCK)

    assert one.read_bytes() == two.read_bytes()
    assert (alone.rows, alone.located, alone.unlocated) == (beside.rows, beside.located, beside.unlocated)
    assert alone.rows == COUNT and 0 < alone.unlocated < COUNT
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["two", one.name, source.name])


def test_every_row_comes_back_in_order_with_its_grid(app, tmp_path):
    frame = points()
    out = tmp_path / "out.parquet"

    run_locating(app, order_of(written(tmp_path, ".parquet", frame), out), block_rows=BLOCK)

    read = gpd.read_parquet(out)
    pd.testing.assert_frame_equal(pd.DataFrame(read[list(frame.columns)]), frame, check_dtype=False)
    with app.unit_of_work() as uow:
        by_sql = uow.grids.locate_many_sql(frame["lon"], frame["lat"], "social", START)
        places = find_places(uow, frame["lon"], frame["lat"], START)
    assert [code if isinstance(code, str) else None for code in read["social_grid"]] == places.grids["social"].tolist()
    held = np.array([code is not None for code in by_sql])
    assert read["social_grid"][held].tolist() == [code for code in by_sql if code is not None]
    assert (read["outside_m"][held] == 0.0).all()
    # just beside the town: the nearest grid, with its distance
    beside = read["outside_m"][~held].dropna()
    assert beside.between(0.001, app.settings.nearest_grid_m).all() and len(beside)
    assert read["social_grid"][beside.index].notna().all()
    assert read["urban_grid"].isna().all()
    assert shapely.get_x(read.geometry).tolist() == frame["lon"].tolist()


def test_blocks_and_whole_file_come_to_the_same(app, tmp_path, monkeypatch):
    monkeypatch.setattr("gridsvc.formats.row_blocks._ROW_BYTES", 40)
    source = written(tmp_path, ".csv")

    run_locating(app, order_of(source, tmp_path / "blocks.csv"), processes=1, block_rows=BLOCK)
    with app.unit_of_work() as uow:
        locate_file(uow, source, tmp_path / "whole.csv", datum="wgs84", at=START)

    assert (tmp_path / "blocks.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    read = pd.read_csv(tmp_path / "blocks.csv", dtype=str, keep_default_na=False)
    assert read["内容"].tolist() == [text.strip() for text in points()["内容"]]


def test_bad_rows_of_all_blocks_are_listed_with_their_numbers_and_nothing_is_left(app, tmp_path):
    frame = points()
    frame.loc[[3, 1500], "lon"] = np.nan
    frame.loc[2222, "lon"], frame.loc[2222, "lat"] = float(frame.loc[2222, "lat"]), float(frame.loc[2222, "lon"])
    source = tmp_path / "points.parquet"
    frame.to_parquet(source, row_group_size=1000)
    out = tmp_path / "out.csv"

    with pytest.raises(ImportRefusedError, match="3 of 4000 rows") as refused:
        run_locating(app, order_of(source, out), block_rows=BLOCK)

    assert [row.row for row in refused.value.rows] == [4, 1501, 2223]
    assert "swapped" in refused.value.rows[2].reason
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    partial = run_locating(app, order_of(source, out, partial=True), block_rows=BLOCK)
    assert (partial.refused_rows, [row.row for row in partial.refused]) == (3, [4, 1501, 2223])


def test_a_file_that_is_refused_leaves_nothing_behind(app, tmp_path):
    source = tmp_path / "points.parquet"
    points().rename(columns={"lon": "经", "lat": "纬"}).to_parquet(source, row_group_size=1000)

    with pytest.raises(ImportRefusedError, match="no column for lon") as refused:
        run_locating(app, order_of(source, tmp_path / "out.csv"), processes=2, block_rows=BLOCK)
    with pytest.raises(FileUnreadableError, match="There is no folder"):
        run_locating(app, order_of(source, tmp_path / "none" / "out.csv"), block_rows=BLOCK)

    assert refused.value.rows[0].field == "lon"
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_a_workbook_that_would_be_too_long_is_refused_before_anything_is_done(app, tmp_path, monkeypatch):
    monkeypatch.setattr("gridsvc.formats.located_rows._XLSX_ROWS", COUNT - 1)

    with pytest.raises(FileUnreadableError, match="do not fit into the workbook"):
        run_locating(app, order_of(written(tmp_path, ".parquet"), tmp_path / "out.xlsx"), block_rows=BLOCK)

    assert not (tmp_path / "out.xlsx.blocks").exists()


def stopped_half_way(app, order, monkeypatch, after=4):
    """Begin a run and stop it by Ctrl-C once some blocks are done."""
    from gridsvc.jobs import locating_job

    real = locating_job.locate_task

    def stopping(task):
        if task.number == after:
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(locating_job, "locate_task", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_locating(app, order, processes=1, block_rows=BLOCK)
    monkeypatch.setattr(locating_job, "locate_task", real)


def test_a_stopped_run_goes_on_with_the_grids_of_its_beginning(app, tmp_path, monkeypatch):
    source, out = written(tmp_path, ".parquet"), tmp_path / "out.csv"
    stopped_half_way(app, order_of(source, out), monkeypatch)
    assert not out.exists()
    folder = tmp_path / "out.csv.blocks"
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*.rows")}
    assert len(done) == 4
    with app.unit_of_work() as uow:
        redraw = uow.redraws.open_draft("social", DISTRICT, "automatic", "planner", LATER)
        uow.redraws.put_grids(redraw, grid_frame(parts=3, first_serial=3))
        uow.redraws.approve(redraw, "manager", LATER, LATER, {})
        uow.commit()

    worked = []
    real = run_locating.__globals__["locate_task"]
    monkeypatch.setitem(run_locating.__globals__, "locate_task", lambda task: worked.append(task.number) or real(task))
    run_locating(app, order_of(source, out, at=LATER), processes=1, resume=True, at_given=False, block_rows=BLOCK)

    assert min(worked) == 4 and not folder.exists()
    run_locating(app, order_of(source, tmp_path / "anew.csv"), processes=1, block_rows=BLOCK)
    assert out.read_bytes() == (tmp_path / "anew.csv").read_bytes()


def test_what_is_resumed_must_be_what_was_begun(app, tmp_path, monkeypatch):
    source, out = written(tmp_path, ".parquet"), tmp_path / "out.csv"
    with pytest.raises(NotFoundError, match="nothing to resume"):
        run_locating(app, order_of(source, out), resume=True, block_rows=BLOCK)
    stopped_half_way(app, order_of(source, out), monkeypatch)

    for changes, what in (({"datum": "gcj02"}, "datum"), ({"at": LATER}, "at"), ({"partial": True}, "partial")):
        with pytest.raises(ConflictError, match=f"another {what}"):
            run_locating(app, order_of(source, out, **changes), resume=True, block_rows=BLOCK)
    written(tmp_path, ".parquet", points().iloc[::-1])
    with pytest.raises(ConflictError, match=r"another (bytes, )?ends"):
        run_locating(app, order_of(source, out), resume=True, block_rows=BLOCK)
    fresh = run_locating(app, order_of(source, out), processes=1, block_rows=BLOCK)
    assert fresh.rows == COUNT and not (tmp_path / "out.csv.blocks").exists()


_PROGRAM = """
import json, sys
from pathlib import Path
from datetime import datetime
from gridsvc.bootstrap import connect_app
from gridsvc.jobs.locating_job import run_locating
from gridsvc.services.locating_files import LocateOrder
from gridsvc.settings import read_settings
class Shown:
    def start(self, label, total=None): pass
    def advance(self, units=1): print(units, flush=True)
if __name__ == "__main__":
    url, source, out, at, rows, processes = sys.argv[1:7]
    order = LocateOrder(Path(source), Path(out), "wgs84", datetime.fromisoformat(at))
    run_locating(connect_app(read_settings({}), url), order, processes=int(processes), block_rows=int(rows), progress=Shown())
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_it_leaves_no_answer_and_no_helper_and_goes_on(app, tmp_path, processes):
    source, out = written(tmp_path, ".parquet"), tmp_path / "out.csv"
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    url = app.engine.url.render_as_string(hide_password=False)
    arguments = [url, str(source), str(out), START.isoformat(), "20", str(processes)]
    process = subprocess.Popen(
        [sys.executable, str(program), *arguments], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None and process.stdout.readline()

    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)

    assert process.returncode == -9 and not out.exists()
    folder = tmp_path / "out.csv.blocks"
    done = len(list(folder.glob("*.json"))) - 1
    assert 0 < done < COUNT // 20
    _wait_for_quiet(folder)
    run_locating(app, order_of(source, out), processes=1, resume=True, block_rows=20)
    run_locating(app, order_of(source, tmp_path / "anew.csv"), processes=1, block_rows=BLOCK)
    assert out.read_bytes() == (tmp_path / "anew.csv").read_bytes()


def _wait_for_quiet(folder: Path) -> None:
    """Wait until no helper adds blocks any more."""
    before = -1
    while before != (before := len(list(folder.iterdir()))):
        time.sleep(1.0)


def test_two_programs_do_not_write_one_answer(app, tmp_path):
    from gridsvc.formats.row_blocks import plan_blocks
    from gridsvc.services.locating_runs import open_run

    source, out = written(tmp_path, ".parquet"), tmp_path / "out.csv"
    order = order_of(source, out)

    with (
        open_run(order, plan_blocks(source, rows=BLOCK), at_given=True, resume=False),
        pytest.raises(ConflictError, match="Another program"),
    ):
        run_locating(app, order, block_rows=BLOCK)


def test_a_record_says_what_a_block_came_to(app, tmp_path, monkeypatch):
    source, out = written(tmp_path, ".parquet"), tmp_path / "out.csv"
    stopped_half_way(app, order_of(source, out), monkeypatch, after=1)

    record = json.loads((tmp_path / "out.csv.blocks" / "000000.json").read_text(encoding="utf-8"))

    assert record["rows"] == BLOCK and record["columns"][-2:] == ["unified_grid", "outside_m"]
    assert COMMUNITIES[0] in (tmp_path / "out.csv.blocks" / "000000.rows").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_dask_cluster_locates_the_blocks(app, tmp_path):
    from dask.distributed import LocalCluster

    source = written(tmp_path, ".parquet")
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
        host="127.0.0.1",
    ) as cluster:
        run_locating(app, order_of(source, tmp_path / "a.csv"), dask=cluster.scheduler_address, block_rows=BLOCK)
    run_locating(app, order_of(source, tmp_path / "b.csv"), processes=1, block_rows=BLOCK)

    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_dask_scheduler_that_does_not_answer_is_named(app, tmp_path, monkeypatch):
    monkeypatch.setattr("gridsvc.jobs.locating_job._ANSWER_S", 0.5)

    with pytest.raises(GridsvcError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_locating(
            app, order_of(written(tmp_path, ".parquet"), tmp_path / "o.csv"), dask="tcp://127.0.0.1:9", block_rows=BLOCK
        )
