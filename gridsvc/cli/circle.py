"""``gridsvc circle``: walking networks, service circles, isochrones, gaps; what planners ask is in ``circle_planning.py``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.circle_options import (
    as_json_option,
    chosen_standard,
    hour_option,
    profile_option,
    some_speed_option,
    speed_option,
    standard_file_option,
    stored_standard,
    walking_speed,
)
from gridsvc.cli.circle_planning import gate, scenario, site
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result, progress
from gridsvc.settings import read_settings

if TYPE_CHECKING:
    from gridsvc.services.circle_gaps import CircleGaps
    from gridsvc.services.circles import CircleResult

by_option = click.option(
    "--by",
    type=click.Choice(["district", "street", "community", "grid", "residence"]),
    help="Also by these places; grids are governance grids.",
)
_SHOWN_ROWS = 20


@click.group()
def circle() -> None:
    """Walking network, 15-minute service circle, isochrones, gaps; where to build, which gate to open, what if.

    \b
    Example:
      gridsvc circle coverage 420103
    """


circle.add_command(site)
circle.add_command(gate)
circle.add_command(scenario)


def _penalties(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    penalties = {}
    for value in values:
        passage, _, seconds = value.partition("=")
        try:
            penalties[passage.strip()] = float(seconds)
        except ValueError as wrong:
            raise click.BadParameter(f"{value!r} is not PASSAGE=SECONDS; example: overpass=60") from wrong
    return penalties


@circle.command()
@click.argument("code")
@click.option(
    "--penalty",
    "penalties",
    multiple=True,
    callback=_penalties,
    metavar="PASSAGE=SECONDS",
    help="Seconds of a signal_crossing, overpass, underpass, steps or elevator, instead of data/walk_penalties.csv; repeatable.",
)
@click.option("--no-penalties", is_flag=True, help="Count metres only.")
@click.option("--trunk", is_flag=True, help="Walk along trunk roads, too.")
@click.option(
    "--join-m", type=float, default=0.5, show_default=True, help="Join a street that ends this near another, 0 to 5 m."
)
@click.option(
    "--join-crossings",
    is_flag=True,
    help="Let streets of one layer that cross meet there, for files without common vertices.",
)
@at_option
@as_json_option
def build(
    code: str,
    penalties: dict[str, float],
    no_penalties: bool,
    trunk: bool,
    join_m: float,
    join_crossings: bool,
    at: datetime,
    as_json: bool,
) -> None:
    """Build the walking network of division CODE and its surroundings from the stored streets, walls and gates.

    What has not changed gives the snapshot that is there.

    \b
    Example:
      gridsvc circle build 420103
      gridsvc circle build 420103 --penalty signal_crossing=60 --trunk
    """
    from gridsvc.services.circles import build_network
    from gridsvc.services.walk_networks import BuildOptions

    options = BuildOptions(penalties, not no_penalties, trunk, join_m, join_crossings)
    with open_app() as app, app.unit_of_work() as uow:
        result = build_network(uow, code, at, options=options)
        uow.commit()
    print_result(result, as_json)


@circle.command()
@click.argument("code")
@click.option(
    "--standard",
    help="Which facilities in how many minutes, default gb50180-15; see gridsvc circle standards.",
)
@standard_file_option
@some_speed_option
@profile_option
@click.option(
    "--limit", "limit_s", type=float, default=900.0, show_default=True, help="Longest walk looked for, in seconds."
)
@hour_option
@by_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the places (of --by, default community) to .xlsx, .csv or .gpkg; the last with the gaps.",
)
@at_option
@as_json_option
def coverage(
    code: str,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    limit_s: float,
    hour: float | None,
    by: str | None,
    out: Path | None,
    at: datetime,
    as_json: bool,
) -> None:
    """Compute the service circle of division CODE, store it, and print who reaches what.

    \b
    Example:
      gridsvc circle coverage 420103
      gridsvc circle coverage 420103 --standard beijing-convenience --profile elderly --json
      gridsvc circle coverage 420103 --standard-file own.csv --by street --out streets.xlsx
    """
    from gridsvc.services.circle_files import write_coverage_table
    from gridsvc.services.circle_places import cover_places, place_rows
    from gridsvc.services.circles import DEFAULT_STANDARD, run_circle

    speed = walking_speed(profile, speed_m_s) or 1.1
    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        rules = chosen_standard(uow, standard, standard_file) or DEFAULT_STANDARD
        result = run_circle(
            uow, code, at=at, standard=rules, speed_m_s=speed, limit_s=limit_s, hour=hour, progress=shown
        )
        if out is not None:
            write_coverage_table(uow, code, out, by=by or "community", standard=result.standard, speed_m_s=speed)
        places = (
            [] if by is None else place_rows(cover_places(uow, code, by=by, standard=result.standard, speed_m_s=speed))
        )
        uow.commit()
    if as_json:
        print_result(asdict(result) | ({} if by is None else {"by": by, "places": places}), as_json=True)
        return
    _print_coverage(result)
    if by is not None:
        _print_places(places)


def _print_places(places: list[dict[str, Any]]) -> None:
    rows = [
        {
            "place": place["place_code"] or "(none)",
            "name": place["name"],
            "people": f"{place['population']:,}",
            "with all": _percent(place["complete_share"]),
            "homes": _percent(place["complete_household_share"]),
            "complied": _percent(place["compliance"]),
            "ok": {True: "yes", False: "no", None: "-"}[place["is_qualified"]],
        }
        for place in places[:_SHOWN_ROWS]
    ]
    print_result(rows, as_json=False)
    if len(places) > _SHOWN_ROWS:
        click.echo(f"{len(places):,} places; --json or --out lists all")


@circle.command()
@click.option("--kinds", is_flag=True, help="List the facility kinds of each standard instead.")
@as_json_option
def standards(kinds: bool, as_json: bool) -> None:
    """List the standards a coverage can be computed by, with their sources.

    \b
    Example:
      gridsvc circle standards
      gridsvc circle standards --kinds
    """
    from gridsvc.services.circles import circle_standards

    if kinds:
        print_result(_standard_kinds(), as_json)
        return
    rows = [
        {
            "standard": rules.standard_id,
            "name": rules.name_zh,
            "kinds": len(rules.kinds),
            "required": int(rules.required.sum()),
            "verified": rules.is_verified,
            "source": rules.source,
        }
        for rules in circle_standards().values()
    ]
    print_result(rows, as_json)


def _standard_kinds() -> list[dict[str, Any]]:
    from gridsvc.services.circles import circle_standards, kind_names

    names = kind_names()
    return [
        {
            "standard": rules.standard_id,
            "kind": kind.code,
            "name": names[kind.code],
            "group": kind.group,
            "minutes": f"{kind.minutes:g}",
            "required": kind.required,
            "verified": kind.is_verified,
        }
        for rules in circle_standards().values()
        for kind in rules.kinds
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _print_coverage(result: CircleResult) -> None:
    found = result.coverage
    doubts = result.doubts
    print_result(
        {
            "standard": result.standard,
            "kinds not verified": f"{len(doubts.unverified_kinds)} of {result.kinds}",
            "walking speed": f"{result.speed_m_s:g} m/s",
            "network": f"{result.nodes:,} nodes, {result.edges:,} edges (snapshot {result.walk_network_id})",
            "residences": f"{result.residences:,} with {result.population:,} people",
            "facilities": f"{result.facilities:,} of {result.kinds} kinds",
            "people with all required kinds": _percent(found.complete_share),
            "qualified communities": f"{result.qualified_communities} of {result.communities} ({_percent(found.community_share)})",
            "kinds without any facility": ", ".join(doubts.kinds_without_facilities) or "none",
            "residences without entrance": doubts.residences_without_entrance,
            "residences from a gate": doubts.residences_from_gate,
            "residences without street near": f"{doubts.residences_unattached} ({_percent(doubts.unattached_people_share)} of the people)",
            "facilities of unknown date": doubts.facilities_of_unknown_date,
            "seconds": f"{result.seconds:.2f}",
        },
        as_json=False,
    )
    print_result(
        [
            {
                "kind": kind.code,
                "minutes": f"{kind.minutes:g}",
                "required": "yes" if kind.required else "",
                "facilities": kind.facilities,
                "people": _percent(kind.population_share),
                "households": _percent(kind.household_share),
            }
            for kind in found.kinds
        ],
        as_json=False,
    )


@circle.command()
@click.argument("code")
@click.option("--standard", help="Latest run by this standard; default: by any.")
@standard_file_option
@some_speed_option
@profile_option
@by_option
@click.option("--kind", "kinds", multiple=True, metavar="CODE", help="With --out: areas of this kind only; repeatable.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the areas where people lack a kind to .geojson or .gpkg.",
)
@at_option
@as_json_option
def gaps(
    code: str,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    by: str | None,
    kinds: tuple[str, ...],
    out: Path | None,
    at: datetime,
    as_json: bool,
) -> None:
    """List the communities and residences of division CODE that lack required kinds, from the latest coverage run.

    With --by, the places where fewer than 90 % of the people have everything; with --out, areas with the people in them.

    \b
    Example:
      gridsvc circle gaps 420103
      gridsvc circle gaps 420103001001 --json
      gridsvc circle gaps 420103 --kind J02 --out no_shop.geojson
    """
    from gridsvc.services.circle_files import write_gap_areas
    from gridsvc.services.circle_gaps import list_gaps
    from gridsvc.services.circle_places import cover_places, place_rows

    speed = walking_speed(profile, speed_m_s)
    if kinds and out is None:
        raise click.UsageError("--kind chooses areas to write; give --out, too.")
    with open_app() as app, app.unit_of_work() as uow:
        chosen = stored_standard(uow, standard, standard_file)
        if out is not None:
            print_result(write_gap_areas(uow, code, out, standard=chosen, speed_m_s=speed, kinds=kinds), as_json)
            return
        if by is not None:
            rows = place_rows(cover_places(uow, code, by=by, standard=chosen, speed_m_s=speed))
            lacking = [row for row in rows if row["is_qualified"] is False]
            print_result(lacking, as_json=True) if as_json else _print_places(lacking)
            return
        found = list_gaps(uow, code, at=at, standard=chosen, speed_m_s=speed)
    if as_json:
        print_result(found, as_json=True)
    else:
        _print_gaps(found)


@circle.command()
@click.argument("code")
@click.option("--standard", help="Latest run by this standard; default: by any.")
@standard_file_option
@some_speed_option
@profile_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="HTML file to write; it loads nothing.",
)
@as_json_option
def certificate(
    code: str,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write the life-circle certificate of community CODE from the latest coverage run: one page, Chinese and English.

    \b
    Example:
      gridsvc circle certificate 420103001001 --out certificate.html
    """
    from gridsvc.services.circle_certificates import write_certificate

    speed = walking_speed(profile, speed_m_s)
    zone = read_settings().timezone
    with open_app() as app, app.unit_of_work() as uow:
        chosen = stored_standard(uow, standard, standard_file)
        written = write_certificate(uow, code, out, standard=chosen, speed_m_s=speed, timezone=zone)
    print_result(written, as_json)


