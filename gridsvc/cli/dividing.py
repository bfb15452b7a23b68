"""``gridsvc divide``."""

from __future__ import annotations

from datetime import datetime

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result, progress
from gridsvc.services.dividing import KINDS
from gridsvc.services.dividing import divide as divide_division


@click.command()
@click.argument("code")
@click.option("--kind", type=click.Choice(KINDS), help="Put only this kind in force; default both.")
@click.option("--draft", is_flag=True, help="Leave the redraw as a draft instead of putting them in force.")
@at_option
@click.option("--dry-run", is_flag=True, help="Compute and check everything, store nothing.")
@click.option(
    "--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Communities divided side by side."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed may find another division.")
@click.option("--actor", default="cli", show_default=True, help="Who asks, for the audit log.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def divide(
    code: str,
    kind: str | None,
    draft: bool,
    at: datetime,
    dry_run: bool,
    processes: int,
    seed: int,
    actor: str,
    as_json: bool,
) -> None:
    """Divide the communities under CODE into unit grids and governance grids.

    Example: gridsvc divide 420103 --processes 2
    """
    kinds = (kind,) if kind else KINDS
    with open_app() as app, app.unit_of_work() as uow, progress(as_json) as shown:
        result = divide_division(
            uow, code, at=at, actor=actor, kinds=kinds, processes=processes, draft=draft, seed=seed, progress=shown
        )
        if not dry_run:
            uow.commit()
    print_result(result, as_json)
