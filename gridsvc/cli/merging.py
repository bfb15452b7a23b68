"""``gridsvc merge``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result, progress
from gridsvc.services.merging import merge as merge_networks


@click.command()
@click.argument("code")
@at_option
@click.option("--dry-run", is_flag=True, help="Compute and check everything, store nothing.")
@click.option("--actor", default="cli", show_default=True, help="Who asks, for the audit log.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, with every conflict and the crosswalk."
)
def merge(code: str, at: datetime, dry_run: bool, actor: str, as_json: bool) -> None:
    """Merge the grids of the three networks under CODE into one net.

    Example: gridsvc merge 420103
    """
    with open_app() as app, app.unit_of_work() as uow, progress(as_json) as shown:
        result = merge_networks(uow, code, at=at, actor=actor, progress=shown)
        if not dry_run:
            uow.commit()
    if as_json:
        print_result(result, True)
        return
    summary = asdict(result)
    summary["crosswalk"] = f"{len(result.crosswalk)} rows, see --json"
    summary["disputed"] = [
        f"{row.unified_code} {row.network}: "
        + ", ".join(f"{code or '-'} {share:.0%}" for code, share in row.shares.items())
        for row in result.disputed[:20]
    ]
    print_result(summary, False)
