"""``gridsvc merge``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.networks import bounds_option, give_report, out_option, tolerance_option
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.networks.overlay import TOLERANCE_M
from gridsvc.networks.unified import ALTERNATIVES, REFERENCE, HouseholdBounds
from gridsvc.services.merging import merge as merge_networks
from gridsvc.services.unified_drafts import draft_unified, stored_alternatives


@click.command()
@click.argument("code")
@click.option(
    "--alternatives",
    is_flag=True,
    help="Show the alternatives of the merged net with what each would cost; store nothing.",
)
@click.option("--draft", is_flag=True, help="Leave an alternative as a draft that another person checks and approves.")
@click.option(
    "--choose", type=click.Choice(ALTERNATIVES), default=REFERENCE, show_default=True, help="Alternative to draft."
)
@click.option(
    "--reference",
    type=click.Choice(["social", "security"]),
    default="social",
    show_default=True,
    help="Network whose codes the alternatives keep.",
)
@bounds_option
@tolerance_option(TOLERANCE_M)
@out_option
@click.option("--reason", default="", help="Why, for those who decide on the draft.")
@at_option
@click.option("--dry-run", is_flag=True, help="Compute and check everything, store nothing.")
@click.option(
    "--actor", default="cli", show_default=True, help="Who asks, for the audit log; of a draft, who drafted it."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, with every conflict and the crosswalk."
)
def merge(
    code: str,
    alternatives: bool,
    draft: bool,
    choose: str,
    reference: str,
    bounds: tuple[int, int],
    tolerance: float,
    out: Sequence[Path],
    reason: str,
    at: datetime,
    dry_run: bool,
    actor: str,
    as_json: bool,
) -> None:
    """Merge the grids of the three networks under CODE into one net, or propose such nets.

    Without --alternatives or --draft the net that continues the governance grids is in force at once.

    \b
    Example: gridsvc merge 420103
             gridsvc merge 420103 --alternatives --out alternatives.gpkg --out alternatives.xlsx
             gridsvc merge 420103 --draft --choose balanced --actor zhang
    """
    if out and not (alternatives or draft):
        raise click.UsageError("--out writes alternatives: give --alternatives or --draft.")
    if not (alternatives or draft):
        _merge(code, at, dry_run, actor, as_json)
        return
    with open_app() as app, app.unit_of_work() as uow:
        with progress(as_json) as shown:
            found = stored_alternatives(
                uow, code, at=at, reference=reference, tolerance_m=tolerance, bounds=HouseholdBounds(*bounds), progress=shown
            )  # fmt: skip
        if draft:
            redraw_id = draft_unified(uow, found, choose, by=actor, now=now(), reason=reason)
            for path in out:
                found.report().write(path)
            if not dry_run:
                uow.commit()
            # what was not stored has no id that anybody could ask for
            print_result({"redraw_id": None if dry_run else redraw_id, "alternative": choose}, as_json)
        else:
            give_report(found.report(), ("costs", "changes"), as_json, out)


def _merge(code: str, at: datetime, dry_run: bool, actor: str, as_json: bool) -> None:
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
