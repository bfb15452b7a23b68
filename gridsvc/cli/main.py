"""Entry point: the command groups, loaded only when used so that ``gridsvc --help`` is instant."""

from __future__ import annotations

import importlib
import sys

import click

from gridsvc import __version__
from gridsvc.errors import GridsvcError, ImportRefusedError

# name -> (module, attribute, one line of help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "db": ("gridsvc.cli.database", "db", "Create, upgrade, back up and open the database."),
    "import": ("gridsvc.cli.importing", "import_group", "Bring files in: divisions, streets, residences, reports ..."),
    "export": (
        "gridsvc.cli.exporting",
        "export_group",
        "Write what is stored into files: components, departments, duties.",
    ),
    "synth": ("gridsvc.cli.synth", "synth", "Make a realistic town, or complete a real one."),
    "divide": ("gridsvc.cli.dividing", "divide", "Divide communities into unit grids and governance grids."),
    "redraw": ("gridsvc.cli.redraws", "redraw", "Draft, check, approve and discard changes of grids."),
    "quality": ("gridsvc.cli.quality", "quality", "Report on the quality of grids in force, a draft, or a file."),
    "merge": ("gridsvc.cli.merging", "merge", "Merge the grids of three networks into one net."),
    "networks": (
        "gridsvc.cli.networks",
        "networks",
        "Compare and align networks, carry figures over, ask who answers.",
    ),
    "departments": ("gridsvc.cli.departments", "departments", "Departments and what they answer for."),
    "assign": ("gridsvc.cli.assigning", "assign", "Assign grid workers to governance grids."),
    "locate": ("gridsvc.cli.locating", "locate", "Find the grids of the points in a file."),
    "relocate": ("gridsvc.cli.relocating", "relocate", "Give stored reports the grids of their place and time."),
    "geocode": ("gridsvc.cli.geocoding", "geocode_command", "Find the place of an address, or those of a file."),
    "gazetteer": ("gridsvc.cli.geocoding", "gazetteer", "Build what addresses are found in."),
    "post": ("gridsvc.cli.posting", "post", "Post the reports of a file to a server."),
    "facilities": ("gridsvc.cli.facilities", "facilities", "Corrections of facilities, and files for Amap."),
    "circle": ("gridsvc.cli.circle", "circle", "Walking network, service circle, coverage."),
    "map": ("gridsvc.cli.mapping", "map_group", "Write maps as self-contained files."),
    "photos": ("gridsvc.cli.photos", "photos", "Tidy up the photos of reports."),
    "user": ("gridsvc.cli.access", "user", "Add and list users."),
    "token": ("gridsvc.cli.access", "token", "Issue and withdraw API tokens."),
    "serve": ("gridsvc.cli.serving", "serve", "Start the web server."),
    "demo": ("gridsvc.cli.demo", "demo", "Run the main job on a data set and print a summary."),
    "doctor": ("gridsvc.cli.doctor", "doctor", "Say what is missing or wrong, and how to mend it."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, _, help_line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="gridsvc")
def cli() -> None:
    """gridsvc: grid service management (网格化服务管理) for a city.

    Example: gridsvc demo
    """


def main() -> None:
    """Run the command line; refusals become one sentence on standard error and exit status 1."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong_usage:
        wrong_usage.show()
        sys.exit(2)
    except GridsvcError as refused:
        click.echo(f"gridsvc: {refused}", err=True)
        if isinstance(refused, ImportRefusedError):
            for row in refused.rows[:50]:
                value = f" ({row.value})" if row.value else ""
                click.echo(f"  row {row.row}, {row.field}: {row.reason}{value}", err=True)
            if len(refused.rows) > 50:
                click.echo(f"  ... and {len(refused.rows) - 50} more rows; --json lists all", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
