"""Instants as command-line options."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from gridsvc.cli.terminal import now
from gridsvc.settings import read_settings


class Instant(click.ParamType):
    """An ISO 8601 date or date and time; without an offset it is meant in GRIDSVC_TIMEZONE."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return an aware datetime, or fail with an example."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date or time; example: 2026-01-01 or 2026-01-01T08:00:00+08:00", param, ctx)
        return instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo(read_settings().timezone))


at_option = click.option(
    "--at", type=Instant(), default=now, help="Instant that is meant, such as 2026-01-01. Default: now."
)
