"""``gridsvc demo``: the main job on a data set, with a summary of counts and times."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.formats.dataset import Dataset, read_dataset
from gridsvc.jobs.main_job import Summary, run_main_job
from gridsvc.progress import Progress
from gridsvc.services.synthesising import synthesise_to_folder
from gridsvc.settings import read_settings


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Data set folder, as written by gridsvc synth.",
)
@click.option(
    "--scale",
    type=click.Choice(["street", "district"]),
    default="district",
    show_default=True,
    help="Size of the town made when --data is not given.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the town made when --data is not given.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the maps; default: out/ in GRIDSVC_VAR."
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes for the division."
)
@click.option("--serve/--no-serve", default=False, help="Serve the web pages when the job is done, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def demo(
    data: Path | None, scale: str, seed: int, out: Path | None, processes: int, serve: bool, as_json: bool
) -> None:
    """Run the main job: import, divide, assign, merge, locate, map, service circle; print a summary.

    Without --data a town is made first (kept in GRIDSVC_VAR, made again only when missing). Safe to run twice.

    \b
    Example:
      gridsvc demo
      gridsvc synth --scale street --out /tmp/town && gridsvc demo --data /tmp/town
    """
    settings = read_settings()
    with progress(silent=as_json) as shown:
        dataset = read_dataset(data) if data else _own_town(settings.var_dir, scale, seed, shown)
        with open_app(settings) as app:
            summary = run_main_job(
                app, dataset, now=now(), out_dir=out or settings.var_dir / "out", processes=processes, progress=shown
            )
    if as_json:
        print_result(asdict(summary), as_json=True)
    else:
        _print_summary(summary)
    if serve:
        from gridsvc.cli.serving import run_server  # the web stack is loaded only when it is used

        run_server(settings)


def _own_town(var_dir: Path, scale: str, seed: int, shown: Progress) -> Dataset:
    folder = var_dir / "towns" / f"{scale}-{seed}"
    if not (folder / "dataset.json").is_file():
        synthesise_to_folder(folder, scale=scale, seed=seed, progress=shown)
    return read_dataset(folder)


def _format(value: float | int | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}"


def _print_summary(summary: Summary) -> None:
    table = Table(title=f"{summary.dataset} ({', '.join(summary.districts)})", title_justify="left")
    table.add_column("step")
    table.add_column("count")
    table.add_column("value", justify="right")
    table.add_column("seconds", justify="right")
    for step in summary.steps:
        for i, (name, value) in enumerate(step.counts.items()):
            table.add_row(step.name if i == 0 else "", name, _format(value), f"{step.seconds:.1f}" if i == 0 else "")
        table.add_section()
    table.add_row("total", "", "", f"{summary.seconds:.1f}")
    console = Console()
    console.print(table)
    for path in summary.files:
        console.print(f"map: {path}", soft_wrap=True)
