"""What ``gridsvc doctor`` looks at: each check says in one sentence what it found and, if wrong, how to mend it."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from sqlalchemy import Engine, text

from gridsvc.errors import GridsvcError
from gridsvc.resources import content_dir
from gridsvc.settings import Settings
from gridsvc.store import migrate
from gridsvc.store.embedded import EmbeddedPostgres, find_binary, installed_versions, postgis_installed
from gridsvc.store.engine import make_engine
from gridsvc.store.photo_files import PhotoFiles
from gridsvc.store.tables import metadata as tables

NEEDED_MIB = 1024
PACKAGE = Path(__file__).resolve().parent.parent
# folders and name patterns of fonts with Chinese glyphs, as Debian and Ubuntu package them
CHINESE_FONTS = re.compile(
    r"NotoSansCJK|NotoSerifCJK|NotoSansSC|SourceHan|wqy-|DroidSansFallback|uming|ukai|simsun|msyh", re.I
)
FONT_DIRS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("~/.fonts"), Path("~/.local/share/fonts"))


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: ``ok``, what was found, and how to mend it ("" when ok)."""

    check: str
    ok: bool
    found: str
    mend: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the findings one by one, those that later ones rest on first."""
    yield check_python()
    yield check_dependencies()
    yield check_content()
    if not settings.database_url:
        yield check_postgres_programs()
        yield check_postgis_package()
    yield from check_database(settings)
    yield check_disk("disk of GRIDSVC_VAR", settings.var_dir)
    yield from check_photos(settings)
    yield check_port(settings)
    yield check_frontend(PACKAGE)
    yield check_chinese_font()


# ---------------------------------------------------------------------------------------------- the program


def check_python() -> Finding:
    """Python 3.11 or newer."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= (3, 11):  # noqa: UP036 - a wheel can be forced into an older Python
        return Finding("python", True, f"Python {version} in {sys.prefix}.")
    return Finding("python", False, f"Python {version} is too old.", "Install Python 3.11 or newer, then ./run setup.")


