"""Where the content beside the code lives: ``data/``, ``maps/`` and ``migrations/``.

In a checkout they are top-level folders; a wheel carries them inside the package as ``_data``, ``_maps`` and
``_migrations`` (see setup.cfg). Nothing else may compute these paths.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def content_dir(name: str) -> Path:
    """Return the folder of ``name`` (``data``, ``maps`` or ``migrations``), of the checkout or of the wheel."""
    carried = _PACKAGE / f"_{name}"
    return carried if carried.is_dir() else _PACKAGE.parent / name


def checkout_dir() -> Path | None:
    """Return the root of the checkout this code runs from, or None when it runs from an installed wheel."""
    root = _PACKAGE.parent
    return root if (root / "setup.cfg").is_file() and (root / "migrations").is_dir() else None
