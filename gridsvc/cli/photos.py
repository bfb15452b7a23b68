"""``gridsvc photos``: tidy up where photos of reports are kept."""

from __future__ import annotations

from dataclasses import asdict

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result


@click.group()
def photos() -> None:
    """Tidy up the photos of reports.

    \b
    Example:
      gridsvc photos sweep --dry-run
    """


@photos.command("sweep")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option(
    "--held-days",
    type=click.IntRange(min=1),
    default=180,
    show_default=True,
    help="Give up photos whose report has not come after so many days.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def sweep(dry_run: bool, held_days: int, as_json: bool) -> None:
    """Delete files without a row, unfinished uploads and photos held too long; name kept photos whose file is missing.

    Files of the last 24 hours stay. After restoring a backup, first look with --dry-run: files that came after the
    backup have no row either.

    \b
    Example:
      gridsvc photos sweep --dry-run
    """
    from gridsvc.services import photo_sweeping

    with open_app() as app:
        found = photo_sweeping.sweep(app.unit_of_work, app.photo_files, now(), held_days=held_days, dry_run=dry_run)
    print_result(asdict(found), as_json)
