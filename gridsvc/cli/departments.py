"""``gridsvc departments``: departments and what they answer for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result

_SHOWN = 50
_as_json = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_codes = click.argument("codes", nargs=-1, required=True, metavar="CODE...")
_by = click.option(
    "--by", default="command line", show_default=True, metavar="LOGIN", help="Who decides, for the record."
)
_prefix = click.option("--prefix", default="", metavar="CODE", help="Only those in this division.")


@click.group()
def departments() -> None:
    """Departments (部门) and their duties: which ground, which categories.

    They come in with `gridsvc import departments|duties` and go out with `gridsvc export departments|duties`. See docs/how-to/networks.md.

    \b
    Example:
      gridsvc departments duties --prefix 420103
    """


@departments.command("list")
@_prefix
@at_option
@_as_json
def list_departments(prefix: str, at: datetime, as_json: bool) -> None:
    """List the departments in force.

    Example: gridsvc departments list --prefix 420103
    """
    _show("departments", prefix, at, as_json)


@departments.command("duties")
@_prefix
@at_option
@_as_json
def list_duties(prefix: str, at: datetime, as_json: bool) -> None:
    """List what departments answer for.

    Example: gridsvc departments duties --prefix 420103001
    """
    _show("duties", prefix, at, as_json)


@departments.command("retire")
@_codes
@at_option
@_by
@_as_json
def retire(codes: Sequence[str], at: datetime, by: str, as_json: bool) -> None:
    """End departments at an instant, and their duties with them.

    Example: gridsvc departments retire 11420103000000001A --at 2027-01-01
    """
    from gridsvc.services.departments import retire_departments

    with open_app() as app, app.unit_of_work() as uow:
        done = retire_departments(uow, codes, at=at, actor=by)
        uow.commit()
    print_result(done, as_json)


@departments.command("retire-duty")
@_codes
@at_option
@_by
@_as_json
def retire_duty(codes: Sequence[str], at: datetime, by: str, as_json: bool) -> None:
    """End duties at an instant.

    Example: gridsvc departments retire-duty FIRE:all:420103:all:all
    """
    from gridsvc.services.departments import retire_duties

    with open_app() as app, app.unit_of_work() as uow:
        done = retire_duties(uow, codes, at=at, actor=by)
        uow.commit()
    print_result(done, as_json)


def _show(what: str, prefix: str, at: datetime, as_json: bool) -> None:
    from gridsvc.services.departments import table_of

    with open_app() as app, app.unit_of_work() as uow:
        frame = table_of(uow, what, at=at, prefix=prefix)
    if as_json:
        print_result(frame.astype(object).where(frame.notna(), None).to_dict("records"), True)
        return
    click.echo(f"{what}: {len(frame)}" + (f", the first {_SHOWN}" if len(frame) > _SHOWN else ""))
    if len(frame):
        click.echo(frame.drop(columns=["source"]).head(_SHOWN).to_string(index=False, na_rep="-"))
