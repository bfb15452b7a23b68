"""``gridsvc serve``: the web server in the foreground."""

from __future__ import annotations

import os

import click

from gridsvc import log
from gridsvc.bootstrap import ending_in_order
from gridsvc.settings import Settings, read_settings


@click.command()
@click.option("--host", help="Address to listen on; default: GRIDSVC_HOST.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for any free one; default: GRIDSVC_PORT."
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; default: GRIDSVC_WORKERS.")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Start the web server and keep it running until Ctrl-C or SIGTERM.

    The embedded database is started with it, and started again should it die.

    \b
    Example:
      gridsvc serve --port 8080
    """
    given = {"GRIDSVC_HOST": host, "GRIDSVC_PORT": port, "GRIDSVC_WORKERS": workers}
    # through the settings' own reader, since others follow from them (anonymous requests only on loopback)
    run_server(
        read_settings({**os.environ, **{name: str(value) for name, value in given.items() if value is not None}})
    )


def run_server(settings: Settings) -> None:
    """Serve with ``settings`` until told to end; status 0 then, also while it still starts."""
    with ending_in_order(status=0):
        from gridsvc.web.server import serve as serve_web  # takes seconds

        log.configure(settings.log_level)
        serve_web(settings, announce=lambda address: click.echo(f"gridsvc is at {address} (Ctrl-C ends it)"))
