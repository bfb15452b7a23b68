"""``gridsvc quality``: the quality report of a division, a draft or a file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import progress
from gridsvc.division.quality_problems import PROBLEM_KINDS
from gridsvc.division.quality_report import KINDS, Bounds, QualityReport, Spread
from gridsvc.errors import FileUnreadableError
from gridsvc.services.division_quality import DivisionQuality, report_quality

_COURSES = {"street": "along streets", "wall": "along walls, railways", "water": "along water", "none": "along nothing"}


@click.command()
@click.argument("code")
@click.option("--kind", type=click.Choice(KINDS), default="governance", show_default=True, help="Which grids.")
@click.option("--redraw", metavar="ID", help="Report on this redraw in place of what is in force.")
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Report on the grids of this file."
)
@click.option(
    "--datum", help="Datum of the file: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file for what the file says."
)
@click.option("--map", "maps", multiple=True, metavar="HEADER=FIELD", help="Header of the file that means a field.")
@click.option("--layer", help="Layer of a GeoPackage.")
@at_option
@click.option(
    "--tolerance", type=click.FloatRange(min=0.01, max=50), default=1.0, show_default=True,
    help="A border lies along a line when this close to it. Unit: m.",
)  # fmt: skip
@click.option("--problems", "shown", type=click.IntRange(min=0), default=20, show_default=True, help="Places to print.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the whole report to this JSON file."
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=2, show_default=True,
    help="Communities whose ground is weighed side by side, for the target areas of unit grids.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
def quality(
    code: str,
    kind: str,
    redraw: str | None,
    file: Path | None,
    datum: str | None,
    maps: tuple[str, ...],
    layer: str | None,
    at: datetime,
    tolerance: float,
    shown: int,
    out: Path | None,
    processes: int,
    as_json: bool,
) -> None:
    """Report on the grids under CODE: gaps, overlaps, households, borders, buildings cut, problem places.

    \b
    Example:
      gridsvc quality 420103
      gridsvc quality 420103 --kind unit --json
      gridsvc quality 420103 --file 网格.gpkg --datum gcj02 --out report.json
    """
    if out is not None and not out.absolute().parent.is_dir():
        raise FileUnreadableError(
            f"There is no folder {out.absolute().parent}.", hint="Make it first, or name another --out."
        )
    bounds = Bounds(along_m=tolerance) if kind == "governance" else Bounds(None, None, along_m=tolerance)
    columns = dict(_pair(text) for text in maps)
    with open_app() as app, app.unit_of_work() as uow, progress(as_json) as steps:
        found = report_quality(
            uow, code, at=at, kind=kind, redraw=redraw, file=file, datum=datum, columns=columns, layer=layer,
            bounds=bounds, processes=processes, progress=steps,
        )  # fmt: skip
    if as_json or out is not None:
        text = json.dumps(found.as_dict(), ensure_ascii=False, indent=2)
        if out is not None:
            out.write_text(text + "\n", encoding="utf-8")
    if as_json:
        click.echo(text)
        return
    _print(found, shown)
    if out is not None:
        click.echo(f"report: {out}")


def _pair(text: str) -> tuple[str, str]:
    header, separator, name = text.rpartition("=")
    if not separator or not header:
        raise click.BadParameter(f"{text!r} is not HEADER=FIELD.", param_hint="--map")
    return header, name


def _print(found: DivisionQuality, shown: int) -> None:
    from rich.console import Console
    from rich.table import Table

    report = found.report
    console = Console(highlight=False)
    table = Table(title=f"{found.name} {found.code}, {found.kind} grids, {found.source}", title_justify="left")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("detail")
    for section in (_whole(report), _sizes(report), _borders(report), _kept(report)):
        for row in section:
            table.add_row(*row)
        if section:
            table.add_section()
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    if report.problems:
        console.print(f"{len(report.problems):,} problem places; the gravest:" if shown else "")
    for problem in report.problems[:shown]:
        console.print(f"  {PROBLEM_KINDS[problem.kind][1]}: {problem.sentence}", markup=False)


def _whole(report: QualityReport) -> list[tuple[str, str, str]]:
    without = len(report.communities_without_grids)
    rows = [
        (
            "grids",
            f"{report.grids:,}",
            f"{report.communities:,} communities, {report.exact_communities:,} divided exactly",
        ),
        ("gaps", f"{report.gaps.area_m2:,.2f} m2", f"{report.gaps.count} places"),
        ("overlaps", f"{report.overlaps.area_m2:,.2f} m2", f"{report.overlaps.count} places"),
        ("outside the community", f"{report.outside.area_m2:,.2f} m2", f"{report.outside_community} grids"),
        (
            "slivers",
            f"{report.slivers.count}",
            f"{report.slivers.area_m2:,.4f} m2, pieces under 1 m2 of the three above",
        ),
        ("buildings cut", f"{report.buildings_cut:,}", f"of {report.buildings:,}"),
        ("in several parts", f"{report.not_contiguous:,}", ""),
    ]
    if report.invalid:
        rows.append(("invalid shapes", f"{report.invalid:,}", "measured after repair"))
    if without:
        rows.append(("without grids", f"{without:,}", ", ".join(report.communities_without_grids[:4])))
    return rows


def _sizes(report: QualityReport) -> list[tuple[str, str, str]]:
    rows = [("households per grid", _middle(report.households, ",.0f"), _range(report.households, ",.0f"))]
    if report.in_bounds_share is not None:
        detail = f"{_percent(report.attainable_share)} where the community's households allow it"
        rows.append(("within the bounds", _percent(report.in_bounds_share), detail))
    if report.households_in_no_grid:
        rows.append(("households in no grid", f"{report.households_in_no_grid:,}", f"of {report.households_total:,}"))
    rows.append(("area m2", _middle(report.area_m2, ",.0f"), _range(report.area_m2, ",.0f")))
    if report.on_target_share is not None:
        rows.append(("near the target area", _percent(report.on_target_share), "within 30 %"))
    rows.append(("compactness", _middle(report.compactness, ".2f"), _range(report.compactness, ".2f")))
    return rows


def _borders(report: QualityReport) -> list[tuple[str, str, str]]:
    rows = [("inner border", f"{report.border_m / 1000:,.1f} km", "")]
    rows += [
        (_COURSES[kind], _percent(part.share), f"{part.metres / 1000:,.1f} km") for kind, part in report.border.items()
    ]
    return rows


def _kept(report: QualityReport) -> list[tuple[str, str, str]]:
    if report.stability is None:
        return []
    kept = report.stability
    codes = f"codes: {kept.codes_kept:,} kept, {kept.codes_new:,} new, {kept.codes_gone:,} gone"
    return [("households keep their grid", _percent(kept.households_kept_share), codes)]


def _middle(spread: Spread | None, form: str) -> str:
    return "" if spread is None else format(spread.median, form)


def _range(spread: Spread | None, form: str) -> str:
    if spread is None:
        return ""
    parts = [format(v, form) for v in (spread.least, spread.quarter, spread.three_quarters, spread.most)]
    variation = "" if spread.variation is None else f", variation {spread.variation:.2f}"
    return f"{parts[0]} to {parts[3]}, half in {parts[1]} to {parts[2]}; mean {format(spread.mean, form)}{variation}"


def _percent(share: float | None) -> str:
    return "not applicable" if share is None else f"{share:.1%}"