def _print_gaps(found: CircleGaps) -> None:
    def named(kinds: tuple[str, ...]) -> str:
        return "、".join(found.kinds[kind] for kind in kinds[:4]) + (f" +{len(kinds) - 4}" if len(kinds) > 4 else "")

    zone = ZoneInfo(read_settings().timezone)
    click.echo(f"run {found.circle_run_id}, {found.standard}, {found.ran_at.astimezone(zone):%Y-%m-%d}")
    without = sorted(found.people_without.items(), key=lambda item: (-item[1], item[0]))
    print_result(
        [{"kind": kind, "name": found.kinds[kind], "people without": people} for kind, people in without], as_json=False
    )
    communities = [
        {
            "community": gap.community_code,
            "name": gap.name,
            "people": gap.population,
            "with all": _percent(gap.complete_share),
            "lacking": named(gap.lacking),
        }
        for gap in found.communities[:_SHOWN_ROWS]
    ]
    print_result(communities, as_json=False)
    click.echo(
        f"{len(found.communities)} communities and {len(found.residences):,} residences lack something; --json lists all"
    )


@circle.command()
@click.argument("lon", type=float)
@click.argument("lat", type=float)
@click.option("--datum", required=True, help="Datum of the position: wgs84, cgcs2000, gcj02 or bd09.")
@click.option("--minutes", default="5,10,15", show_default=True, help="Limits, with commas between.")
@speed_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="GeoJSON file to write; default: print areas only."
)
@hour_option
@at_option
@as_json_option
def isochrone(
    lon: float,
    lat: float,
    datum: str,
    minutes: str,
    speed_m_s: float,
    out: Path | None,
    hour: float | None,
    at: datetime,
    as_json: bool,
) -> None:
    """Compute where one gets to on foot from a position; polygons in CGCS2000 lon lat (equal to WGS 84).

    \b
    Example:
      gridsvc circle isochrone 114.27 30.60 --datum wgs84 --out walk.geojson
    """
    from gridsvc.services.circles import isochrone_features, isochrones_of, walk_start

    with open_app() as app, app.unit_of_work() as uow:
        start = walk_start(uow, lon, lat, datum, at=at, hour=hour)
    areas = isochrones_of(start, _minutes(minutes), speed_m_s=speed_m_s)
    collection = isochrone_features(areas, speed_m_s)
    if out is not None:
        out.write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")
    if as_json:
        print_result(collection, as_json=True)
    else:
        print_result([feature["properties"] for feature in collection["features"]], as_json=False)


def _minutes(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as wrong:
        raise click.BadParameter(f"{text!r} is no list of minutes; example: 5,10,15", param_hint="--minutes") from wrong
