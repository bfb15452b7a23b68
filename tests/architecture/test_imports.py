"""Who may import whom: the table of rooms (docs/decisions/0003-rooms.md), held against every file's imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "gridsvc"

DOMAIN = {"geo", "division", "networks", "workforce", "cases", "circle", "synth"}
TOP_MODULES = {"errors", "progress", "settings", "resources", "log", "bootstrap", "client", "pausing"}
DATABASE = {"sqlalchemy", "geoalchemy2", "psycopg", "alembic"}
WEB = {"flask", "apiflask", "flask_babel", "werkzeug", "jinja2", "gunicorn"}
PROCESS = {"os", "subprocess", "socket", "sqlite3", "urllib", "http"}

# room -> rooms and top modules of ours it may import (itself always)
ALLOWED: dict[str, set[str]] = {
    **{room: DOMAIN | {"errors", "progress"} for room in DOMAIN},
    "formats": DOMAIN | {"errors", "progress", "resources"},
    "store": DOMAIN | {"errors", "progress", "resources", "settings", "formats"},
    "services": DOMAIN | {"errors", "progress", "resources", "settings", "formats", "store", "maps", "pausing"},
    "maps": DOMAIN | {"errors", "progress", "resources"},
    "web": DOMAIN | {"errors", "progress", "resources", "settings", "log", "services", "maps", "bootstrap", "pausing"},
    "jobs": DOMAIN | {"errors", "progress", "resources", "settings", "log", "services", "maps", "bootstrap", "formats"},
    "cli": DOMAIN
    | {"errors", "progress", "resources", "settings", "log", "services", "maps", "bootstrap", "formats", "jobs", "web"}
    | {"client"},
    "bootstrap": {"errors", "settings", "resources", "progress", "log", "store", "services"},
    "settings": {"errors", "resources"},
    "errors": set(),
    "progress": set(),
    "pausing": set(),
    "resources": set(),
    "log": set(),
    "client": set(),
}
# room -> libraries from outside the standard library it may import; a room not here: anything but FORBIDDEN_LIBRARIES
DOMAIN_LIBRARIES = {"numpy", "scipy", "numba", "shapely", "pyproj", "pymetis", "ortools", "highspy"}
FORBIDDEN_LIBRARIES: dict[str, set[str]] = {
    "formats": DATABASE | WEB,
    "store": WEB,
    "services": WEB,
    "maps": DATABASE | WEB - {"jinja2"},
    "web": DATABASE,
    "jobs": DATABASE | WEB,
    "cli": DATABASE | WEB,
}


def files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "vendor" not in p.parts)


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything imported, inside functions too (but not for types only)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in types_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it out"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def wrong_imports(path: Path, room: str) -> list[str]:
    wrong = []
    for line, name in imported(path):
        parts = name.split(".")
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        if parts[0] == "gridsvc":
            target = parts[1] if len(parts) > 1 else ""
            known = target in ALLOWED
            if known and target != room and target not in ALLOWED[room]:
                wrong.append(where)
        elif (room in DOMAIN and not allowed_in_domain(parts[0])) or parts[0] in FORBIDDEN_LIBRARIES.get(room, set()):
            wrong.append(where)
    return wrong


def allowed_in_domain(library: str) -> bool:
    import sys

    return library in DOMAIN_LIBRARIES or (library in sys.stdlib_module_names and library not in PROCESS)


def test_every_file_is_in_a_room_of_the_table():
    outside = {room_of(p) for p in files()} - set(ALLOWED) - {"__init__"}

    assert not outside


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_room_imports_only_what_the_table_allows(room: str):
    paths = [p for p in files() if room_of(p) == room]

    wrong = [line for path in paths for line in wrong_imports(path, room)]

    assert paths, f"room {room} has no files"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("geo", "import pandas"),
        ("geo", "from gridsvc.store import engine"),
        ("division", "import subprocess"),
        ("web", "from sqlalchemy import text"),
        ("cli", "def f():\n    from gridsvc.store.embedded import EmbeddedPostgres"),
        ("services", "from flask import request"),
        ("store", "from gridsvc.services import importing"),
    ],
)
def test_a_wrong_import_is_noticed(room: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(source)

    assert wrong_imports(path, room)


def test_the_client_can_be_copied_alone():
    import sys

    wrong = [name for _, name in imported(PACKAGE / "client.py") if name.split(".")[0] not in sys.stdlib_module_names]

    assert not wrong


def test_the_domain_does_not_read_the_clock():
    readers = {"now", "today", "utcnow"}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files()
        if room_of(path) in DOMAIN
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in readers
    ]

    assert not wrong
