"""``gridsvc divide``."""

from __future__ import annotations

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.services.dividing import KINDS
from gridsvc.services.dividing import divide as divide_division


@click.command()
@click.argument("code")
@click.option("--kind", type=click.Choice(KINDS), help="Put only this kind in force; default both.")
@click.option("--draft", is_flag=True, help="Leave the redraws as drafts instead of putting them in force.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]),
    help="Instant from which the grids hold; default now.",
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Communities divided side by side."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed may find another division.")
@click.option("--actor", default="cli", show_default=True, help="Who asks, for the audit log.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def divide(code: str, kind: str | None, draft: bool, at, processes: int, seed: int, actor: str, as_json: bool) -> None:
    """Divide the communities under CODE into unit grids and governance grids.

    Example: gridsvc divide 420103 --processes 2
    """
    kinds = (kind,) if kind else KINDS
    instant = now() if at is None else (at if at.tzinfo else at.astimezone())
    with open_app() as app, app.unit_of_work() as uow, progress(as_json) as shown:
        result = divide_division(
            uow, code, at=instant, actor=actor, kinds=kinds, processes=processes, draft=draft, seed=seed, progress=shown
        )
        uow.commit()
    print_result(result, as_json)
