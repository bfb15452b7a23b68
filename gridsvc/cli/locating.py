"""``gridsvc locate``: the grids of the points in a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.errors import RequestInvalidError
from gridsvc.jobs.locating_job import run_locating
from gridsvc.services.locating_files import LocateOrder


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--datum",
    required=True,
    help="Datum of the positions: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file for what the file says.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write: .csv, .xlsx, .geojson, .gpkg or .parquet.",
)
@click.option(
    "--at", "at_text", default=None, help="Instant whose grids are meant, ISO 8601 with offset. Default: now."
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="HEADER=FIELD",
    help="Header of the file that means lon or lat; may be given twice.",
)
@click.option("--encoding", default=None, help="Encoding of the texts; default: what the file states, else UTF-8.")
@click.option("--layer", default=None, help="Layer of a GeoPackage, sheet of an XLSX.")
@click.option("--partial", is_flag=True, help="Carry on with rows that have no usable position and list them.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Blocks of a long CSV, Parquet or GeoPackage located side by side.",
)
@click.option("--dask", metavar="ADDRESS", help="Locate blocks on the Dask cluster of this scheduler instead.")
@click.option("--resume", is_flag=True, help="Go on with what was done of OUT when the command was stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def locate(
    file: Path,
    datum: str,
    out: Path,
    at_text: str | None,
    maps: tuple[str, ...],
    encoding: str | None,
    layer: str | None,
    partial: bool,
    processes: int,
    dask: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Find the grids of the points in FILE and write them beside its columns.

    A long file is located in blocks, kept in the folder OUT.blocks until all are done; OUT appears when it is complete.

    \b
    Example:
      gridsvc locate points.csv --datum gcj02 --out located.xlsx
      gridsvc locate history.parquet --datum wgs84 --out located.parquet --processes 4
      gridsvc locate 上报.xlsx --datum bd09 --map 经度坐标=lon --map 纬度坐标=lat --out located.geojson
    """
    at = parse_instant(at_text) if at_text else now()
    mapping = dict(_pair(text) for text in maps)
    order = LocateOrder(file, out, datum, at, mapping, partial, encoding, layer)
    try:
        with progress(silent=as_json) as shown, open_app() as app:
            result = run_locating(
                app,
                order,
                processes=processes,
                dask=dask,
                resume=resume,
                at_given=at_text is not None,
                progress=shown,
            )
    except (KeyboardInterrupt, SystemExit):
        if out.with_name(f"{out.name}.blocks").is_dir():
            click.echo("\nStopped. What is done stays; go on with the same command and --resume.", err=True)
        raise
    print_result(result, as_json)


def parse_instant(text: str) -> datetime:
    """Return an instant given as ISO 8601 with offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RequestInvalidError(f"--at {text!r} is no instant.", hint="Example: 2026-11-22T08:00:00+08:00.")
    return at


def _pair(text: str) -> tuple[str, str]:
    header, separator, name = text.rpartition("=")
    if not separator or name not in ("lon", "lat"):
        raise click.BadParameter(f"{text!r} is not HEADER=lon or HEADER=lat.", param_hint="--map")
    return header, name
