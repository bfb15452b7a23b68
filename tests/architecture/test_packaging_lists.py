"""Lists kept by hand, compared with what they list: packages, settings, errors, front-end files, locks."""

from __future__ import annotations

import configparser
import inspect
import json
import re
from pathlib import Path

import pytest

from gridsvc import errors
from gridsvc.settings import SETTINGS, read_settings

ROOT = Path(__file__).resolve().parents[2]


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_setup_cfg_lists_every_package():
    listed = {line for line in setup_cfg()["options"]["packages"].split("\n") if line and "._" not in line}
    found = {
        ".".join(p.parent.relative_to(ROOT).parts)
        for p in (ROOT / "gridsvc").rglob("__init__.py")
        if "vendor" not in p.parts
    }

    assert found == listed


def test_every_folder_with_python_files_is_a_package():
    folders = {p.parent for p in (ROOT / "gridsvc").rglob("*.py")}

    assert [f for f in folders if not (f / "__init__.py").is_file()] == []


def test_every_setting_is_documented_with_its_default():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(GRIDSVC_\w+)` \| ([^|]*) \|", page, flags=re.MULTILINE))

    assert list(documented) == [s.name for s in SETTINGS]
    assert {n: d.strip().strip("`") for n, d in documented.items()} == {
        s.name: s.default or "(empty)" for s in SETTINGS
    }


def test_no_other_environment_variable_is_read():
    known = {s.name for s in SETTINGS}
    # a file in the checkout that is not Python may name one only if ./run acts on it
    named = {
        name
        for path in (ROOT / "gridsvc").rglob("*.py")
        for name in re.findall(r"\bGRIDSVC_[A-Z_]+\b", path.read_text(encoding="utf-8"))
        if re.search(rf"(environ|getenv|envvar)[^\n]*{name}", path.read_text(encoding="utf-8"))
    }

    assert named <= known


def test_defaults_are_valid():
    assert read_settings({}).port == 8000


def error_classes() -> list[type[errors.GridsvcError]]:
    members = inspect.getmembers(errors, inspect.isclass)
    return [c for _, c in members if issubclass(c, errors.GridsvcError)]


@pytest.mark.parametrize("error", error_classes(), ids=lambda c: c.__name__)
def test_every_error_has_a_status_of_its_own(error: type[errors.GridsvcError]):
    from gridsvc.web.errors import STATUS

    assert 400 <= STATUS[error] <= 599


def test_error_codes_are_different():
    codes = [c.code for c in error_classes()]

    assert len(codes) == len(set(codes))


def test_front_end_files_are_named_once_and_land_in_vendor_folders():
    rows = json.loads((ROOT / "frontend" / "vendor.json").read_text(encoding="utf-8"))["files"]
    locked = json.loads((ROOT / "frontend" / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert len({(r["package"], r["from"], r["to"]) for r in rows}) == len(rows)
    assert all(r["to"].startswith(("gridsvc/web/static/vendor/", "gridsvc/maps/vendor")) for r in rows)
    assert all(f"node_modules/{r['package']}" in locked for r in rows)


def test_locks_name_versions_and_no_places():
    python_locks = [
        (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "benchmarks/requirements.lock")
    ]
    npm_lock = (ROOT / "frontend" / "package-lock.json").read_text(encoding="utf-8")

    for lock in python_locks:
        assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|://| @ file", lock)
    assert '"resolved"' not in npm_lock


def test_requirements_lock_covers_setup_cfg():
    options = setup_cfg()
    wanted = options["options"]["install_requires"] + options["options.extras_require"]["test"]
    names = {re.split(r"[\[<>=]", line.strip())[0] for line in wanted.split("\n") if line.strip()}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==", lock, flags=re.M)}

    assert {n.lower().replace("_", "-") for n in names} <= locked, "renew it with ./run lock"


def test_the_peers_of_benchmarks_shadow_no_locked_package():
    def names(lock: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE))

    peers = names("benchmarks/requirements.lock")

    assert {"spopt", "gerrychain", "momepy", "neatnet"} <= peers
    assert not peers & names("requirements.lock")
