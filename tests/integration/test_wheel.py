"""A wheel built from the checkout, installed into an empty venv, is a working gridsvc."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.postgis]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gridsvc-wheel-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    # built from a copy: setuptools leaves build/ behind, and an old one would add files to the wheel
    source = folder / "source"
    made_here = shutil.ignore_patterns(
        ".git", ".venv", "var", "build", "dist", "node_modules", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, source, ignore=made_here)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(source))
    (made,) = (folder / "dist").glob("gridsvc-*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, folder: Path) -> Path:
    """The bin folder of an empty venv with the wheel; the dependencies are lent by a path file, gridsvc is not."""
    venv = folder / "venv"
    run(sys.executable, "-m", "venv", str(venv))
    packages = next((venv / "lib").glob("python*/site-packages"))
    run(str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel))
    # a .pth inside the lent folder (the editable gridsvc) is not followed: only the venv's own are read
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return venv / "bin"


def run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GRIDSVC_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_carries_data_maps_migrations_and_what_the_pages_need(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    content = {
        f"gridsvc/_{top}/{p.relative_to(ROOT / top).as_posix()}"
        for top in ("data", "maps", "migrations")
        for p in (ROOT / top).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".pyc" and not p.name.startswith(".")
    }
    beside_code = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "gridsvc").rglob("*")
        if p.is_file() and p.suffix != ".pyc" and "__pycache__" not in p.parts
    }

    assert content - set(names) == set()
    assert beside_code - set(names) == set()


def test_its_code_is_its_own_and_not_the_checkouts(installed: Path, tmp_path: Path):
    printed = run(str(installed / "python"), "-c", "import gridsvc; print(gridsvc.__file__)", cwd=tmp_path)

    assert printed.startswith(str(installed.parent))


def test_it_finds_its_content(installed: Path, tmp_path: Path):
    program = """
from gridsvc.resources import checkout_dir, content_dir
assert checkout_dir() is None
for name in ("data", "maps", "migrations"):
    assert content_dir(name).name == "_" + name, content_dir(name)
    assert any(content_dir(name).iterdir()), name
"""

    run(str(installed / "python"), "-c", program, cwd=tmp_path)


def test_its_commands_work_far_from_the_checkout(installed: Path, folder: Path):
    var_dir, gridsvc = folder / "var", str(installed / "gridsvc")
    environment = {"GRIDSVC_VAR": str(var_dir), "GRIDSVC_PORT": "0"}

    text = run(gridsvc, "--help", cwd=folder)
    made = json.loads(run(gridsvc, "db", "init", "--json", cwd=folder, **environment))
    findings = json.loads(run(gridsvc, "doctor", "--json", cwd=folder, **environment))

    assert "doctor" in text
    assert made["before"] is None and made["after"]
    assert all(finding["ok"] for finding in findings)
