"""``gridsvc networks``: networks compared, aligned, carried over to each other, made one, and asked who answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.instants import Instant, at_option
from gridsvc.cli.network_tables import narrow, text_of
from gridsvc.cli.terminal import now, print_result, progress
from gridsvc.formats.written_tables import write_table
from gridsvc.networks.overlay import TOLERANCE_M
from gridsvc.networks.unified import HouseholdBounds
from gridsvc.services.answering import with_duties
from gridsvc.services.comparing_networks import (
    NetworkReport,
    align_networks,
    answers_for_points,
    compare_networks,
    crosswalk_networks,
)
from gridsvc.services.crosswalks import (
    WEIGHTS,
    export_crosswalk,
    figures_of_file,
    get_crosswalk,
    list_crosswalks,
    rebase_figures,
    save_crosswalk,
)
from gridsvc.services.network_conflicts import compare_stored
from gridsvc.services.network_sources import FileSource, Source, SourceNets, StoredSource, read_networks
from gridsvc.services.unifying_networks import PeopleFile, unify_networks

_STORED = re.compile(r"(urban|social|security|unified):(\d{4,15})(?:@(.+))?")
_SHOWN = 20
_BOUNDS = HouseholdBounds()

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)
_DATUM_HELP = "Datum of the files: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file for what the file says."


out_option = click.option(
    "--out", type=_OUT, help="Write the tables (.xlsx) or the layers (.gpkg). May come twice.", multiple=True
)


bounds_option = click.option(
    "--bounds", type=(int, int), metavar="LOW HIGH", default=(_BOUNDS.low, _BOUNDS.high), show_default=True,
    help="Households that a grid of an alternative should have.",
)  # fmt: skip


def columns_options(command: Callable) -> Callable:
    """Add the options by which files of grids are read."""
    for option in (
        click.option(
            "--name", "titles", multiple=True, metavar="[FILE=]COLUMN", help="Column of grid names; default name, if there is one."
        ),
        click.option(
            "--code", "codes", multiple=True, metavar="[FILE=]COLUMN",
            help="Column of grid codes, of all files or of the one named (without suffix); default code, else the number of the row.",
        ),
        click.option("--datum", help=_DATUM_HELP),
    ):  # fmt: skip
        command = option(command)
    return command


def _shared(command: Callable) -> Callable:
    """Add the options of every command about networks."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print every table as JSON."),
        out_option,
        at_option,
        columns_options,
    ):
        command = option(command)
    return command


def tolerance_option(default: float) -> Callable:
    """Return the option that says how near borders are one."""
    return click.option(
        "--tolerance", type=click.FloatRange(min=0.0, max=100.0), default=default, show_default=True,
        help="Borders this near are one. Unit: m.",
    )  # fmt: skip


