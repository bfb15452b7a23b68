"""``gridsvc redraw``: drafts of grids, their consequences, and who puts them in force."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import Instant
from gridsvc.cli.terminal import now, print_result

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_by = click.option("--by", required=True, metavar="LOGIN", help="The person who does it, for the record.")
_SHOWN = 20


@click.group()
def redraw() -> None:
    """Draft, check, approve and discard changes of grids.

    A draft is made with `gridsvc divide CODE --draft`, or from a file. Another person approves it.

    \b
    Example:
      gridsvc redraw list --state draft
      gridsvc redraw impact 5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10
    """


@redraw.command("draft")
@click.argument("code")
@click.option(
    "--from",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of polygons; default: a copy of the grids in force.",
)
@click.option("--datum", help="Datum of the file: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file.")
@click.option("--network", default="social", show_default=True, help="Network of rows that name none.")
@click.option("--reason", default="", help="Why, for those who decide.")
@_by
@_as_json
def draft(code: str, path: Path | None, datum: str | None, network: str, reason: str, by: str, as_json: bool) -> None:
    """Draft the grids of division CODE from a file, or as a copy of those in force to be edited.

    \b
    Example:
      gridsvc redraw draft 420103001001 --from grids.geojson --datum cgcs2000 --by zhang
    """
    from gridsvc.services import redraw_drafting as drafting

    with open_app() as app, app.unit_of_work() as uow:
        if path is None:
            redraw_id = drafting.draft_copy(uow, code, by=by, now=now(), reason=reason)
        else:
            grids, crs = drafting.read_given(path, network)
            redraw_id = drafting.draft_given(
                uow, code, grids, datum=datum, by=by, now=now(), reason=reason or f"file {path.name}", file_crs=crs
            )
        uow.commit()
    print_result({"redraw_id": redraw_id}, as_json)


@redraw.command("list")
@click.option("--prefix", default="", metavar="CODE", help="Only redraws of divisions under this code.")
@click.option("--state", type=click.Choice(["draft", "approved", "discarded"]), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many, newest first.")
@_as_json
def list_redraws(prefix: str, state: str | None, limit: int, as_json: bool) -> None:
    """List redraws, newest draft first.

    Example: gridsvc redraw list --prefix 420103 --state draft
    """
    from gridsvc.services import redraws

    with open_app() as app, app.unit_of_work() as uow:
        rows = redraws.list_redraws(uow, prefix, state=state, limit=limit).redraws
    if as_json:
        print_result(rows, as_json=True)
    elif not rows:
        click.echo("no redraws")
    else:
        _print_rows(rows)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    # the id is what the other commands are called with: it is never cut
    table.add_column("redraw", no_wrap=True, min_width=36)
    for name in ("division", "state", "drafted by", "in force from"):
        table.add_column(name, overflow="fold")
    for row in rows:
        cells = (row[name] for name in ("redraw_id", "division_code", "state", "drafted_by", "in_force_from"))
        table.add_row(*("" if cell is None else str(_cell(cell)) for cell in cells))
    Console().print(table)


@redraw.command("show")
@click.argument("redraw_id")
@_as_json
def show(redraw_id: str, as_json: bool) -> None:
    """Show the redraw REDRAW_ID: who, what, whether it passes its checks, what it changes.

    Example: gridsvc redraw show 5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10
    """
    from gridsvc.services import redraws

    with open_app() as app, app.unit_of_work() as uow:
        shown = redraws.show_redraw(uow, redraw_id, now=now())
    if as_json:
        print_result(shown, as_json=True)
        return
    plain = {
        name: _cell(value) for name, value in shown.items() if name not in ("checks", "impact", "effects", "lineage")
    }
    print_result(
        plain | {"passes its checks": shown["checks"].get("passed"), "relations": len(shown["lineage"])}, False
    )


@redraw.command("check")
@click.argument("redraw_id")
@_as_json
def check(redraw_id: str, as_json: bool) -> None:
    """Check the grids of REDRAW_ID; exit status 1 when something stands in the way of approval.

    Example: gridsvc redraw check 5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10
    """
    from gridsvc.services import redraws

    with open_app() as app, app.unit_of_work() as uow:
        found = redraws.check_redraw(uow, redraw_id)
    if as_json:
        print_result(found, as_json=True)
    else:
        print_result({k: v for k, v in asdict(found).items() if k not in ("faults", "warnings")}, as_json=False)
        for kind, rows in (("fault", found.faults), ("warning", found.warnings)):
            for row in rows[:_SHOWN]:
                click.echo(f"{kind}: {row.message}")
            if len(rows) > _SHOWN:
                click.echo(f"... and {len(rows) - _SHOWN} more; --json lists all")
    if not found.passed:
        sys.exit(1)


@redraw.command("impact")
@click.argument("redraw_id")
@click.option("--at", type=Instant(), default=now, help="The instant it would come in force. Default: now.")
@_as_json
def impact(redraw_id: str, at: datetime, as_json: bool) -> None:
    """Say what REDRAW_ID would change: households, open cases, workers, codes, the service circle.

    Example: gridsvc redraw impact 5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10 --at 2026-10-01
    """
    from gridsvc.services import redraws

    with open_app() as app, app.unit_of_work() as uow:
        _, foreseen = redraws.foresee(uow, redraw_id, at=at)
    if as_json:
        print_result(foreseen, as_json=True)
        return
    print_result(
        [
            {
                "network": row.network, "households moved": row.households_moved, "people moved": row.population_moved,
                "codes kept": row.codes_kept, "retired": len(row.codes_retired), "new": len(row.codes_new),
            }
            for row in foreseen.networks
        ],
        as_json=False,
    )  # fmt: skip
    click.echo(f"open cases that move: {foreseen.open_cases}; workers whose load changes: {len(foreseen.workers)}")
    for inherited in foreseen.inheriting[:_SHOWN]:
        source = f", from {inherited['from_grid']}" if inherited["from_grid"] else ""
        click.echo(f"{inherited['grid_code']} goes to {inherited['worker_code']}{source}")
    for vacant in foreseen.without_worker[:_SHOWN]:
        click.echo(f"{vacant['grid_code']} would have no responsible worker: {vacant['reason']}")
    circle = foreseen.circle
    click.echo(f"service circle: {f'{len(circle.grids)} grids change' if circle.available else circle.reason}")


@redraw.command("approve")
@click.argument("redraw_id")
@click.option("--at", type=Instant(), help="The instant from which the grids hold, now or later. Default: now.")
@_by
@_as_json
def approve(redraw_id: str, at: datetime | None, by: str, as_json: bool) -> None:
    """Put the draft REDRAW_ID in force; by another person than the one who drafted it.

    Example: gridsvc redraw approve 5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10 --by li --at 2026-10-01
    """
    from gridsvc.services import redraws

    with open_app() as app, app.unit_of_work() as uow:
        done = redraws.approve_redraw(uow, redraw_id, by=by, now=now(), in_force_from=at)
        uow.commit()
    if as_json:
        print_result(done, as_json=True)
        return
    effects = _effects(asdict(done.effects)) if done.effects else {"takes effect": "when its instant comes"}
    print_result(
        {"redraw": done.redraw_id, "in force from": done.in_force_from.isoformat(), **asdict(done.grids), **effects},
        False,
    )


@redraw.command("discard")
@click.argument("redraw_id")
@_by
@_as_json
def discard(redraw_id: str, by: str, as_json: bool) -> None:
    """Give the draft REDRAW_ID up; only the record stays, whose codes are not given again.

    Example: gridsvc redraw discard 5e0c3f0a-7b52-4b6e-9a37-0f5f2a1c9d10 --by zhang
    """
    from gridsvc.services import redraws

    with open_app() as app, app.unit_of_work() as uow:
        done = redraws.discard_redraw(uow, redraw_id, by=by, now=now())
        uow.commit()
    print_result(done if as_json else {"discarded": done["redraw_id"]}, as_json)


@redraw.command("settle")
@_as_json
def settle(as_json: bool) -> None:
    """Take the effect of approved redraws whose instant has come; the running server does so by itself.

    Example: gridsvc redraw settle
    """
    from gridsvc.services.redraw_effects import settle as settle_due

    with open_app() as app, app.unit_of_work() as uow:
        done = settle_due(uow, now())
        uow.commit()
    if as_json:
        print_result([asdict(effects) for effects in done], as_json=True)
    elif done:
        print_result([_effects(asdict(effects)) for effects in done], as_json=False)
    else:
        click.echo("nothing is due")
    if any(effects.failed for effects in done):
        sys.exit(1)


def _effects(effects: dict[str, Any]) -> dict[str, Any]:
    return {name: len(value) if name == "unstaffed" else _cell(value) for name, value in effects.items()}


def _cell(value: Any) -> Any:
    """Return a value as a table shows it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value[:3])) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
