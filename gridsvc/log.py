"""Logging, configured once by the entry points."""

from __future__ import annotations

import logging


def configure(level: str = "INFO") -> None:
    """Send log records of ``level`` and above to standard error, one line each with time, level and logger."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.captureWarnings(True)
