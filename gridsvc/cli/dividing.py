"""``gridsvc divide``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from click.core import ParameterSource

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.jobs.division_job import resume_division, run_division
from gridsvc.services.dividing import KINDS
from gridsvc.services.division_runs import DivisionOrder, DivisionRunResult

# what a resumed run takes from its beginning
_OF_THE_RUN = ("kind", "draft", "at", "dry_run", "seed", "actor")


@click.command()
@click.argument("code")
@click.option("--kind", type=click.Choice(KINDS), help="Put only this kind in force; default both.")
@click.option("--draft", is_flag=True, help="Leave the redraw as a draft instead of putting them in force.")
@at_option
@click.option("--dry-run", is_flag=True, help="Compute and check everything, store nothing.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Districts divided side by side; communities where CODE has fewer districts.",
)
@click.option("--dask", metavar="ADDRESS", help="Divide districts on the Dask cluster of this scheduler instead.")
@click.option("--resume", is_flag=True, help="Finish the newest run of CODE: only what is missing, failed or changed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed may find another division.")
@click.option("--actor", default="cli", show_default=True, help="Who asks, for the audit log.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def divide(
    context: click.Context,
    code: str,
    kind: str | None,
    draft: bool,
    at: datetime,
    dry_run: bool,
    processes: int,
    dask: str | None,
    resume: bool,
    seed: int,
    actor: str,
    as_json: bool,
) -> None:
    """Divide the communities under CODE into unit grids and governance grids.

    A city is divided district by district: what is done stays when the command is stopped, and --resume goes on from there.
    A community or district that cannot be divided is listed and stops no other; the exit status is 1 when none could be.

    Example: gridsvc divide 4201 --draft --processes 2
    """
    given = [name for name in _OF_THE_RUN if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if resume and given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"--resume goes on as the run began: leave {options} away.")
    order = DivisionOrder(code, at, actor, kinds=(kind,) if kind else KINDS, draft=draft, seed=seed)
    how: dict[str, Any] = {"processes": processes, "dask": dask}
    try:
        with open_app() as app, progress(as_json) as shown:
            if resume:
                result = resume_division(app, code, **how, progress=shown)
            else:
                result = run_division(app, order, **how, now=now(), dry_run=dry_run, progress=shown)
    except (KeyboardInterrupt, SystemExit):
        if not dry_run:
            click.echo(f"\nStopped. Districts that are done stay; go on with: gridsvc divide {code} --resume", err=True)
        raise
    _print(result, as_json)
    if result.failed and not result.communities:
        sys.exit(1)


def _print(result: DivisionRunResult, as_json: bool) -> None:
    """Print the whole result as JSON, or its figures, then a table of the parts of a city, then what failed and why."""
    if as_json:
        print_result(result, as_json)
        return
    shown = asdict(result)
    parts = shown.pop("parts")
    failed = shown.pop("failed")
    notes = shown.pop("notes")
    print_result(shown | {"failed": len(failed), "notes": len(notes)}, False)
    if len(parts) > 1:
        print_result([{name: value for name, value in row.items() if name != "reason"} for row in parts], False)
    for code, reason in failed:
        click.echo(f"failed {code}: {reason}")
