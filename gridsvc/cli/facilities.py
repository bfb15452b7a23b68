"""``gridsvc facilities``: the queue of corrections, and files for Amap (高德)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from gridsvc.bootstrap import open_app
from gridsvc.circle.facility_corrections import STATES, WHAT
from gridsvc.cli.instants import Instant, at_option
from gridsvc.cli.terminal import now, print_result, progress

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_by = click.option("--by", required=True, metavar="LOGIN", help="The person who decides, for the record.")
_reason = click.option("--reason", required=True, help="Why; kept with the decision.")
_prefix = click.option("--prefix", default="", metavar="CODE", help="Only those in this division.")
_datum = click.option(
    "--datum", type=click.Choice(["gcj02", "wgs84", "cgcs2000", "bd09"]), default="gcj02", show_default=True,
    help="Datum of the positions in the file, which says so.",
)  # fmt: skip
_out = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="File to write: .csv, .geojson or .xlsx. Replaced when it is there.",
)  # fmt: skip


@click.group()
def facilities() -> None:
    """Decide on corrections of facilities (纠错), and write facilities for Amap (高德) in GCJ-02.

    Facilities come in with `gridsvc import facilities`, corrections over the API. See docs/how-to/facilities.md.

    \b
    Example:
      gridsvc facilities corrections --state open
      gridsvc facilities export --out facilities.csv
    """


@facilities.command("corrections")
@_prefix
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--what", type=click.Choice(WHAT), help="Only those of this kind.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many, the longest waiting first."
)
@_as_json
def list_corrections(prefix: str, state: str | None, what: str | None, limit: int, as_json: bool) -> None:
    """List corrections, the longest waiting first.

    Example: gridsvc facilities corrections --prefix 420103 --state open
    """
    from gridsvc.services import facility_corrections as service

    with open_app() as app, app.unit_of_work() as uow:
        rows = service.list_corrections(uow, prefix, state=state, what=what, limit=limit).rows
    if as_json:
        print_result(rows, as_json=True)
    elif not rows:
        click.echo("no corrections")
    else:
        _print_rows(rows)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    # the id is what the other commands are called with: it is never cut
    table.add_column("correction", no_wrap=True, min_width=36)
    for name in ("what", "facility", "name", "state", "received"):
        table.add_column(name, overflow="fold")
    for row in rows:
        received = row["received_at"].isoformat(timespec="minutes")
        table.add_row(str(row["correction_id"]), row["what"], row["facility_code"], row["name"], row["state"], received)
    Console().print(table)


@facilities.command("correction")
@click.argument("correction_id", type=click.UUID)
@_as_json
def show_correction(correction_id: UUID, as_json: bool) -> None:
    """Show the correction CORRECTION_ID and what speaks against it.

    Example: gridsvc facilities correction 0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d
    """
    from gridsvc.services import facility_corrections as service

    with open_app() as app, app.unit_of_work() as uow:
        _print_one(service.get_correction(uow, correction_id, at=now()), as_json)


@facilities.command("accept")
@click.argument("correction_id", type=click.UUID)
@click.option("--from", "in_force_from", type=Instant(), help="Since when the facility is so. Default: now.")
@click.option("--anyway", is_flag=True, help="Accept it although something speaks against it.")
@_reason
@_by
@_as_json
def accept(
    correction_id: UUID, in_force_from: datetime | None, anyway: bool, reason: str, by: str, as_json: bool
) -> None:
    """Let the facility be as the correction CORRECTION_ID says; its past stays in its history.

    \b
    Example:
      gridsvc facilities accept 0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d --by li --reason 现场核实 --from 2026-11-20
    """
    from gridsvc.services import facility_corrections as service

    with open_app() as app, app.unit_of_work() as uow:
        done = service.accept_correction(
            uow, correction_id, by=by, now=now(), reason=reason, in_force_from=in_force_from, anyway=anyway
        )
    _print_one(done, as_json)


@facilities.command("refuse")
@click.argument("correction_id", type=click.UUID)
@_reason
@_by
@_as_json
def refuse(correction_id: UUID, reason: str, by: str, as_json: bool) -> None:
    """Refuse the correction CORRECTION_ID; the facility stays as it is.

    Example: gridsvc facilities refuse 0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d --by li --reason 名称无误
    """
    from gridsvc.services import facility_corrections as service

    with open_app() as app, app.unit_of_work() as uow:
        done = service.refuse_correction(uow, correction_id, by=by, now=now(), reason=reason)
    _print_one(done, as_json)


def _print_one(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_result(row, as_json=True)
        return
    plain = {name: value for name, value in row.items() if value not in (None, "") and name != "findings"}
    print_result(plain, as_json=False)
    for finding in row["findings"]:
        click.echo(f"{finding['code']}: {finding['message']}")


@facilities.command("export")
@_out
@_prefix
@click.option("--kind", "kind_code", default=None, metavar="CODE", help="Only those of this kind, such as M101.")
@_datum
@at_option
@_as_json
def export(out: Path, prefix: str, kind_code: str | None, datum: str, at: datetime, as_json: bool) -> None:
    """Write facilities with the columns of Amap; importing the file again changes nothing.

    \b
    Example:
      gridsvc facilities export --out 设施.csv --prefix 420103
    """
    from gridsvc.services.facility_files import export_facilities

    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        told = export_facilities(uow, out, at=at, prefix=prefix, kind_code=kind_code, datum=datum, progress=shown)
    print_result(told, as_json)


@facilities.command("export-corrections")
@_out
@_prefix
@click.option("--since", type=Instant(), help="Only those accepted at this instant or later.")
@_datum
@_as_json
def export_corrections(out: Path, prefix: str, since: datetime | None, datum: str, as_json: bool) -> None:
    """Write the corrections that were accepted, each facility before and after, as a list for Amap.

    \b
    Example:
      gridsvc facilities export-corrections --out 纠错.csv --since 2026-11-01
    """
    from gridsvc.services.facility_files import export_accepted

    with open_app() as app, app.unit_of_work() as uow:
        told = export_accepted(uow, out, prefix=prefix, since=since, datum=datum)
    print_result(told, as_json)
