"""``gridsvc geocode`` and ``gridsvc gazetteer``: places for addresses, and what they are found in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.errors import RequestInvalidError
from gridsvc.services.gazetteer import build_gazetteer, gazetteer_state
from gridsvc.services.geocoding import MOST_CANDIDATES, geocode
from gridsvc.services.geocoding_files import DEFAULT_MIN_SCORE, geocode_file


def _instant(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime:
    if text is None:
        return now()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RequestInvalidError(f"--at {text!r} is no instant.", hint="Example: 2026-11-22T08:00:00+08:00.")
    return at


def _column(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    header, separator, name = text.rpartition("=")
    if not separator or not header or name != "address":
        raise click.BadParameter(f"{text!r} is not HEADER=address.")
    return header


def _near(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        lon, lat = map(float, text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not LON,LAT.") from None
    return lon, lat


@click.command("geocode")
@click.argument("address_or_file", metavar="TEXT|FILE")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write: .xlsx, .csv, .geojson, .gpkg or .parquet; with it the argument is a file.")  # fmt: skip
@click.option("--map", "column", callback=_column, metavar="HEADER=address", help="Column of the addresses; default the usual headers (事发地址, 诉求地址, 详细地址, 地址 ...).")  # fmt: skip
@click.option("--min-score", type=click.FloatRange(0, 1), default=DEFAULT_MIN_SCORE, show_default=True, help="Rows whose best candidate scores less get no place.")  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1, MOST_CANDIDATES), default=5, show_default=True, help="Candidates of a text."
)
@click.option("--near", callback=_near, metavar="LON,LAT", help="Prefer places near this point (CGCS2000 or WGS 84).")
@click.option("--at", callback=_instant, help="Instant that is meant, ISO 8601 with offset. Default: now.")
@click.option("--encoding", default=None, help="Encoding of a CSV; default UTF-8.")
@click.option("--layer", default=None, help="Sheet of an XLSX.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def geocode_command(
    address_or_file: str,
    out: Path | None,
    column: str | None,
    min_score: float,
    limit: int,
    near: tuple[float, float] | None,
    at: datetime,
    encoding: str | None,
    layer: str | None,
    as_json: bool,
) -> None:
    """Find the place of an address, or of every address in a file, in the local gazetteer.

    \b
    Example:
      gridsvc geocode 江汉区中山大道一百二十号
      gridsvc geocode 12345工单.xlsx --out 已定位.xlsx
    """
    if out is None and Path(address_or_file).is_file():
        raise click.UsageError("--out FILE is needed to geocode a file.")
    with progress(silent=as_json or out is None) as shown, open_app() as app, app.unit_of_work() as uow:
        if out is None:
            found = geocode(uow, address_or_file, limit=limit, near=near, at=at)
            built = gazetteer_state(uow).built_at is not None
        else:
            result = geocode_file(
                uow, Path(address_or_file), out, at=at, column=column, min_score=min_score, near=near, encoding=encoding,
                layer=layer, progress=shown,
            )  # fmt: skip
    if out is not None:
        print_result(result, as_json)
    elif found or as_json:
        print_result(found, as_json)
    else:
        click.echo(
            "Nothing of this address is known here." if built else "There is no gazetteer yet: gridsvc gazetteer build."
        )


@click.group()
def gazetteer() -> None:
    """Build the gazetteer that addresses are found in, and say how old it is.

    \b
    Example:
      gridsvc gazetteer build
    """


@gazetteer.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def build(as_json: bool) -> None:
    """Build it anew from divisions, streets, buildings, facilities and imported addresses.

    \b
    Example:
      gridsvc gazetteer build
    """
    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        result = build_gazetteer(uow, at=now(), progress=shown)
        uow.commit()
    print_result(result, as_json)


@gazetteer.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(as_json: bool) -> None:
    """Say when it was built, what it holds, and whether a source changed since.

    \b
    Example:
      gridsvc gazetteer status --json
    """
    with open_app() as app, app.unit_of_work() as uow:
        print_result(gazetteer_state(uow), as_json)
