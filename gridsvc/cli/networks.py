"""``gridsvc networks``: networks compared, aligned, carried over to each other, and asked who answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import Instant, at_option
from gridsvc.cli.terminal import print_result, progress
from gridsvc.networks.overlay import TOLERANCE_M
from gridsvc.services.comparing_networks import (
    NetworkReport,
    align_networks,
    answers_for_points,
    compare_networks,
    crosswalk_networks,
)
from gridsvc.services.network_sources import FileSource, Source, SourceNets, StoredSource, read_networks

_STORED = re.compile(r"(urban|social|security|unified):(\d{4,15})(?:@(.+))?")
_SHOWN = 20

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)
_DATUM_HELP = "Datum of the files: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file for what the file says."


def _shared(command: Callable) -> Callable:
    """Add the options by which networks are read."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print every table as JSON."),
        click.option("--out", type=_OUT, help="Write the tables (.xlsx) or the layers (.gpkg). May come twice.", multiple=True),
        at_option,
        click.option(
            "--name", "titles", multiple=True, metavar="[FILE=]COLUMN", help="Column of grid names; default name, if there is one."
        ),
        click.option(
            "--code", "codes", multiple=True, metavar="[FILE=]COLUMN",
            help="Column of grid codes, of all files or of the one named (without suffix); default code, else the number of the row.",
        ),
        click.option("--datum", help=_DATUM_HELP),
    ):  # fmt: skip
        command = option(command)
    return command


def _tolerance(default: float) -> Callable:
    return click.option(
        "--tolerance", type=click.FloatRange(min=0.0, max=100.0), default=default, show_default=True,
        help="Borders this near are one. Unit: m.",
    )  # fmt: skip


