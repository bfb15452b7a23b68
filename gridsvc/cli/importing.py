"""``gridsvc import``: bring files in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.errors import ImportRefusedError
from gridsvc.settings import read_settings

_EXAMPLES = {
    "divisions": "gridsvc import divisions districts.geojson --datum gcj02 --repair",
    "streets": "gridsvc import streets roads.shp --datum file --encoding gb18030",
    "residences": "gridsvc import residences buildings.gpkg --datum cgcs2000 --map LDBM=residence_code",
    "facilities": "gridsvc import facilities 设施.xlsx --datum bd09 --partial",
    "workers": "gridsvc import workers 网格员.csv --datum wgs84 --valid-from 2026-01-01",
    "grids": "gridsvc import grids police.parquet --datum file --network security --valid-from 2026-01-01",
    "reports": "gridsvc import reports 12345.csv --datum gcj02 --timezone Asia/Shanghai --map 工单编号=source_no",
    "addresses": "gridsvc import addresses 门牌.csv --datum cgcs2000 --map 街巷=road --map 门牌号码=number",
    "components": "gridsvc import components 部件.shp --datum EPSG:4547 --encoding gb18030 --partial",
    "water": "gridsvc import water rivers.geojson --datum wgs84",
    "barriers": "gridsvc import barriers walls.shp --datum file",
    "compounds": "gridsvc import compounds 小区.gpkg --datum cgcs2000",
    "gates": "gridsvc import gates 出入口.csv --datum gcj02",
    "departments": "gridsvc import departments 部门.csv --valid-from 2026-01-01",
    "duties": "gridsvc import duties 职责.xlsx --timezone Asia/Shanghai --map 大类=category_code",
    "osm": "gridsvc import osm city.osm.pbf",
}
_ABOUT = {
    "divisions": "Import administrative divisions: codes, names and, where drawn, boundaries.",
    "streets": "Import streets.",
    "residences": "Import buildings with their households.",
    "facilities": "Import service facilities.",
    "workers": "Import grid workers.",
    "grids": "Import the grids of a network; they replace those of the districts in the file.",
    "reports": "Import incident reports.",
    "addresses": "Import addresses with their positions: door numbers, buildings, named places. Then gridsvc geocode finds them.",
    "components": "Import the register of components (部件): lamps, manhole covers, litter bins ...",
    "water": "Import rivers, lakes and canals.",
    "barriers": "Import walls, rails and banks.",
    "compounds": "Import walled compounds: what lies inside is reached through their gates only.",
    "gates": "Import gates of walled compounds, with the hours they are open.",
    "departments": "Import departments (部门): code, name, kind, and the division each is of.",
    "duties": "Import what departments answer for: which ground, in which network, which categories, since when.",
    "osm": "Import streets, buildings and facilities from an OpenStreetMap extract (.osm.pbf).",
}


@click.group()
def import_group() -> None:
    """Bring files in: GeoJSON(.gz), GeoPackage, GeoParquet, Shapefile (.shp, .zip), CSV(.gz), XLSX, OSM PBF.

    A file is stored as a whole or not at all; every bad row is listed. See docs/how-to/import.md.

    \b
    Example:
      gridsvc import divisions districts.geojson --datum gcj02 --repair
    """


def option_mapping(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    mapping = {}
    for value in values:
        header, sign, name = value.partition("=")
        if not (header and sign and name):
            raise click.BadParameter(f"{value!r} is not HEADER=FIELD")
        mapping[header.strip()] = name.strip()
    return mapping


_DATUM = click.option("--datum", help="wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file: as the file says. Never guessed.")
_OPTIONS = (
    click.option(
        "--map",
        "mapping",
        multiple=True,
        callback=option_mapping,
        metavar="HEADER=FIELD",
        help="Take a column for a field; repeatable.",
    ),
    click.option("--partial", is_flag=True, help="Store the good rows and list the others."),
    click.option("--repair", is_flag=True, help="Repair invalid polygons and say what changed."),
    click.option(
        "--encoding", help="Encoding of the texts, such as gb18030; default: what the file states, else UTF-8."
    ),
    click.option("--source", help="Where the rows come from, credited on maps; default: the file's name."),
    click.option("--layer", help="Layer of a GeoPackage, sheet of an XLSX, Shapefile in a zip."),
)
_COMMON = (
    click.option("--dry-run", is_flag=True, help="Check only; store nothing."),
    click.option("--valid-from", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Since when it holds, in the time zone of the settings; default now."),
    click.option("--gazetteer/--no-gazetteer", "with_gazetteer", default=True, help="Whether to bring the gazetteer up to date afterwards; leave it for the last of several files."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)  # fmt: skip
_TIMEZONE = click.option("--timezone", help="Zone of times without a UTC offset, such as Asia/Shanghai.")
_OF_KIND: dict[str, tuple[Any, ...]] = {
    "divisions": (click.option("--align", "align_m", type=click.FloatRange(0, 1, min_open=True), metavar="METRES", help="Bring boundaries that miss each other, or those stored, by no more than this onto one line."),),
    "grids": (click.option("--network", type=click.Choice(["urban", "social", "security"]), default="security", show_default=True, help="Network the grids belong to."),),
    "osm": (click.option("--datum", type=click.Choice(["wgs84", "EPSG:4326", "file"]), default="wgs84", show_default=True, help="An extract is always WGS 84."),),
    "reports": (_TIMEZONE,),
    "departments": (_TIMEZONE,),
    "duties": (_TIMEZONE,),
}  # fmt: skip


def _run(
    kind: str, file: Path, as_json: bool, valid_from: datetime | None, dry_run: bool, with_gazetteer: bool, **how: Any
) -> None:
    from gridsvc.services.gazetteer import SOURCES, refresh_gazetteer  # geopandas is loaded only when a file comes in
    from gridsvc.services.importing import import_file

    settings = read_settings()
    since = valid_from.replace(tzinfo=ZoneInfo(settings.timezone)) if valid_from else now()
    try:
        with progress(silent=as_json) as shown, open_app(settings) as app, app.unit_of_work() as uow:
            result = import_file(
                uow, kind, file, valid_from=since, dry_run=dry_run, actor="command line", progress=shown, **how
            )
            if not dry_run:
                uow.commit()
                if kind in SOURCES and with_gazetteer:
                    refresh_gazetteer(uow, at=now(), progress=shown)
                    uow.commit()
    except ImportRefusedError as refused:
        if as_json:
            print_result(
                {"code": refused.code, "message": refused.message, "hint": refused.hint, "refused": list(refused.rows)},
                True,
            )
        raise
    if as_json:
        print_result(result, True)
    else:
        _print(result)


def _print(result: Any) -> None:
    if result.already_imported:
        click.echo(f"{result.file} was imported before ({result.rows_unchanged} rows); nothing changed.")
        return
    verb = "would be stored" if result.dry_run else "stored"
    bad = len({fault.row for fault in result.refused})
    unchanged = f", {result.rows_unchanged} unchanged" if result.rows_unchanged else ""
    click.echo(f"{result.file}: {result.rows_read} rows read, {result.rows_stored} {verb}{unchanged}, {bad} refused.")
    for fault in result.refused[:50]:
        value = f" ({fault.value})" if fault.value else ""
        click.echo(f"  row {fault.row}, {fault.field}: {fault.reason}{value}")
    if len(result.refused) > 50:
        click.echo(f"  ... and {len(result.refused) - 50} more; --json lists all")
    for repair in result.repaired:
        click.echo(
            f"  row {repair.row}, {repair.code}: repaired ({repair.what}), area changed by {repair.change_m2:+.1f} m2"
        )
    if result.aligned:
        click.echo(f"  {result.aligned} boundaries moved onto those beside them")
    _print_borders(result.borders)
    for name, value in result.counts.items():
        click.echo(f"  {name.replace('_', ' ')}: {value}")


def _print_borders(borders: Sequence[Any]) -> None:
    if not borders:
        return
    click.echo(f"  {len(borders)} pairs of boundaries differ along their common border:")
    for fault in sorted(borders, key=lambda fault: -fault.apart_m)[:20]:
        stored = " (stored)" if fault.is_stored else ""
        apart = f"by up to {fault.apart_m * 1000:.1f} mm, " if fault.apart_m else ""
        click.echo(
            f"    {fault.code} and {fault.other_code}{stored}: {apart}overlap {fault.overlap_m2:.3f} m2, "
            f"at {fault.lon:.7f} {fault.lat:.7f}"
        )
    if len(borders) > 20:
        click.echo(f"    ... and {len(borders) - 20} more; --json lists all")
    click.echo("  Communities that overlap cannot be divided. Mend the file, or import it again with --align METRES.")


def _add_command(kind: str) -> None:
    def command(file: Path, **how: Any) -> None:
        _run(kind, file, **how)

    options = (*_COMMON, *_OF_KIND.get(kind, ()), *(() if kind == "osm" else (_DATUM, *_OPTIONS)))
    for option in reversed(options):
        command = option(command)
    command = click.argument("file", type=click.Path(path_type=Path))(command)
    command.__doc__ = f"{_ABOUT[kind]}\n\n\b\nExample:\n  {_EXAMPLES[kind]}\n"
    import_group.command(kind)(command)


for _kind in _ABOUT:
    _add_command(_kind)