def check_dependencies(distribution: str = "gridsvc") -> Finding:
    """Every package that gridsvc requires is there in a fitting version."""
    wrong = []
    required = [Requirement(line) for line in metadata.requires(distribution) or []]
    needed = [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, wanted {requirement.specifier}")
    if wrong:
        return Finding("dependencies", False, f"{'; '.join(wrong)}.", "Run ./run setup, or pip install gridsvc again.")
    return Finding("dependencies", True, f"All {len(needed)} Python packages are there.")


def check_content() -> Finding:
    """The folders data, maps and migrations came with the program."""
    missing = [name for name in ("data", "maps", "migrations") if not any(content_dir(name).glob("*"))]
    if missing:
        return Finding(
            "content", False, f"{', '.join(missing)} did not come with the program.", "Install gridsvc again."
        )
    return Finding("content", True, f"Tables, map styles and migrations are in {content_dir('data').parent}.")


def check_frontend(package: Path) -> Finding:
    """The files copied from npm packages are all there."""
    manifest = package / "web" / "static" / "vendor" / "manifest.json"
    mend = "Run ./run setup in the checkout (and build the wheel after it)."
    if not manifest.is_file():
        return Finding("front end", False, "The map library and fonts for the pages are missing.", mend)
    names = json.loads(manifest.read_text(encoding="utf-8"))
    missing = [name for name in names if not (package / name).is_file()]
    if missing:
        return Finding("front end", False, f"{len(missing)} front-end files are missing, first {missing[0]}.", mend)
    return Finding("front end", True, f"All {len(names)} front-end files are there.")


def check_chinese_font(folders: tuple[Path, ...] = FONT_DIRS) -> Finding:
    """Some installed font has Chinese glyphs (pages bring their own; static figures need the system's)."""
    for folder in folders:
        with suppress(OSError, RuntimeError):
            for path in folder.expanduser().rglob("*.[ot]t[fc]"):
                if CHINESE_FONTS.search(path.name):
                    return Finding("Chinese font", True, f"Chinese labels are drawn with {path.name}.")
    return Finding(
        "Chinese font", False, "No font with Chinese glyphs is installed.", "Run: apt-get install fonts-wqy-microhei"
    )


# ---------------------------------------------------------------------------------------------- the database


def check_postgres_programs() -> Finding:
    """The server programs are installed."""
    try:
        return Finding("PostgreSQL", True, f"PostgreSQL is installed ({find_binary('postgres')}).")
    except GridsvcError as error:
        return Finding("PostgreSQL", False, error.message, error.hint)


def check_postgis_package() -> Finding:
    """PostGIS is installed for the newest server that is."""
    versions = installed_versions()
    fitting = [v for v in versions if postgis_installed(v)]
    if fitting or not versions:  # without Debian's layout only the server itself can tell
        found = (
            f"PostGIS is installed for PostgreSQL {fitting[0]}."
            if fitting
            else "PostGIS is left to the server to find."
        )
        return Finding("PostGIS package", True, found)
    mend = f"Run: apt-get install postgresql-{versions[0]}-postgis-3"
    return Finding("PostGIS package", False, f"PostGIS is not installed for PostgreSQL {versions[0]}.", mend)


def check_database(settings: Settings) -> Iterator[Finding]:
    """The database starts or answers; PostGIS, schema and reference systems in it are right."""
    server = None if settings.database_url else EmbeddedPostgres(settings.var_dir)
    try:
        if server is not None:
            server.start()
            yield Finding("database", True, f"The embedded PostgreSQL runs; its data is in {server.data_dir}.")
            yield check_disk("disk of the database", server.data_dir)
        engine = make_engine(server.url() if server else settings.database_url)
        try:
            yield from check_schema(engine, embedded=server is not None)
        finally:
            engine.dispose()
    except GridsvcError as error:
        yield Finding("database", False, error.message, error.hint or "Check GRIDSVC_DATABASE_URL.")
    finally:
        if server is not None:
            server.stop()


def check_schema(engine: Engine, *, embedded: bool) -> Iterator[Finding]:
    """PostGIS is in the database, the migrations are at head, geometry columns have the SRID they should."""
    with engine.connect() as connection:
        if not embedded:
            place = engine.url.render_as_string(hide_password=True)
            yield Finding("database", True, f"The database answers ({place}).")
        version = connection.execute(
            text("SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'")
        ).scalar()
        if version is None:
            yield Finding(
                "PostGIS", False, "This server has no PostGIS.", "Install postgresql-NN-postgis-3 on its machine."
            )
            return
        yield Finding("PostGIS", True, f"The server has PostGIS {version}.")
    try:
        migrate.check_schema(engine)
    except GridsvcError as error:
        yield Finding("migrations", False, error.message, error.hint)
    else:
        yield Finding("migrations", True, f"The schema is this program's ({migrate.head()}).")
    yield check_srids(engine)


def check_srids(engine: Engine) -> Finding:
    """Every geometry column has the SRID that the program declares for it."""
    declared = {
        (table.name, column.name): max(column.type.srid, 0)  # -1 declares none, for pixels; PostGIS says 0
        for table in tables.tables.values()
        for column in table.columns
        if hasattr(column.type, "srid")
    }
    with engine.connect() as connection:
        if connection.execute(text("SELECT to_regclass('geometry_columns')")).scalar() is None:
            return Finding("SRID", True, "There are no geometry columns yet.")
        rows = connection.execute(text("SELECT f_table_name, f_geometry_column, srid FROM geometry_columns"))
        actual = {(name, column): srid for name, column, srid in rows}
    wrong = [
        f"{table}.{column} has SRID {actual[table, column]}, wanted {srid}"
        for (table, column), srid in declared.items()
        if (table, column) in actual and actual[table, column] != srid
    ]
    if wrong:
        mend = "Restore a backup: something other than gridsvc changed the column (UpdateGeometrySRID names it anew)."
        return Finding("SRID", False, f"{'; '.join(wrong)}.", mend)
    return Finding("SRID", True, f"All {len(set(declared) & set(actual))} geometry columns have the right SRID.")


# ----------------------------------------------------------------------------------------------- the machine


def check_disk(
    name: str,
    folder: Path,
    free_bytes: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free,
    setting: str = "GRIDSVC_VAR",
) -> Finding:
    """At least a gibibyte is free where ``folder`` is or will be."""
    place = next(p for p in (folder, *folder.parents) if p.exists())
    free_mib = free_bytes(place) >> 20
    if free_mib < NEEDED_MIB:
        mend = f"Free some space, or set {setting} to a larger disk than that of {place}."
        return Finding(name, False, f"{folder} has {free_mib} MiB free, at least {NEEDED_MIB} are needed.", mend)
    return Finding(name, True, f"{folder} has {free_mib / 1024:,.0f} GiB free.")


def check_photos(settings: Settings) -> Iterator[Finding]:
    """Photos can be written where they are kept, and read back; a folder has room."""
    try:
        files = PhotoFiles(settings.photos)
        files.check()
    except GridsvcError as error:
        yield Finding(
            "photos", False, error.message, f"Check GRIDSVC_PHOTOS ({settings.photos}): rights, room, address."
        )
        return
    yield Finding("photos", True, f"Photos are kept in {settings.photos}.")
    if files.folder is not None:
        yield check_disk("disk of the photos", files.folder, setting="GRIDSVC_PHOTOS")


def check_port(settings: Settings) -> Finding:
    """The web server's port is free, or held by the ``gridsvc serve`` of this folder."""
    where = f"{settings.host}:{settings.port}"
    with suppress(OSError, ValueError):
        note = settings.var_dir / "serve.json"
        with note.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if json.load(stream)["port"] == settings.port:
                    return Finding("port", True, f"gridsvc serve of this folder listens on {where}.")
    try:
        address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(*address[:3]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
    except OSError as error:
        mend = "Stop the program that holds it, or set GRIDSVC_PORT (GRIDSVC_HOST) to another."
        return Finding("port", False, f"{where} cannot be used: {error.strerror or error}.", mend)
    return Finding("port", True, f"{where} is free.")
