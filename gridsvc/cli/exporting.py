"""``gridsvc export``: what is stored, as files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result, progress
from gridsvc.geo.component_codes import STATES


@click.group()
def export_group() -> None:
    """Write what is stored into files: GeoJSON, CSV, GeoPackage, XLSX.

    \b
    Example:
      gridsvc export components --out components.gpkg
    """


@export_group.command("components")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="File to write: .geojson, .csv, .gpkg or .xlsx. Replaced when it is there.",
)  # fmt: skip
@click.option("--prefix", default="", metavar="CODE", help="Only those in this division.")
@click.option(
    "--class", "category_code", default=None, metavar="CODE", help="Only those of this class, such as C01037."
)
@click.option("--state", type=click.Choice(list(STATES)), default=None, help="Only those in this state.")
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export_components(
    out: Path, prefix: str, category_code: str | None, state: str | None, at: datetime, as_json: bool
) -> None:
    """Write the register of components (部件); importing the file again changes nothing.

    \b
    Example:
      gridsvc export components --out lamps.xlsx --prefix 420103 --class C01037 --state damaged
    """
    from gridsvc.services.components import export_components as export  # geopandas is loaded only when a file is made

    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        result = export(uow, out, at=at, prefix=prefix, category_code=category_code, state=state, progress=shown)
    print_result(result, as_json)


def _add_table(what: str, help_text: str) -> None:
    def command(out: Path, prefix: str, at: datetime, as_json: bool) -> None:
        from gridsvc.services.departments import export_table  # pandas is loaded only when a file is made

        with open_app() as app, app.unit_of_work() as uow:
            result = export_table(uow, what, out, at=at, prefix=prefix)
        print_result(result, as_json)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        at_option,
        click.option("--prefix", default="", metavar="CODE", help="Only those in this division."),
        click.option(
            "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
            help="File to write: .csv or .xlsx. Replaced when it is there.",
        ),
    ):  # fmt: skip
        command = option(command)
    command.__doc__ = f"{help_text}\n\n\b\nExample:\n  gridsvc export {what} --out {what}.xlsx --prefix 420103\n"
    export_group.command(what)(command)


_add_table("departments", "Write the departments; importing the file again changes nothing.")
_add_table("duties", "Write what departments answer for; importing the file again changes nothing.")
