"""``gridsvc map``: maps as self-contained files."""

from __future__ import annotations

from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.locating import parse_instant
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.errors import FileUnreadableError
from gridsvc.services.mapping import write_coverage
from gridsvc.settings import read_settings


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
    if not out.absolute().parent.is_dir():
        raise FileUnreadableError(
            f"There is no folder {out.absolute().parent}.", hint="Make it first, or name another --out."
        )
    at = parse_instant(at_text) if at_text else now()
    settings = read_settings()
    with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
        written = write_coverage(
            uow, division, at=at, out=out, sources=sources, timezone=settings.timezone, progress=shown
        )
    print_result(written, as_json)