@click.group()
def networks() -> None:
    """Hold networks against each other.

    A network is a file of grids, or a stored one written NETWORK:CODE or NETWORK:CODE@DATE, such as social:420103@2025-01-01.

    Example: gridsvc networks compare 城管.gpkg 公安.shp social:420103 --datum cgcs2000
    """


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@_shared
@_tolerance(TOLERANCE_M)
def compare(sources: Sequence[str], tolerance: float, as_json: bool, out: Sequence[Path], **options: Any) -> None:
    """Say what is wrong in each network and which grids of every two are the same, shifted, nested or crossing.

    \b
    Example:
      gridsvc networks compare psa.parquet smd.parquet --datum wgs84 --code psa=psa --out report.xlsx
      gridsvc networks compare urban:420103 social:420103 security:420103
    """
    with _read(sources, **options) as given, progress(as_json) as shown:
        found = compare_networks(given, tolerance_m=tolerance, progress=shown)
    _give(found, ("networks", "pairs", "conflicts"), as_json, out)


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--reference", metavar="NAME", help="Network whose lines stay; default: the lines that most networks share."
)
@click.option("--lines", type=_FILE, help="File of lines that borders are to stay on: streets, walls, water.")
@click.option("--lines-datum", help="Datum of --lines; default that of the files.")
@_shared
@_tolerance(TOLERANCE_M)
def align(
    sources: Sequence[str],
    tolerance: float,
    reference: str | None,
    lines: Path | None,
    lines_datum: str | None,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Bring the borders of networks that lie within the tolerance onto one line; what is farther apart is listed.

    Example: gridsvc networks align 城管.gpkg 公安.gpkg --datum cgcs2000 --reference 城管 --out aligned.gpkg
    """
    with _read(sources, **options) as given, progress(as_json) as shown:
        found = align_networks(
            given, tolerance_m=tolerance, reference=reference, lines=lines, lines_datum=lines_datum or options["datum"],
            progress=shown,
        )  # fmt: skip
    _give(found, ("networks", "moved", "disagreements"), as_json, out)


@networks.command()
@click.argument("first")
@click.argument("second")
@click.option("--value", metavar="COLUMN", help="Column of FIRST whose figures are carried over to SECOND.")
@click.option("--whole", is_flag=True, help="Carry whole numbers over as whole numbers.")
@click.option("--weights", type=_FILE, help="File of points (households, events) to weigh land by; default its area.")
@click.option("--weights-datum", help="Datum of --weights; default that of the files.")
@click.option("--count", metavar="COLUMN", help="Column of --weights: how much each point counts; default 1.")
@_shared
@_tolerance(0.0)
def crosswalk(
    first: str,
    second: str,
    value: str | None,
    whole: bool,
    weights: Path | None,
    weights_datum: str | None,
    count: str | None,
    tolerance: float,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Say how the grids of FIRST lie in those of SECOND, and carry figures over; their sum is preserved.

    \b
    Example:
      gridsvc networks crosswalk tracts.parquet psa.parquet --datum wgs84 --value p0010001 --whole --out crosswalk.xlsx
      gridsvc networks crosswalk social:420103@2025-01-01 social:420103 --value households --whole
    """
    with _read((first, second), **options) as given, progress(as_json) as shown:
        found = crosswalk_networks(
            given, tolerance_m=tolerance, value=value, whole=whole, points=weights,
            points_datum=weights_datum or options["datum"], count=count, progress=shown,
        )  # fmt: skip
    _give(found, ("crosswalk", "values", "sums"), as_json, out)


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--points", type=_FILE, required=True, help="File of points, or with columns lon and lat.")
@click.option("--points-datum", help="Datum of --points; default that of the files.")
@_shared
@_tolerance(0.0)
def answers(
    sources: Sequence[str],
    points: Path,
    points_datum: str | None,
    tolerance: float,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Say which grid of every network answers for each point of a file; land nobody or several hold is marked.

    Example: gridsvc networks answers 城管.gpkg 公安.gpkg --datum cgcs2000 --points 事件.csv --out answers.xlsx
    """
    with _read(sources, **options) as given, progress(as_json) as shown:
        found = answers_for_points(
            given, points, datum=points_datum or options["datum"], tolerance_m=tolerance, progress=shown
        )
    _give(found, ("sums",), as_json, out)


@contextmanager
def _read(
    sources: Sequence[str], *, datum: str | None, codes: Sequence[str], titles: Sequence[str], at: datetime
) -> Iterator[SourceNets]:
    """Yield the networks; the database is opened only when one of them is stored."""
    code, title = _columns("--code", codes), _columns("--name", titles)
    wanted = [_source(text, datum, code, title, at) for text in sources]
    if not any(isinstance(each, StoredSource) for each in wanted):
        yield read_networks(None, wanted)
        return
    with open_app() as app, app.unit_of_work() as uow:
        yield read_networks(uow, wanted)


def _columns(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return columns by file; "" for all files."""
    columns: dict[str, str] = {}
    for text in texts:
        file, _, column = text.rpartition("=")
        if not column:
            raise click.BadParameter(f"{text!r} names no column", param_hint=option)
        columns[file] = column
    return columns


def _source(text: str, datum: str | None, codes: dict[str, str], titles: dict[str, str], at: datetime) -> Source:
    path = Path(text)
    stored = _STORED.fullmatch(text)
    if path.exists() or stored is None:
        file = path.name.split(".")[0]
        return FileSource(path, datum, codes.get(file, codes.get("")), titles.get(file, titles.get("")))
    network, division, instant = stored.groups()
    return StoredSource(network, division, at if instant is None else Instant().convert(instant, None, None), text)


def _give(found: NetworkReport, shown: Sequence[str], as_json: bool, out: Sequence[Path]) -> None:
    for path in out:
        found.write(path)
    if as_json:
        # missing values become null
        rows = {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in found.tables.items()
        }
        print_result(rows, True)
        return
    for name in shown:
        if name not in found.tables:
            continue
        table = found.tables[name]
        click.echo(f"\n{name}: {len(table)} rows" + (f", the first {_SHOWN}" if len(table) > _SHOWN else ""))
        if len(table):
            click.echo(table.head(_SHOWN).to_string(index=False))
    for path in out:
        click.echo(f"\nwritten to {path}")
