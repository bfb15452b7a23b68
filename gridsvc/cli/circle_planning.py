"""``gridsvc circle site|gate|scenario``: where one more facility helps most, which gate to open, what would change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridsvc.bootstrap import open_app
from gridsvc.cli.circle_options import (
    as_json_option,
    chosen_standard,
    hour_option,
    profile_option,
    standard_file_option,
    walking_speed,
)
from gridsvc.cli.instants import at_option
from gridsvc.cli.terminal import print_result, progress

if TYPE_CHECKING:
    from gridsvc.services.circle_gates import GateRanking
    from gridsvc.services.circle_sandboxes import Walkers
    from gridsvc.services.circle_scenarios import ScenarioAnswer
    from gridsvc.services.circle_siting import SitingAnswer

Command = TypeVar("Command", bound=Callable[..., Any])
_SHOWN_ROWS = 20
_COUNTED = {"population": "people", "households": "households", "residences": "residences"}


def _planning_options(command: Command) -> Command:
    """Add what the three commands have in common: who walks, how far, what is counted, on which network."""
    for option in reversed(
        (
            click.option(
                "--minutes", type=float, help="Longest walk; default: that of the standard, else of the kind."
            ),
            click.option("--standard", help="The list that minutes are of, default gb50180-15."),
            standard_file_option,
            click.option("--speed", "speed_m_s", type=float, help="Walking speed in m/s; default 1.1."),
            profile_option,
            hour_option,
            click.option(
                "--weight",
                type=click.Choice(list(_COUNTED)),
                default="population",
                show_default=True,
                help="What is counted.",
            ),
            click.option("--network", "network_id", type=int, help="A stored walking network; default: the latest."),
        )
    ):
        command = option(command)
    return command


def _walkers(
    speed_m_s: float | None, profile: str | None, hour: float | None, weight: str, network_id: int | None
) -> Walkers:
    from gridsvc.services.circle_sandboxes import Walkers

    speed = walking_speed(profile, speed_m_s)
    return Walkers(1.1 if speed is None else speed, hour, weight, network_id)


@click.command()
@click.argument("code")
@click.option("--kind", "kind_code", required=True, help="Kind of facility; see gridsvc circle standards --kinds.")
@click.option("--sites", type=int, default=1, show_default=True, help="How many sites at most.")
@click.option("--share", type=float, help="Instead: as few sites as serve this share of all, such as 0.95.")
@click.option("--by-time", is_flag=True, help="Least time walked, instead of most people within the minutes.")
@click.option(
    "--method",
    type=click.Choice(["greedy", "exact"]),
    default="greedy",
    show_default=True,
    help="Quick with its bound, or proven by a solver.",
)
@click.option(
    "--exact-s",
    "time_limit_s",
    type=float,
    default=60.0,
    show_default=True,
    help="Seconds for the solver; then the best so far.",
)
@click.option(
    "--candidates",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of points (or columns lon, lat) to choose from; columns name, code and capacity are read. Needs --datum.",
)
@click.option("--datum", help="Datum of the file: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or file for what it says.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["streets", "residences"]),
    default="streets",
    show_default=True,
    help="Without a file: points along streets, or residences in which no such facility is.",
)
@click.option(
    "--spacing",
    "spacing_m",
    type=float,
    default=100.0,
    show_default=True,
    help="Points along streets are at most so many metres apart.",
)
@click.option("--capacity", type=float, help="How many each new facility can serve; default: any number.")
@_planning_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the sites to .xlsx, .csv, .geojson, .gpkg or .parquet.",
)
@at_option
@as_json_option
def site(
    code: str,
    kind_code: str,
    sites: int,
    share: float | None,
    by_time: bool,
    method: str,
    time_limit_s: float,
    path: Path | None,
    datum: str | None,
    source: str,
    spacing_m: float,
    capacity: float | None,
    minutes: float | None,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    hour: float | None,
    weight: str,
    network_id: int | None,
    out: Path | None,
    at: datetime,
    as_json: bool,
) -> None:
    """Find where facilities of a kind would help most in division CODE, above those that stand. Nothing is stored.

    \b
    Example:
      gridsvc circle site 420103 --kind J02 --sites 3 --out sites.xlsx
      gridsvc circle site 420103 --kind G1504 --method exact --candidates plots.gpkg --datum file
      gridsvc circle site 420103 --kind J02 --share 0.95 --profile elderly
    """
    from gridsvc.services.circle_siting import SitingWish, choose_sites, read_candidates
    from gridsvc.services.circle_siting_files import write_sites

    wish = SitingWish(
        kind_code=kind_code,
        minutes=minutes,
        sites=sites,
        share=share,
        by_time=by_time,
        method=method,
        candidates=source,
        spacing_m=spacing_m,
        capacity=capacity,
        time_limit_s=time_limit_s,
    )
    walkers = _walkers(speed_m_s, profile, hour, weight, network_id)
    places = None if path is None else read_candidates(path, datum)
    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        rules = chosen_standard(uow, standard, standard_file)
        found = choose_sites(uow, code, wish, at=at, walkers=walkers, standard=rules, places=places, progress=shown)
    if out is not None:
        write_sites(found, out)
    print_result(found, as_json=True) if as_json else _print_sites(found)


def _print_sites(found: SitingAnswer) -> None:
    facts = found.facts
    (kind,) = facts["kinds"].values()
    what = (
        "person-hours walked"
        if found.aim == "median"
        else f"{_COUNTED[facts['weight']]} within {kind['minutes']:g} min"
    )
    better = "none, proven" if found.is_proven else f"at most {found.gap:.2%} better"
    shares = "" if found.aim == "median" or not facts["total"] else _shares(found.before, found.after, facts["total"])
    print_result(
        {
            "kind": f"{kind['name']}, {kind['facilities']} there",
            "candidates": f"{found.candidates:,} ({found.candidates_from}), {found.candidates_without_street} without a street near",
            what: f"{found.before:,.0f} -> {found.after:,.0f}{shares}",
            "any other choice": better,
            "bound": f"{found.bound:,.0f}" + (" sites" if found.aim == "share" else ""),
            **_ground_lines(facts, found.seconds),
        },
        as_json=False,
    )
    if not found.sites:
        click.echo("No candidate would bring anything more: ask for fewer minutes (--minutes), or other candidates.")
        return
    print_result(
        [
            {
                "site": row.rank,
                "lon": f"{row.lon:.6f}",
                "lat": f"{row.lat:.6f}",
                "name": row.name,
                "community": f"{row.community_code} {row.community_name}".strip(),
                "brings": f"{row.gain:,.0f}",
                "share after": "" if row.share_after is None else f"{row.share_after:.1%}",
            }
            for row in found.sites
        ],
        as_json=False,
    )


def _shares(before: float, after: float, total: float) -> str:
    return f" of {total:,.0f} ({before / total:.1%} -> {after / total:.1%})"


def _ground_lines(facts: dict[str, Any], seconds: float) -> dict[str, str]:
    doubts = facts["doubts"]
    return {
        "walking speed": f"{facts['speed_m_s']:g} m/s",
        "network": f"snapshot {facts['walk_network_id']} of {facts['network_built_at'][:10]}",
        "doubtful": f"{doubts['residences_unattached']} residences and {doubts['facilities_unattached']} facilities without a street near, "
        f"{doubts['residences_without_population']} residences without people",
        "seconds": f"{seconds:.2f}",
    }


@click.command()
@click.argument("code")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="CODE",
    help="Facilities that count; repeatable; default: the required kinds.",
)
@_planning_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the gates to .xlsx, .csv, .geojson, .gpkg or .parquet.",
)
@at_option
@as_json_option
def gate(
    code: str,
    kinds: tuple[str, ...],
    minutes: float | None,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    hour: float | None,
    weight: str,
    network_id: int | None,
    out: Path | None,
    at: datetime,
    as_json: bool,
) -> None:
    """Rank closed gates and gaps in walls by the people of division CODE who would newly reach what they need. Nothing is stored.

    Each is looked at as if it alone were opened. With --hour, gates closed at that hour count as closed.

    \b
    Example:
      gridsvc circle gate 420103
      gridsvc circle gate 420103 --kind J02 --hour 23 --out gates.gpkg
    """
    from gridsvc.services.circle_gates import rank_gates
    from gridsvc.services.circle_siting_files import write_gates

    walkers = _walkers(speed_m_s, profile, hour, weight, network_id)
    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        rules = chosen_standard(uow, standard, standard_file)
        found = rank_gates(uow, code, kinds, at=at, walkers=walkers, standard=rules, minutes=minutes, progress=shown)
    if out is not None:
        write_gates(found, out)
    print_result(found, as_json=True) if as_json else _print_gates(found)


def _print_gates(found: GateRanking) -> None:
    counted = _COUNTED[found.facts["weight"]]
    print_result(
        {
            "closed gates and wall gaps": f"{found.gates:,}, of which {found.helpful:,} would help",
            **_ground_lines(found.facts, found.seconds),
        },
        as_json=False,
    )
    rows = [
        {
            "rank": row.rank,
            "gate": row.gate_code or "(wall gap)",
            "compound": row.compound_code,
            "lon": f"{row.lon:.6f}",
            "lat": f"{row.lat:.6f}",
            f"new {counted}": f"{row.gain:,.0f}",
            "then with all": f"{row.complete:,.0f}",
            "hours saved": f"{row.saved_hours:,.1f}",
            "kinds": " ".join(row.gain_by_kind),
        }
        for row in found.ranked[:_SHOWN_ROWS]
    ]
    print_result(rows, as_json=False)
    if len(found.ranked) > _SHOWN_ROWS:
        click.echo(f"{len(found.ranked):,} gates; --json or --out lists all")


@click.command()
@click.argument("code")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="CODE",
    help="Facilities that count; repeatable; default: the required kinds, and those that are added.",
)
@_planning_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write who walks another time to .xlsx (with communities and kinds), .csv, .geojson, .gpkg or .parquet.",
)
@at_option
@as_json_option
def scenario(
    code: str,
    file: Path,
    kinds: tuple[str, ...],
    minutes: float | None,
    standard: str | None,
    standard_file: Path | None,
    speed_m_s: float | None,
    profile: str | None,
    hour: float | None,
    weight: str,
    network_id: int | None,
    out: Path | None,
    at: datetime,
    as_json: bool,
) -> None:
    """Say what the changes in FILE would do to the walks of division CODE: facilities, gates, paths. Nothing is stored.

    FILE is JSON: {"datum": "wgs84", "changes": [...]}; the changes are in docs/how-to/circle.md.

    \b
    Example:
      gridsvc circle scenario 420103 plan.json
      gridsvc circle scenario 420103 plan.json --kind J02 --out before_after.xlsx
    """
    from gridsvc.formats.json_files import read_json_file
    from gridsvc.services.circle_scenarios import run_scenario
    from gridsvc.services.circle_siting_files import write_scenario
    from gridsvc.web.api.circle_planning import ScenarioChanges
    from gridsvc.web.routing import validate

    asked = validate(ScenarioChanges, read_json_file(file), where=file.name)
    walkers = _walkers(speed_m_s, profile, hour, weight, network_id)
    with progress(silent=as_json) as shown, open_app() as app, app.unit_of_work() as uow:
        found = run_scenario(
            uow,
            code,
            asked.wanted(),
            datum=asked.datum,
            at=at,
            walkers=walkers,
            kinds=kinds,
            standard=chosen_standard(uow, standard, standard_file),
            minutes=minutes,
            progress=shown,
        )
    if out is not None:
        write_scenario(found, out)
    print_result(found, as_json=True) if as_json else _print_scenario(found)


def _print_scenario(found: ScenarioAnswer) -> None:
    counted = _COUNTED[found.facts["weight"]]
    print_result(
        {
            "changes": "; ".join(found.changes),
            f"{counted} with all kinds": f"{found.complete_before:,.0f} -> {found.complete_after:,.0f} of {found.total:,.0f}",
            f"{counted} who walk less": f"{found.nearer:,.0f}",
            f"{counted} who walk more": f"{found.farther:,.0f}",
            **_ground_lines(found.facts, found.seconds),
        },
        as_json=False,
    )
    print_result(
        [
            {
                "kind": row.kind_code,
                "name": row.kind_name,
                "minutes": f"{row.minutes:g}",
                "before": f"{row.before:,.0f}",
                "after": f"{row.after:,.0f}",
                "change": f"{row.after - row.before:+,.0f}",
            }
            for row in found.kinds
        ],
        as_json=False,
    )
    communities = [
        {
            "community": row.community_code or "(none)",
            "name": row.community_name,
            counted: f"{row.total:,.0f}",
            "with all": f"{row.complete_before:,.0f} -> {row.complete_after:,.0f}",
            "kinds": ", ".join(f"{kind} {after - before:+,.0f}" for kind, (before, after) in row.kinds.items()),
        }
        for row in found.communities[:_SHOWN_ROWS]
    ]
    print_result(communities, as_json=False)
    if len(found.communities) > _SHOWN_ROWS:
        click.echo(f"{len(found.communities):,} communities; --json or --out lists all")
