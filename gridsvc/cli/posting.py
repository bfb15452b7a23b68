"""``gridsvc post``: the reports of a file posted to a server, through an outbox that can be resumed."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import click

from gridsvc.cli.importing import option_mapping
from gridsvc.cli.terminal import print_result, progress
from gridsvc.client import Client, Outbox, Refused, Unreachable
from gridsvc.errors import DatabaseUnavailableError, ForbiddenError, ImportRefusedError, RequestInvalidError
from gridsvc.services.posting_files import read_postable
from gridsvc.settings import Settings, read_settings
from gridsvc.web.server import address_url

_SHOWN = 20


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to", "url", default=None, help="Address of the server; default: the one of GRIDSVC_HOST and GRIDSVC_PORT."
)
@click.option("--datum", default=None, help="Datum of the positions: wgs84, cgcs2000, gcj02, bd09, or file.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="HEADER=FIELD",
    callback=option_mapping,
    help="Header that means a field.",
)
@click.option("--timezone", default=None, help="Zone of times without offset, such as Asia/Shanghai.")
@click.option("--encoding", default=None, help="Encoding of the texts; default: what the file states, else UTF-8.")
@click.option("--layer", default=None, help="Layer of a GeoPackage, sheet of an XLSX.")
@click.option(
    "--source",
    type=click.Choice(["field_app", "hotline", "sensor", "video", "department", "media"]),
    default=None,
    help="Source of rows that state none.",
)
@click.option("--batch", type=click.IntRange(1, 1000), default=200, show_default=True, help="Reports posted together.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Most reports a second; default: as fast as it goes.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="Seconds to go on trying when the server does not answer.",
)
@click.option(
    "--outbox",
    "outbox_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File that keeps what is not acknowledged yet; default: in GRIDSVC_VAR, by file and server.",
)
@click.option("--partial", is_flag=True, help="Post the good rows when others have faults.")
@click.option("--dry-run", is_flag=True, help="Read and check the file only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def post(
    file: Path,
    url: str | None,
    datum: str | None,
    mapping: dict[str, str],
    timezone: str | None,
    encoding: str | None,
    layer: str | None,
    source: str | None,
    batch: int,
    rate: float | None,
    patience: float,
    outbox_path: Path | None,
    partial: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Post the reports of FILE (NDJSON, CSV, XLSX, GeoJSON ... or a data set folder) to a running server.

    What was acknowledged is never posted twice: stopped or broken off, the same command goes on where it was. The token comes from
    GRIDSVC_TOKEN. Exit 0: the server has all of them; 1: some were refused, or the server did not answer.

    \b
    Example:
      gridsvc post 12345.csv --datum gcj02 --timezone Asia/Shanghai --source hotline
      gridsvc post reports.ndjson --to https://grid.example.cn --batch 500 --rate 50
    """  # fmt: skip
    settings = read_settings()
    url = url or address_url(settings.host, settings.port)
    found = read_postable(
        file, datum=datum, mapping=mapping, timezone=timezone, encoding=encoding, layer=layer, source=source
    )
    if found.faults and not (partial and found.bodies):
        raise ImportRefusedError(
            f"{found.name} was refused: {len({f.row for f in found.faults})} rows have faults; nothing was posted.",
            rows=found.faults,
            hint="Mend them, or post the good rows with --partial.",
        )
    if dry_run:
        print_result({"file": found.name, "reports": len(found.bodies), "rows_refused": _rows(found.faults)}, as_json)
        return
    try:
        client = Client(url, settings.token, patience_s=patience)
    except ValueError as wrong:
        raise RequestInvalidError(
            f"--to {url!r} is not the address of a server.", hint="Example: http://127.0.0.1:8000."
        ) from wrong
    path = outbox_path or _outbox_path(settings, file, url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with client, Outbox(path, client) as outbox:
        result = _send(outbox, found.bodies, batch, rate, as_json)
        refusals = outbox.refusals()
    summary = {
        "file": found.name,
        "server": url,
        "reports": len(found.bodies),
        "rows_refused": _rows(found.faults),
        **result,
        "outbox": str(path),
    }
    if as_json:
        summary["refusals"] = [{"report_id": i, "problem": problem} for i, problem in refusals]
    print_result(summary, as_json)
    if refusals:
        _show(refusals)
        sys.exit(1)


def _send(outbox: Outbox, bodies: list[dict[str, Any]], batch: int, rate: float | None, silent: bool) -> dict[str, Any]:
    with progress(silent=silent) as shown:
        shown.start("keeping the reports in the outbox", len(bodies))
        before = outbox.counts()["reports_sent"]
        try:
            for i in range(0, len(bodies), 1000):
                outbox.put_many((body, ()) for body in bodies[i : i + 1000])
                shown.advance(len(bodies[i : i + 1000]))
        except ValueError as changed:
            raise RequestInvalidError(
                f"The file is not the one of the outbox: {changed}.", hint="Name another --outbox."
            ) from changed
        waiting = outbox.counts()["reports_waiting"]
        shown.start("posting", waiting)
        begun = time.monotonic()
        try:
            sent = outbox.send(batch=batch, rate=rate, told=shown.advance)
        except Unreachable as silence:
            left = outbox.counts()["reports_waiting"]
            raise DatabaseUnavailableError(
                f"{silence} {left} of {len(bodies)} reports still wait.", hint="The same command goes on where it was."
            ) from silence
        except Refused as refused:
            raise ForbiddenError(
                f"The server does not take reports from here: {refused}", hint="Check GRIDSVC_TOKEN and --to."
            ) from refused
        seconds = time.monotonic() - begun
    return {
        "sent_before": min(before, len(bodies)),
        "created": sent.created, "repeated": sent.repeated, "refused": sent.refused, "problems": sent.problems, "waiting": sent.waiting,
        "seconds": round(seconds, 1), "reports_per_s": round((sent.created + sent.repeated + sent.refused) / seconds, 1) if seconds else None,
    }  # fmt: skip


def _rows(faults: list) -> int:
    return len({fault.row for fault in faults})


def _outbox_path(settings: Settings, file: Path, url: str) -> Path:
    """Return the outbox of this file and server, the same in every run."""
    key = hashlib.sha256(f"{file.resolve()}\n{url}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return settings.var_dir / "outbox" / f"{file.stem or 'reports'}-{key}.sqlite3"


def _show(refusals: list[tuple[str, dict[str, Any]]]) -> None:
    click.echo(f"gridsvc: the server refused {len(refusals)} reports; they stay in the outbox.", err=True)
    for report_id, problem in refusals[:_SHOWN]:
        click.echo(f"  {report_id}: {problem.get('code', 'unknown')}: {problem.get('detail', '')}", err=True)
    if len(refusals) > _SHOWN:
        click.echo(f"  ... and {len(refusals) - _SHOWN} more; --json lists all", err=True)
