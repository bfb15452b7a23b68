"""``gridsvc divide``."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.division.communities import DivisionRules
from gridsvc.jobs.division_job import resume_division, run_division
from gridsvc.services.dividing import KINDS
from gridsvc.services.division_runs import DivisionOrder, DivisionRunResult
from gridsvc.services.division_wishes import Wishes, read_places

# what a resumed run takes from its beginning
_OF_THE_RUN = (
    "kind", "draft", "at", "dry_run", "seed", "actor", "households", "unit_area", "keep", "locked", "dedicated", "seeds", "datum",
    "balance_events", "exact_s",
)  # fmt: skip
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


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
@click.option("--households", metavar="MIN-MAX", help="Of a governance grid; default 300-500, micro-grids 50-80.")
@click.option(
    "--unit-area", type=click.FloatRange(1_000, 1_000_000), help="Of a unit grid in built-up land, m2; default 10000."
)
@click.option(
    "--keep",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Keep grids that still serve, and the more households in their grid the nearer to 1.",
)
@click.option("--lock", "locked", multiple=True, metavar="GRID", help="Governance grid that stays as it is; repeat.")
@click.option(
    "--dedicated", type=_FILE, help="File of polygons that become governance grids of their own: campuses, markets."
)
@click.option("--seeds", type=_FILE, help="File of points, each of which gets a governance grid to itself.")
@click.option(
    "--datum", help="Of --dedicated and --seeds: wgs84, cgcs2000, gcj02 or bd09; files may declare it themselves."
)
@click.option(
    "--balance-events", is_flag=True, help="Spread the reports of the last year evenly where households allow it."
)
@click.option(
    "--exact",
    "exact_s",
    type=click.FloatRange(0, 3600),
    is_flag=False,
    flag_value=30.0,
    default=0.0,
    metavar="[SECONDS]",
    help="Search the best governance grids of small communities and say what was proven; 30 s each without a number.",
)
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
    **asked: Any,
) -> None:
    """Divide the communities under CODE into unit grids and governance grids.

    A city is divided district by district: what is done stays when the command is stopped, and --resume goes on from there.
    A community or district that cannot be divided is listed and stops no other; the exit status is 1 when none could be.

    \b
    Example: gridsvc divide 4201 --draft --processes 2
             gridsvc divide 420103001002 --draft --keep 0.8 --lock 420103001002003 --dedicated campuses.geojson --datum gcj02
    """
    given = [name for name in _OF_THE_RUN if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if resume and given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"--resume goes on as the run began: leave {options} away.")
    order = DivisionOrder(
        code,
        at,
        actor,
        kinds=(kind,) if kind else KINDS,
        draft=draft,
        seed=seed,
        rules=_rules(asked),
        wishes=_wishes(asked),
    )
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


def _rules(asked: dict[str, Any]) -> DivisionRules:
    """Return the rules the options ask for."""
    rules = DivisionRules()
    if asked["households"]:
        low, dash, high = asked["households"].partition("-")
        if not (dash and low.isdigit() and high.isdigit() and 0 < int(low) <= int(high)):
            raise click.UsageError(f"--households {asked['households']} is no range; write 300-500 or 50-80.")
        rules = DivisionRules.for_households(int(low), int(high))
    if asked["unit_area"]:
        rules = replace(rules, unit_area_m2=asked["unit_area"])
    return replace(rules, stability=asked["keep"])


def _wishes(asked: dict[str, Any]) -> Wishes:
    """Return what the options ask for besides the rules; files are read here."""
    shapes = {
        name: read_places(asked[name], asked["datum"], what)
        for name, what in (("dedicated", "polygon"), ("seeds", "point"))
        if asked[name]
    }
    return Wishes(**shapes, locked=asked["locked"], balance_events=asked["balance_events"], exact_s=asked["exact_s"])


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
