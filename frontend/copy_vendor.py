"""Copy the pinned front-end files from node_modules to where gridsvc serves them; the rows are in vendor.json.

Standard library only: set-up runs it. Writes ``gridsvc/web/static/vendor/manifest.json`` (path -> sha256), by which
``gridsvc doctor`` sees what is missing, also in an installed wheel. Files of the target folders that no row names any
more are removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gridsvc"
VENDOR_DIRS = (PACKAGE / "web" / "static" / "vendor", PACKAGE / "maps" / "vendor")
MANIFEST = VENDOR_DIRS[0] / "manifest.json"


def planned_copies(modules: Path, rows: list[dict[str, str]]) -> dict[Path, Path]:
    """Return target -> source for all rows; a row that matches nothing ends the program."""
    copies: dict[Path, Path] = {}
    for row in rows:
        sources = sorted((modules / row["package"]).glob(row["from"]))
        if not sources:
            sys.exit(
                f"frontend/vendor.json: {row['package']} has no file {row['from']}; correct the row or the version."
            )
        copies.update({ROOT / row["to"] / source.name: source for source in sources})
    return copies


def main() -> None:
    """Copy, clear away what is no longer named, and write the manifest last."""
    rows = json.loads((ROOT / "frontend" / "vendor.json").read_text(encoding="utf-8"))["files"]
    copies = planned_copies(ROOT / "frontend" / "node_modules", rows)
    for folder in VENDOR_DIRS:
        folder.mkdir(parents=True, exist_ok=True)
        for old in [p for p in folder.rglob("*") if p.is_file() and p not in copies]:
            old.unlink()
    manifest = {}
    for target, source in sorted(copies.items()):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        manifest[target.relative_to(PACKAGE).as_posix()] = hashlib.sha256(target.read_bytes()).hexdigest()
    MANIFEST.write_text(json.dumps(manifest, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(manifest)} front-end files in place")


if __name__ == "__main__":
    main()
