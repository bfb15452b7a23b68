"""``gridsvc synth``: make a realistic town, or complete a real district."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from gridsvc.cli.terminal import print_result, progress
from gridsvc.errors import DatumMissingError
from gridsvc.services.synthesising import complete_real_district, synthesise_to_folder
from gridsvc.settings import read_settings

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--scale",
    type=click.Choice(["street", "district", "city"]),
    help="Make up a town: about 5, 110 or 7,000 communities.",
)
@click.option(
    "--streets",
    type=_FILE,
    help="Real streets: GeoParquet, GeoJSON(.gz), GeoPackage or Shapefile with a highway column, or an OSM PBF extract.",
)
@click.option("--boundary", type=_FILE, help="Real boundary of the district.")
@click.option("--datum", help="Datum of the boundary: wgs84, cgcs2000, gcj02 or bd09.")
@click.option("--streets-datum", help="Datum of the streets, where the file does not carry its CRS.")
@click.option(
    "--divisions", type=_FILE, help="Codes and names of divisions: CSV(.gz) or XLSX with columns code and name."
)
@click.option("--district", help="Code of the district to complete, 6 digits.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same bytes."
)
@click.option("--as-of", default="2026-01-01", show_default=True, help="Day from which divisions hold and reports run.")
@click.option(
    "--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes for --scale city."
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def synth(
    scale: str | None,
    streets: Path | None,
    boundary: Path | None,
    datum: str | None,
    streets_datum: str | None,
    divisions: Path | None,
    district: str | None,
    seed: int,
    as_of: str,
    processes: int,
    out: Path,
    as_json: bool,
) -> None:
    """Make a realistic town, or complete a real district, as a data set folder for gridsvc demo.

    Either --scale, or all of --streets, --boundary, --datum, --divisions and --district. Real input is taken as it is; only
    what is missing is made.

    \b
    Examples:
      gridsvc synth --scale street --seed 1 --out /tmp/town
      gridsvc synth --streets streets.parquet --boundary districts.geojson.gz --datum gcj02 \\
        --divisions divisions.csv.gz --district 420103 --out /tmp/jianghan
    """
    real = {"--streets": streets, "--boundary": boundary, "--divisions": divisions, "--district": district}
    given = [name for name, value in real.items() if value is not None]
    if bool(scale) == bool(given):
        raise click.UsageError("Give either --scale, or --streets, --boundary, --datum, --divisions and --district.")
    if given and len(given) < len(real):
        raise click.UsageError(
            f"{', '.join(n for n in real if n not in given)} missing: a real district needs {', '.join(real)}."
        )
    instant = _instant(as_of)
    with progress(silent=as_json) as shown:
        if scale:
            rows = synthesise_to_folder(out, scale=scale, seed=seed, as_of=instant, processes=processes, progress=shown)
        else:
            assert streets is not None and boundary is not None and divisions is not None and district is not None
            if not datum:
                raise DatumMissingError(
                    "--datum is missing: the boundary's positions come without a datum.",
                    hint="Declare one of wgs84, cgcs2000, gcj02, bd09.",
                    field="--datum",
                )
            rows = complete_real_district(
                out,
                streets=streets,
                boundary=boundary,
                divisions=divisions,
                district=district,
                datum=datum,
                streets_datum=streets_datum,
                seed=seed,
                as_of=instant,
                progress=shown,
            )
    print_result({"folder": str(out), **rows}, as_json)


def _instant(text: str) -> datetime:
    """Return local midnight of a date, or an instant given with its offset."""
    zone = ZoneInfo(read_settings().timezone)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no date such as 2026-01-01.", param_hint="--as-of") from error
    # an offset by number, so that the written text does not depend on the name of a zone
    local = instant.replace(tzinfo=zone) if instant.tzinfo is None else instant
    offset = local.utcoffset()
    return (
        local if offset is None else datetime.fromisoformat(local.astimezone(UTC).astimezone(local.tzinfo).isoformat())
    )
