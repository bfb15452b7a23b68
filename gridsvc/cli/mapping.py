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
from gridsvc.cli.locating import parse_instant
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.errors import FileUnreadableError
from gridsvc.services.division_map import write_division
from gridsvc.services.mapping import NETWORKS, write_coverage, write_sheet
from gridsvc.settings import read_settings

_sources_option = click.option(
    "--source",
    "sources",
    multiple=True,
    help="Line for the list of sources, e.g. the licence of the streets; may be repeated.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group("map")
def map_group() -> None:
    """Write maps as self-contained files.

    Example: gridsvc map coverage --out coverage.html
    """


@map_group.command("coverage")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="HTML file to write.")
@click.option(
    "--division", default=None, metavar="CODE", help="District, street office or community. Default: everything."
)
@click.option(
    "--at", "at_text", default=None, help="Instant whose grids are shown, ISO 8601 with offset. Default: now."
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    help="Line for the attribution, e.g. the licence of the streets; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def coverage(out: Path, division: str | None, at_text: str | None, sources: tuple[str, ...], as_json: bool) -> None:
    """Write the grids of the three networks and the merged net as one file that opens without any network.

    Above 12,000 grids (a city) communities with their counts are drawn instead; the legend says so.

    \b
    Example:
      gridsvc map coverage --out coverage.html
      gridsvc map coverage --division 420103 --at 2026-01-01T00:00:00+08:00 --out 江汉区.html
    """
    _check_folder(out)
    at = parse_instant(at_text) if at_text else now()
    settings = read_settings()
    with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
        written = write_coverage(
            uow, division, at=at, out=out, sources=sources, timezone=settings.timezone, progress=shown
        )
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
