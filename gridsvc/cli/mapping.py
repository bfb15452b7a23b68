"""``gridsvc map``: maps as self-contained files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.circle_options import (
    profile_option,
    some_speed_option,
    standard_file_option,
    stored_standard,
    walking_speed,
)
from gridsvc.cli.instants import at_option
from gridsvc.cli.networks import columns_options, read_sources, tolerance_option
from gridsvc.cli.terminal import print_result, progress
from gridsvc.errors import FileUnreadableError
from gridsvc.networks.overlay import TOLERANCE_M
from gridsvc.services.division_map import write_division
from gridsvc.services.laid_networks import content_of_files
from gridsvc.services.mapping import NETWORKS, write_coverage, write_networks_map, write_sheet
from gridsvc.settings import read_settings

_sources_option = click.option(
    "--source",
    "sources",
    multiple=True,
    help="Line for the list of sources, e.g. the licence of the streets; may be repeated.",
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group("map")
def map_group() -> None:
    """Write maps as self-contained files.

    Example: gridsvc map coverage --out coverage.html
    """


@map_group.command("coverage")
@click.argument("networks", nargs=-1)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="HTML file to write.")
@click.option(
    "--division", default=None, metavar="CODE", help="District, street office or community. Default: everything."
)
@at_option
@click.option("--title", help="What a map of NETWORKS is called. Default: 网络对照.")
@columns_options
@click.option("--weights", type=_FILE, help="File of points (households, events) counted in crosswalks of NETWORKS.")
@click.option("--weights-datum", help="Datum of --weights; default that of the files.")
@click.option("--count", metavar="COLUMN", help="Column of --weights: how much each point counts; default 1.")
@tolerance_option(TOLERANCE_M)
@_sources_option
@_json_option
def coverage(
    networks: tuple[str, ...],
    out: Path,
    division: str | None,
    at: datetime,
    title: str | None,
    datum: str | None,
    codes: tuple[str, ...],
    titles: tuple[str, ...],
    weights: Path | None,
    weights_datum: str | None,
    count: str | None,
    tolerance: float,
    sources: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write networks and the merged net as one file that opens without any network.

    Shows where borders differ, conflicts, land of nobody and of several, and the crosswalk of any place that is clicked. NETWORKS are files of
    grids or stored networks, as gridsvc networks compare takes them; without any, the stored networks of --division are drawn. Above 12,000
    grids (a city) communities with their counts are drawn instead; the legend says so.

    \b
    Example:
      gridsvc map coverage --division 420103 --at 2026-01-01T00:00:00+08:00 --out 江汉区.html
      gridsvc map coverage psa.parquet smd.parquet --datum wgs84 --code psa=psa --tolerance 20 --out washington.html
    """
    _check_folder(out)
    settings = read_settings()
    if networks and division is not None:
        raise click.UsageError("Name NETWORKS or --division, not both.")
    if not networks:
        for_networks = {"--title": title, "--datum": datum, "--code": codes, "--name": titles, "--weights": weights}
        given = [name for name, value in for_networks.items() if value]
        if given:
            raise click.UsageError(f"{given[0]} is for NETWORKS, and none are named.")
        with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
            written = write_coverage(
                uow, division, at=at, out=out, sources=sources, timezone=settings.timezone, tolerance_m=tolerance,
                progress=shown,
            )  # fmt: skip
        print_result(written, as_json)
        return
    with (
        progress(silent=as_json) as shown,
        read_sources(networks, datum=datum, codes=codes, titles=titles, at=at) as read,
    ):
        content = content_of_files(
            read.nets, title=title or "网络对照", at=at, sources=sources, timezone=settings.timezone, tolerance_m=tolerance,
            points=weights, points_datum=weights_datum or datum, count=count,
        )  # fmt: skip
        written = write_networks_map(content, out, progress=shown)
    print_result(written, as_json)


@map_group.command("division")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="HTML file to write.")
@click.option("--division", required=True, metavar="CODE", help="District, street office or community; a city.")
@click.option("--redraw", metavar="ID", help="Draw this redraw beside what is in force.")
@at_option
@_sources_option
@_json_option
def division(
    out: Path, division: str, redraw: str | None, at: datetime, sources: tuple[str, ...], as_json: bool
) -> None:
    """Write how a division is divided, with its quality report, as one file that opens without any network.

    Grids, what their borders follow, households, problem places; with --redraw also what changes. Above 20,000 grids (a city)
    communities are drawn instead; the legend says so.

    \b
    Example:
      gridsvc map division --division 420103 --out 江汉区划分.html
      gridsvc map division --division 420103 --redraw ID --out draft.html
    """
    _check_folder(out)
    settings = read_settings()
    with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
        written = write_division(
            uow, division, at=at, out=out, redraw=redraw, sources=sources, timezone=settings.timezone, progress=shown
        )
    print_result(written, as_json)


@map_group.command("circle")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="HTML file to write.")
@click.option("--division", required=True, metavar="CODE", help="District, street office or community; a city.")
@click.option("--standard", help="Latest run by this standard; default: by any.")
@standard_file_option
@some_speed_option
@profile_option
@_sources_option
@_json_option
def circle(
    out: Path,
    division: str,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    sources: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write who reaches what on foot, and the gaps, from the latest coverage run, as one file that opens without any network.

    Coloured by every required kind, or by one chosen in the page. Above 15,000 residences (a city) communities are drawn
    without single residences; the legend says so.

    \b
    Example:
      gridsvc circle coverage 420103
      gridsvc map circle --division 420103 --out 江汉区生活圈.html
      gridsvc map circle --division 420103 --profile elderly --out elderly.html
    """
    from gridsvc.services.circle_map import write_circle

    _check_folder(out)
    settings = read_settings()
    speed = walking_speed(profile, speed_m_s)
    with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
        written = write_circle(
            uow,
            division,
            out=out,
            standard=stored_standard(uow, standard, standard_file),
            speed_m_s=speed,
            sources=sources,
            timezone=settings.timezone,
            progress=shown,
        )
    print_result(written, as_json)


@map_group.command("sheet")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File: .pdf, .png or .svg.")
@click.option("--division", required=True, metavar="CODE", help="District, street office or community.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    type=click.Choice(NETWORKS),
    help="Net to draw; may be repeated. Default: all that have grids.",
)
@at_option
@_sources_option
@_json_option
def sheet(
    out: Path, division: str, networks: tuple[str, ...], at: datetime, sources: tuple[str, ...], as_json: bool
) -> None:
    """Write the nets of a division as a wall sheet: A3, true scale, with legend, north arrow, scale, date and sources.

    \b
    Example:
      gridsvc map sheet --division 420103001 --out 民族街道.pdf
      gridsvc map sheet --division 420103001 --network unified --network social --out nets.png
    """
    _check_folder(out)
    settings = read_settings()
    with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
        written = write_sheet(
            uow,
            division,
            at=at,
            out=out,
            networks=networks,
            sources=sources,
            timezone=settings.timezone,
            progress=shown,
        )
    print_result(written, as_json)


def _check_folder(out: Path) -> None:
    if not out.absolute().parent.is_dir():
        raise FileUnreadableError(
            f"There is no folder {out.absolute().parent}.", hint="Make it first, or name another --out."
        )
