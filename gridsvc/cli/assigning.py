"""``gridsvc assign``: put workers on governance grids."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result, progress

if TYPE_CHECKING:
    from gridsvc.services.assigning import AssignResult

_SHOWN_UNASSIGNED = 20


@click.command()
@click.argument("code")
@at_option
@click.option(
    "--lane-workers",
    is_flag=True,
    help="Count lane chiefs, lane stewards and city assistants as full-time (Beijing 2022).",
)
@click.option("--actor", default="gridsvc assign", show_default=True, help="Name written into the audit log.")
@click.option("--dry-run", is_flag=True, help="Say what would come out; store nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def assign(code: str, at: datetime, lane_workers: bool, actor: str, dry_run: bool, as_json: bool) -> None:
    """Assign grid workers to the governance grids of division CODE.

    Each grid gets one responsible full-time worker of its own community, as near to home as possible, a deputy, a leader,
    and part-time workers. Grids left without one are listed with the reason. Safe to run twice.

    \b
    Example:
      gridsvc assign 420103
      gridsvc assign 420103001 --dry-run --json
    """
    from gridsvc.services.assigning import assign as assign_division

    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        result = assign_division(uow, code, at=at, actor=actor, lane_workers=lane_workers, progress=shown)
        if not dry_run:
            uow.commit()
    if as_json:
        print_result(result, as_json=True)
    else:
        _print(result, dry_run)


def _print(result: AssignResult, dry_run: bool) -> None:
    summary: dict[str, object] = {
        "governance grids": result.grids,
        "with full-time worker": result.full_time_assigned,
        "without": len(result.unassigned),
        "leaders": result.leaders_assigned,
        "part-time": result.part_time_assigned,
        "deputies": result.deputies_assigned,
    }
    if result.mean_distance_m is not None:
        summary["mean way from home"] = f"{result.mean_distance_m:.0f} m"
    if result.fairness is not None:
        fair = result.fairness
        summary["households per worker"] = (
            f"{fair.mean_households:.0f} ({fair.fewest_households} to {fair.most_households})"
        )
    summary["assignments ended, new, unchanged"] = f"{result.ended}, {result.inserted}, {result.unchanged}"
    summary["seconds"] = f"{result.seconds:.2f}"
    print_result(summary, as_json=False)
    for row in result.unassigned[:_SHOWN_UNASSIGNED]:
        click.echo(f"{row.grid_code} has no full-time worker: {row.reason}")
    if len(result.unassigned) > _SHOWN_UNASSIGNED:
        click.echo(f"... and {len(result.unassigned) - _SHOWN_UNASSIGNED} more; --json lists all")
    if dry_run:
        click.echo("dry run: nothing was stored")
