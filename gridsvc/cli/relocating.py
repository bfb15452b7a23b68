"""``gridsvc relocate``: stored reports follow changes of grids that reach back to their time."""

from __future__ import annotations

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import print_result, progress


@click.command()
@click.argument("code", default="")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def relocate(code: str, dry_run: bool, as_json: bool) -> None:
    """Give stored reports under CODE (default: all) the grids of their place and time.

    Reports made since a redraw came in force, on the ground whose grid it changed, get their new grid, and their cases with
    them; reports that were imported and not located yet get their first. The running server does the former by itself.
    Works in blocks: stopped at any point, the same command goes on from there.

    \b
    Example:
      gridsvc relocate 420103
      gridsvc relocate --dry-run
    """
    from gridsvc.services.relocating import foresee_relocation
    from gridsvc.services.relocating import relocate as work_off

    with open_app() as app, progress(as_json) as shown, app.unit_of_work() as uow:
        result = foresee_relocation(uow, code) if dry_run else work_off(uow, code, progress=shown)
    print_result(result, as_json)
