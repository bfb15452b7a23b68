"""Options that several of the ``gridsvc circle`` commands take, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gridsvc.circle.coverage import CircleStandard
    from gridsvc.store.unit_of_work import UnitOfWork

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
speed_option = click.option(
    "--speed",
    "speed_m_s",
    type=float,
    default=1.1,
    show_default=True,
    help="Walking speed in m/s; elderly 0.8, adults 1.2.",
)
hour_option = click.option(
    "--hour",
    type=float,
    help="Hour of the day, 0 up to 24, whose gates are open; default: all that are not closed for good.",
)
profile_option = click.option(
    "--profile",
    type=click.Choice(["planning", "adult", "elderly", "frail"]),
    help="Who walks, instead of --speed: planning 1.1 m/s, adult 1.2, elderly 0.8, frail (child, wheelchair) 0.7.",
)
some_speed_option = click.option(
    "--speed", "speed_m_s", type=float, help="Walking speed in m/s; default: 1.1, of stored runs any."
)
standard_file_option = click.option(
    "--standard-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own list of kinds, JSON or CSV, instead of --standard; see docs/how-to/circle.md.",
)


def walking_speed(profile: str | None, speed_m_s: float | None) -> float | None:
    """Return the speed of --profile or --speed; None without either."""
    from gridsvc.circle.travel_times import WALKER_SPEEDS_M_S

    if profile is None:
        return speed_m_s
    if speed_m_s is not None:
        raise click.UsageError("Give --profile or --speed, not both.")
    return WALKER_SPEEDS_M_S[profile]


def chosen_standard(uow: UnitOfWork, standard: str | None, path: Path | None) -> str | CircleStandard | None:
    """Return the list of --standard-file, or the id of --standard; None without either."""
    from gridsvc.services.circle_files import read_own_standard

    if path is None:
        return standard
    if standard is not None:
        raise click.UsageError("Give --standard or --standard-file, not both.")
    return read_own_standard(uow, path)


def stored_standard(uow: UnitOfWork, standard: str | None, path: Path | None) -> str | None:
    """Return the id of the standard whose stored runs are meant; None: any."""
    chosen = chosen_standard(uow, standard, path)
    return chosen if chosen is None or isinstance(chosen, str) else chosen.standard_id
