"""Settings: read from ``GRIDSVC_*`` once at start-up, checked here, passed down as arguments.

Each setting is data (name, default, unit, help) so that the documentation can be compared with the code by a test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gridsvc.errors import SettingError
from gridsvc.resources import checkout_dir


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: environment name, default as text, unit ("" if none), one line of help."""

    name: str
    default: str
    unit: str
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "GRIDSVC_DATABASE_URL",
        "",
        "",
        "Any PostGIS as postgresql://user:password@host/db; empty uses the embedded server.",
    ),
    Setting(
        "GRIDSVC_VAR",
        "",
        "path",
        "Folder for the embedded database, logs and files; default var/ in the checkout, else ~/.gridsvc.",
    ),
    Setting("GRIDSVC_HOST", "127.0.0.1", "", "Address the web server listens on."),
    Setting("GRIDSVC_PORT", "8000", "", "Port the web server listens on."),
    Setting("GRIDSVC_WORKERS", "2", "processes", "Web server processes."),
    Setting("GRIDSVC_STREAMS", "32", "streams", "Live streams of events that one server process holds open at once."),
    Setting(
        "GRIDSVC_EVENTS_KEPT", "1000000", "events", "Events kept for streams that resume; older ones are forgotten."
    ),
    Setting(
        "GRIDSVC_ANONYMOUS",
        "auto",
        "",
        "Whether requests without a token may read and report: on, off, or auto (on only when listening on loopback).",
    ),
    Setting("GRIDSVC_MAX_BODY_BYTES", "2097152", "bytes", "Largest request body accepted; larger ones get 413."),
    Setting(
        "GRIDSVC_MAX_BATCH_BYTES",
        "8388608",
        "bytes",
        "Largest body of a batch of reports, as sent and unpacked; larger ones get 413.",
    ),
    Setting(
        "GRIDSVC_REPORTS_PER_MINUTE",
        "6000",
        "per minute",
        "Reports and photos one caller may post in the long run; more get 429. 0: no limit.",
    ),
    Setting(
        "GRIDSVC_NEAREST_GRID_M",
        "20",
        "m",
        "A position that no grid holds is given the nearest grid of its community within this distance; 0 for none.",
    ),
    Setting(
        "GRIDSVC_AUTO_ROUTE_ODDS",
        "0.9",
        "",
        "Odds, from 0 to 1, that a grid must have under the stated accuracy for a position to be routed without a person looking.",
    ),
    Setting("GRIDSVC_LOCALE", "zh_Hans_CN", "", "Language when the user has chosen none: zh_Hans_CN or en."),
    Setting("GRIDSVC_TIMEZONE", "Asia/Shanghai", "", "Time zone of calendars and of times shown."),
    Setting("GRIDSVC_LOG_LEVEL", "INFO", "", "DEBUG, INFO, WARNING or ERROR."),
    Setting("GRIDSVC_SECRET_KEY", "", "", "Key that signs session cookies; made and kept in GRIDSVC_VAR when empty."),
    Setting("GRIDSVC_TOKEN", "", "", "Token that `gridsvc post` signs in with at the server it posts to."),
    Setting(
        "GRIDSVC_PHOTOS",
        "",
        "path or URL",
        "Where photos are kept: a folder, or s3://bucket/prefix with gridsvc[s3]; default photos/ in GRIDSVC_VAR.",
    ),
    Setting("GRIDSVC_PHOTO_MAX_BYTES", "16777216", "bytes", "Largest photo accepted; larger ones get 413."),
    Setting("GRIDSVC_PHOTO_MAX_PIXELS", "64000000", "pixels", "Largest width x height of a photo accepted."),
    Setting("GRIDSVC_PHOTO_MAX_SIDE", "4096", "pixels", "Photos are kept with their longer side scaled down to this."),
    Setting("GRIDSVC_PHOTOS_PER_REPORT", "20", "photos", "Photos a report may have."),
    Setting(
        "GRIDSVC_PHOTO_EXIF",
        "drop",
        "",
        "What the camera noted that is kept as columns: drop (nothing), time, or time-and-position.",
    ),
    Setting(
        "GRIDSVC_PHOTO_REUSE_BITS",
        "6",
        "bits",
        "Fingerprints of photos (64 bits) that differ in no more are taken for one photo used again; at most 7.",
    ),
    Setting("GRIDSVC_UPLOAD_HOURS", "24", "hours", "How long an unfinished upload is kept after its last piece."),
    Setting(
        "GRIDSVC_REAL_DATA",
        "",
        "path",
        "Folder of real data for tests and benchmarks; default ../shared/data if there.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, checked. Paths are absolute."""

    database_url: str
    var_dir: Path
    host: str
    port: int
    workers: int
    streams: int
    events_kept: int
    anonymous: bool
    max_body_bytes: int
    max_batch_bytes: int
    reports_per_minute: int
    nearest_grid_m: float
    auto_route_odds: float
    locale: str
    timezone: str
    log_level: str
    secret_key: str
    photos: str
    photo_max_bytes: int
    photo_max_pixels: int
    photo_max_side_px: int
    photos_per_report: int
    photo_exif: str
    photo_reuse_bits: int
    upload_hours: int
    token: str
    real_data_dir: Path | None


def _whole_number(name: str, text: str, lowest: int, highest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if not lowest <= value <= highest:
        raise SettingError(
            f"{name} is {text!r}, not a whole number from {lowest} to {highest}.",
            hint=f"Unset {name} to use the default.",
        )
    return value


def _number(name: str, text: str, lowest: float, highest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = lowest - 1.0
    if not lowest <= value <= highest:
        raise SettingError(
            f"{name} is {text!r}, not a number from {lowest:g} to {highest:g}.",
            hint=f"Unset {name} to use the default.",
        )
    return value


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise SettingError(f"{name} is {text!r}.", hint=f"Use one of: {', '.join(allowed)}.")
    return text


def _var_dir(text: str) -> Path:
    if text:
        return Path(text).expanduser().resolve()
    root = checkout_dir()
    return root / "var" if root else Path.home() / ".gridsvc"


def _photos_place(text: str, var_dir: Path) -> str:
    if "://" in text:
        return text
    return str(Path(text).expanduser().resolve() if text else var_dir / "photos")


def _real_data_dir(text: str) -> Path | None:
    if text:
        return Path(text).expanduser().resolve()
    root = checkout_dir()
    beside = (root.parent / "shared" / "data") if root else None
    return beside if beside and beside.is_dir() else None


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of ``environ`` (default: the process environment).

    Raises
    ------
    SettingError
        When a value is impossible; the message names the setting and the values allowed.
    """
    env = os.environ if environ is None else environ
    text = {s.name: env.get(s.name, "").strip() or s.default for s in SETTINGS}
    host = text["GRIDSVC_HOST"]
    anonymous = _one_of("GRIDSVC_ANONYMOUS", text["GRIDSVC_ANONYMOUS"], ("auto", "on", "off"))
    url = text["GRIDSVC_DATABASE_URL"]
    if url and not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise SettingError(
            "GRIDSVC_DATABASE_URL does not begin with postgresql://.",
            hint="Example: postgresql://user:password@host:5432/gridsvc.",
        )
    return Settings(
        database_url=url,
        var_dir=_var_dir(text["GRIDSVC_VAR"]),
        host=host,
        port=_whole_number("GRIDSVC_PORT", text["GRIDSVC_PORT"], 0, 65535),
        workers=_whole_number("GRIDSVC_WORKERS", text["GRIDSVC_WORKERS"], 1, 64),
        streams=_whole_number("GRIDSVC_STREAMS", text["GRIDSVC_STREAMS"], 1, 500),
        events_kept=_whole_number("GRIDSVC_EVENTS_KEPT", text["GRIDSVC_EVENTS_KEPT"], 1000, 1_000_000_000),
        anonymous=anonymous == "on" or (anonymous == "auto" and host in ("127.0.0.1", "localhost", "::1")),
        max_body_bytes=_whole_number("GRIDSVC_MAX_BODY_BYTES", text["GRIDSVC_MAX_BODY_BYTES"], 1024, 1 << 30),
        max_batch_bytes=_whole_number("GRIDSVC_MAX_BATCH_BYTES", text["GRIDSVC_MAX_BATCH_BYTES"], 1024, 1 << 30),
        reports_per_minute=_whole_number(
            "GRIDSVC_REPORTS_PER_MINUTE", text["GRIDSVC_REPORTS_PER_MINUTE"], 0, 1_000_000_000
        ),
        nearest_grid_m=_number("GRIDSVC_NEAREST_GRID_M", text["GRIDSVC_NEAREST_GRID_M"], 0.0, 1000.0),
        auto_route_odds=_number("GRIDSVC_AUTO_ROUTE_ODDS", text["GRIDSVC_AUTO_ROUTE_ODDS"], 0.0, 1.0),
        locale=_one_of("GRIDSVC_LOCALE", text["GRIDSVC_LOCALE"], ("zh_Hans_CN", "en")),
        timezone=text["GRIDSVC_TIMEZONE"],
        log_level=_one_of(
            "GRIDSVC_LOG_LEVEL", text["GRIDSVC_LOG_LEVEL"].upper(), ("DEBUG", "INFO", "WARNING", "ERROR")
        ),
        secret_key=text["GRIDSVC_SECRET_KEY"],
        photos=_photos_place(text["GRIDSVC_PHOTOS"], _var_dir(text["GRIDSVC_VAR"])),
        photo_max_bytes=_whole_number("GRIDSVC_PHOTO_MAX_BYTES", text["GRIDSVC_PHOTO_MAX_BYTES"], 1024, 1 << 30),
        photo_max_pixels=_whole_number("GRIDSVC_PHOTO_MAX_PIXELS", text["GRIDSVC_PHOTO_MAX_PIXELS"], 1024, 1 << 30),
        photo_max_side_px=_whole_number("GRIDSVC_PHOTO_MAX_SIDE", text["GRIDSVC_PHOTO_MAX_SIDE"], 320, 65500),
        photos_per_report=_whole_number("GRIDSVC_PHOTOS_PER_REPORT", text["GRIDSVC_PHOTOS_PER_REPORT"], 1, 1000),
        photo_exif=_one_of("GRIDSVC_PHOTO_EXIF", text["GRIDSVC_PHOTO_EXIF"], ("drop", "time", "time-and-position")),
        photo_reuse_bits=_whole_number("GRIDSVC_PHOTO_REUSE_BITS", text["GRIDSVC_PHOTO_REUSE_BITS"], 0, 7),
        upload_hours=_whole_number("GRIDSVC_UPLOAD_HOURS", text["GRIDSVC_UPLOAD_HOURS"], 1, 24 * 365),
        token=text["GRIDSVC_TOKEN"],
        real_data_dir=_real_data_dir(text["GRIDSVC_REAL_DATA"]),
    )