@click.group()
def networks() -> None:
    """Hold networks against each other.

    A network is a file of grids, or a stored one written NETWORK:CODE or NETWORK:CODE@DATE, such as social:420103@2025-01-01.

    Example: gridsvc networks compare 城管.gpkg 公安.shp social:420103 --datum cgcs2000
    """


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--save", is_flag=True, help="Keep the grids that cross, for /api/v1/networks/conflicts; of stored networks."
)
@_shared
@tolerance_option(TOLERANCE_M)
def compare(
    sources: Sequence[str], save: bool, tolerance: float, as_json: bool, out: Sequence[Path], **options: Any
) -> None:
    """Say what is wrong in each network and which grids of every two are the same, shifted, nested or crossing.

    \b
    Example:
      gridsvc networks compare psa.parquet smd.parquet --datum wgs84 --code psa=psa --out report.xlsx
      gridsvc networks compare urban:420103 social:420103 security:420103 --save
    """
    with read_sources(sources, **options) as read, progress(as_json) as shown:
        if save:
            found = compare_stored(
                read.uow, read.stored(), now=now(), actor="command line", tolerance_m=tolerance, given=read.nets,
                progress=shown,
            )  # fmt: skip
            read.uow.commit()
        else:
            found = compare_networks(read.nets, tolerance_m=tolerance, progress=shown)
    give_report(found, ("networks", "pairs", "conflicts"), as_json, out)


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--reference", metavar="NAME", help="Network whose lines stay; default: the lines that most networks share."
)
@click.option("--lines", type=_FILE, help="File of lines that borders are to stay on: streets, walls, water.")
@click.option("--lines-datum", help="Datum of --lines; default that of the files.")
@_shared
@tolerance_option(TOLERANCE_M)
def align(
    sources: Sequence[str],
    tolerance: float,
    reference: str | None,
    lines: Path | None,
    lines_datum: str | None,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Bring the borders of networks that lie within the tolerance onto one line; what is farther apart is listed.

    Example: gridsvc networks align 城管.gpkg 公安.gpkg --datum cgcs2000 --reference 城管 --out aligned.gpkg
    """
    with read_sources(sources, **options) as read, progress(as_json) as shown:
        found = align_networks(
            read.nets, tolerance_m=tolerance, reference=reference, lines=lines, lines_datum=lines_datum or options["datum"],
            progress=shown,
        )  # fmt: skip
    give_report(found, ("networks", "moved", "disagreements"), as_json, out)


@networks.command()
@click.argument("first")
@click.argument("second")
@click.option("--value", metavar="COLUMN", help="Column of FIRST whose figures are carried over to SECOND.")
@click.option("--whole", is_flag=True, help="Carry whole numbers over as whole numbers.")
@click.option("--weights", type=_FILE, help="File of points (households, events) to weigh land by; default its area.")
@click.option("--weights-datum", help="Datum of --weights; default that of the files.")
@click.option("--count", metavar="COLUMN", help="Column of --weights: how much each point counts; default 1.")
@click.option("--save", is_flag=True, help="Keep it, weighed by area, households and events; of two stored networks.")
@click.option(
    "--events-from", type=Instant(), help="With --save: reports from then on are the events; default 365 days before."
)
@click.option(
    "--events-to", type=Instant(), help="With --save: reports before then; default the later of the two networks."
)
@_shared
@tolerance_option(0.0)
def crosswalk(
    first: str,
    second: str,
    value: str | None,
    whole: bool,
    weights: Path | None,
    weights_datum: str | None,
    count: str | None,
    save: bool,
    events_from: datetime | None,
    events_to: datetime | None,
    tolerance: float,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Say how the grids of FIRST lie in those of SECOND, and carry figures over; their sum is preserved.

    \b
    Example:
      gridsvc networks crosswalk tracts.parquet psa.parquet --datum wgs84 --value p0010001 --whole --out crosswalk.xlsx
      gridsvc networks crosswalk social:420103@2025-01-01 social:420103 --value households --whole
      gridsvc networks crosswalk security:420103 unified:420103 --save
    """
    with read_sources((first, second), **options) as read, progress(as_json) as shown:
        if save:
            kept = save_crosswalk(
                read.uow, *read.stored(), now=now(), actor="command line", events_from=events_from, events_to=events_to,
                progress=shown,
            )  # fmt: skip
            read.uow.commit()
            click.echo(f"saved as crosswalk {kept.about['crosswalk_id']}", err=as_json)
        found = crosswalk_networks(
            read.nets, tolerance_m=tolerance, value=value, whole=whole, points=weights,
            points_datum=weights_datum or options["datum"], count=count, progress=shown,
        )  # fmt: skip
    give_report(found, ("crosswalk", "values", "sums"), as_json, out)


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--points", type=_FILE, required=True, help="File of points, or with columns lon and lat.")
@click.option("--points-datum", help="Datum of --points; default that of the files.")
@click.option("--category", metavar="CODE", help="Of stored networks: the department that answers for this class.")
@click.option("--category-column", metavar="COLUMN", help="The same for the class that a column of --points names.")
@_shared
@tolerance_option(0.0)
def answers(
    sources: Sequence[str],
    points: Path,
    points_datum: str | None,
    category: str | None,
    category_column: str | None,
    tolerance: float,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Say which grid of every network answers for each point of a file; land nobody or several hold is marked.

    Stored networks also name the department and the worker on duty.

    \b
    Example:
      gridsvc networks answers 城管.gpkg 公安.gpkg --datum cgcs2000 --points 事件.csv --out answers.xlsx
      gridsvc networks answers urban:420103 security:420103 --points 事件.csv --points-datum gcj02 --category E06001
    """
    with read_sources(sources, **options) as read, progress(as_json) as shown:
        found = answers_for_points(
            read.nets, points, datum=points_datum or options["datum"], tolerance_m=tolerance, progress=shown
        )
        stored = [each for each in read.sources if isinstance(each, StoredSource)]
        if stored:
            found = with_duties(read.uow, found, stored, category=category, column=category_column)
        elif category or category_column:
            raise click.UsageError("Departments are known of stored networks only, such as urban:420103.")
    give_report(found, ("sums",), as_json, out)


@networks.command()
@click.option("--prefix", default="", metavar="CODE", help="Only those of this division.")
@click.option("--network", help="Only those from or to this network.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def crosswalks(prefix: str, network: str | None, limit: int, as_json: bool) -> None:
    """List the crosswalks kept. What a redraw did is one too, under the id of the redraw.

    Example: gridsvc networks crosswalks --prefix 420103
    """
    with open_app() as app, app.unit_of_work() as uow:
        rows = list_crosswalks(uow, prefix, network=network, limit=limit).rows
    if as_json:
        print_result(rows, True)
        return
    for row in rows:
        click.echo(
            f"{row['crosswalk_id']}  {row['division_code']}  {row['first_network']}@{row['first_at']:%Y-%m-%d} -> "
            f"{row['second_network']}@{row['second_at']:%Y-%m-%d}  {row['first_grids']} -> {row['second_grids']} grids"
        )
    if not rows:
        click.echo("no crosswalks")


_redraw_network = click.option("--network", help="Of a redraw of several networks: which.")


@networks.command("crosswalk-export")
@click.argument("crosswalk_id")
@_redraw_network
@click.option("--out", type=_OUT, required=True, help="File to write: .csv, .xlsx, or .gpkg with the land of each row.")
def crosswalk_export(crosswalk_id: str, network: str | None, out: Path) -> None:
    """Write a crosswalk with its shares both ways.

    Example: gridsvc networks crosswalk-export 0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d --out crosswalk.gpkg
    """
    with open_app() as app, app.unit_of_work() as uow:
        stored = get_crosswalk(uow, crosswalk_id, network=network)
        export_crosswalk(uow, stored, out)
    click.echo(f"{len(stored.rows)} rows written to {out}")


@networks.command()
@click.argument("crosswalk_id")
@click.argument("table", type=_FILE)
@click.option("--code", default="code", show_default=True, metavar="COLUMN", help="Column of grid codes.")
@click.option("--value", required=True, metavar="COLUMN", help="Column of figures that add up.")
@click.option(
    "--weight", type=click.Choice(WEIGHTS), default="area", show_default=True, help="What land is weighed by."
)
@click.option("--back", is_flag=True, help="From the second network to the first.")
@click.option("--whole", is_flag=True, help="Carry whole numbers over as whole numbers.")
@_redraw_network
@click.option("--out", type=_OUT, help="Write the figures: .csv or .xlsx.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def rebase(
    crosswalk_id: str,
    table: Path,
    code: str,
    value: str,
    weight: str,
    back: bool,
    whole: bool,
    network: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Carry the figures of TABLE over to the other net of a crosswalk kept (or of a redraw); their sum is preserved.

    Example: gridsvc networks rebase 0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d 2025.csv --value households --whole --out 2026.xlsx
    """
    figures = figures_of_file(table, code, value)
    with open_app() as app, app.unit_of_work() as uow:
        stored = get_crosswalk(uow, crosswalk_id, network=network)
    found = rebase_figures(stored, figures, weight=weight, back=back, whole=whole)
    if out is not None:
        write_table(out, found.values, name="figures")
    if as_json:
        rows = found.values.to_dict("records")
        print_result(
            {"given": found.given, "placed": found.placed, "unplaced": found.unplaced,
             "without_figure": found.without_figure, "figures": rows}, True,
        )  # fmt: skip
        return
    click.echo(f"given {found.given:g}, placed {found.placed:g}, unplaced {found.unplaced:g}")
    click.echo(found.values.head(_SHOWN).to_string(index=False))
    if out is not None:
        click.echo(f"written to {out}")


@dataclass(frozen=True, slots=True)
class ReadSources:
    """Networks read, from where, and the database, which is open where one of them is stored."""

    nets: SourceNets
    sources: Sequence[Source]
    uow: Any

    def stored(self) -> list[StoredSource]:
        """Return the sources, all of which must be stored networks."""
        stored = [each for each in self.sources if isinstance(each, StoredSource)]
        if len(stored) < len(self.sources):
            raise click.UsageError("--save is for stored networks only, such as social:420103@2025-01-01.")
        return stored


@networks.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--reference", metavar="NAME", required=True, help="Network whose codes are kept where a grid survives.")
@click.option(
    "--people", type=_FILE, help="File of points (residences): who would change grid; default: only land counts."
)
@click.option("--people-datum", help="Datum of --people; default that of the files.")
@click.option("--count", metavar="COLUMN", help="Column of --people: how many people each point is; default 1.")
@click.option(
    "--households", metavar="COLUMN", help="Column of --people that --bounds is about; default that of --count."
)
@bounds_option
@click.option("--lines", type=_FILE, help="File of lines that borders should lie on: streets, walls, water.")
@click.option("--lines-datum", help="Datum of --lines; default that of the files.")
@click.option("--dedicated", type=_FILE, help="File of polygons that become grids as they are.")
@click.option("--dedicated-datum", help="Datum of --dedicated; default that of the files.")
@_shared
@tolerance_option(TOLERANCE_M)
def unify(
    sources: Sequence[str],
    reference: str,
    people: Path | None,
    people_datum: str | None,
    count: str | None,
    households: str | None,
    bounds: tuple[int, int],
    lines: Path | None,
    lines_datum: str | None,
    dedicated: Path | None,
    dedicated_datum: str | None,
    tolerance: float,
    as_json: bool,
    out: Sequence[Path],
    **options: Any,
) -> None:
    """Propose one net for several networks, in alternatives with what each would cost. Nothing is stored.

    \b
    Example:
      gridsvc networks unify 城管.gpkg 社会.gpkg 公安.gpkg --datum cgcs2000 --reference 社会 --people homes.csv \\
        --count population --households households --lines streets.gpkg --out unified.gpkg --out unified.xlsx
    """
    datum = options["datum"]
    homes = None if people is None else PeopleFile(people, people_datum or datum, count, households)
    if homes is None and (count or households):
        raise click.UsageError("--count and --households are columns of --people.")
    with read_sources(sources, **options) as read, progress(as_json) as shown:
        found = unify_networks(
            read.nets, reference=reference, tolerance_m=tolerance, people=homes, lines=lines, lines_datum=lines_datum or datum,
            dedicated=dedicated, dedicated_datum=dedicated_datum or datum, bounds=HouseholdBounds(*bounds), progress=shown,
        )  # fmt: skip
    give_report(found, ("costs", "changes", "sums"), as_json, out)


@contextmanager
def read_sources(
    sources: Sequence[str], *, datum: str | None, codes: Sequence[str], titles: Sequence[str], at: datetime
) -> Iterator[ReadSources]:
    """Yield the networks; the database is opened only when one of them is stored."""
    code, title = _columns("--code", codes), _columns("--name", titles)
    wanted = [_source(text, datum, code, title, at) for text in sources]
    if not any(isinstance(each, StoredSource) for each in wanted):
        yield ReadSources(read_networks(None, wanted), wanted, None)
        return
    with open_app() as app, app.unit_of_work() as uow:
        yield ReadSources(read_networks(uow, wanted), wanted, uow)


def _columns(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return columns by file; "" for all files."""
    columns: dict[str, str] = {}
    for text in texts:
        file, _, column = text.rpartition("=")
        if not column:
            raise click.BadParameter(f"{text!r} names no column", param_hint=option)
        columns[file] = column
    return columns


def _source(text: str, datum: str | None, codes: dict[str, str], titles: dict[str, str], at: datetime) -> Source:
    path = Path(text)
    stored = _STORED.fullmatch(text)
    if path.exists() or stored is None:
        file = path.name.split(".")[0]
        return FileSource(path, datum, codes.get(file, codes.get("")), titles.get(file, titles.get("")))
    network, division, instant = stored.groups()
    return StoredSource(network, division, at if instant is None else Instant().convert(instant, None, None), text)


def give_report(found: NetworkReport, shown: Sequence[str], as_json: bool, out: Sequence[Path]) -> None:
    """Write a report to files and print some of its tables, or all of them as JSON."""
    for path in out:
        found.write(path)
    if as_json:
        # missing values become null
        rows = {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in found.tables.items()
        }
        print_result(rows, True)
        return
    for name in shown:
        if name not in found.tables:
            continue
        table = found.tables[name]
        click.echo(f"\n{name}: {len(table)} rows" + (f", the first {_SHOWN}" if len(table) > _SHOWN else ""))
        if len(table):
            click.echo(text_of(narrow(name, table.head(_SHOWN))))
    for path in out:
        click.echo(f"\nwritten to {path}")
