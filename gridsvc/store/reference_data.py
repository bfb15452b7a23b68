"""Reference tables, filled from ``data/catalogue/*.csv`` whenever the schema is brought up to date.

Seeding is idempotent: rows are put by their key and changed where the files changed; none is ever removed, since
reports and cases may refer to it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from sqlalchemy import Connection, Table, or_
from sqlalchemy.dialects.postgresql import insert

from gridsvc.errors import FileUnreadableError
from gridsvc.resources import content_dir
from gridsvc.store.tables import (
    categories,
    category_editions,
    category_limits,
    department_kinds,
    facility_kinds,
    networks,
    worker_kinds,
)

DEFAULT_EDITION = "gbt-47678.5-2026"
LEGACY_EDITION = "gbt-30428.2-2013"
# the catalogue names networks in Chinese
NETWORK_OF = {"城市管理": "urban", "社会服务": "social", "社会治安": "security"}

Row = dict[str, Any]


def catalogue_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of ``data/catalogue/<name>.csv``; a row with too few or too many fields is refused.

    Raises
    ------
    FileUnreadableError
        When the file is missing or its quoting is broken; the message names file and line.
    """
    path = content_dir("data") / "catalogue" / f"{name}.csv"
    if not path.is_file():
        raise FileUnreadableError(f"{path} is missing.", hint="Reinstall gridsvc.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise FileUnreadableError(f"{path}, line {reader.line_num}: not {len(reader.fieldnames or ())} fields.")
            rows.append(row)
    return rows


def _yes(text: str) -> bool:
    return text == "yes"


def _number(text: str) -> float | None:
    return float(text) if text else None


def _whole(text: str) -> int | None:
    return int(text) if text else None


def network_rows() -> list[Row]:
    """Return the networks: three sources and the merged one."""
    return [
        dict(r, is_merged=_yes(r["is_merged"]), sort_order=int(r["sort_order"])) for r in catalogue_rows("networks")
    ]


def edition_rows() -> list[Row]:
    """Return the editions of the catalogue of components and matters."""
    rows = []
    for r in catalogue_rows("editions"):
        in_force = date.fromisoformat(r["in_force_on"]) if r["in_force_on"] else None
        rows.append(
            {k: r[k] for k in ("edition", "name_zh", "standard")}
            | {"in_force_on": in_force, "is_default": _yes(r["is_default"])}
        )
    return rows


def category_rows() -> list[Row]:
    """Return the classes of the default edition, the social and security proposals among them, each with its source."""
    return [
        {
            "edition": DEFAULT_EDITION,
            "code": r["code"],
            "level": int(r["level"]),
            "parent_code": r["parent"] or None,
            "name_zh": r["name_zh"],
            "name_en": r["name_en"],
            "kind": r["kind"],
            "network": NETWORK_OF[r["network"]],
            "default_urgency": r["default_urgency"] or None,
            "default_limit_hours": _number(r["default_limit_hours"]),
            "limit_clock": r["limit_clock"] or None,
            "limit_source": r["limit_source"],
            "source": r["source"],
            "verified": _yes(r["verified"]),
            "successor_code": None,
        }
        for r in catalogue_rows("categories")
    ]


def legacy_code(kind: str, code_2013: str) -> str:
    """Return a 2013 code with the letter that tells components from events, which share numbers."""
    return ("C" if kind == "component" else "E") + code_2013


def _legacy_row(r: dict[str, str], level: int, successor: Row | None) -> Row:
    code = legacy_code(r["kind"], r["code_2013"])
    same = successor or {}
    return {
        "edition": LEGACY_EDITION,
        "code": code,
        "level": level,
        "parent_code": code[:3] if level == 2 else None,
        "name_zh": r["name_2013"],
        "name_en": same.get("name_en", ""),
        "kind": r["kind"],
        "network": "urban",
        "default_urgency": same.get("default_urgency"),
        "default_limit_hours": same.get("default_limit_hours"),
        "limit_clock": same.get("limit_clock"),
        "limit_source": same.get("limit_source", ""),
        "source": r.get("source", "GB/T 30428.2-2013, through the map to GB/T 47678.5-2026"),
        "verified": _yes(r.get("verified", "yes")),
        "successor_code": same.get("code"),
    }


def legacy_category_rows() -> list[Row]:
    """Return the 2013 edition: its majors, and its classes with the code that replaced each."""
    successors = {r["code"]: r for r in category_rows()}
    majors = [_legacy_row(r, 1, None) for r in catalogue_rows("legacy_majors")]
    return majors + [_legacy_row(r, 2, successors[r["code_2026"]]) for r in catalogue_rows("legacy_map")]


def limit_rows() -> list[Row]:
    """Return the handling limits by class and condition."""
    return [
        {
            "edition": DEFAULT_EDITION,
            "code": r["code"],
            "condition_class": r["condition_class"],
            "limit_value": float(r["limit_value"]),
            "limit_unit": r["limit_unit"],
            "limit_hours": float(r["limit_hours"]),
            "limit_clock": r["limit_clock"],
            "longest_limit_hours": _number(r["longest_limit_hours"]),
            "conditions": _whole(r["conditions"]),
            "local_code_2013": r["local_code_2013"] or None,
            "source": r["source"],
            "verified": _yes(r["verified"]),
        }
        for r in catalogue_rows("limits")
    ]


def facility_kind_rows() -> list[Row]:
    """Return the kinds of service facilities with radius and duty."""
    return [
        {
            "kind_code": r["code"],
            "name_zh": r["name_zh"],
            "name_en": r["name_en"],
            "circle_minutes": _whole(r["circle_minutes"]),
            "service_radius_m": _number(r["service_radius_m"]),
            "required": _yes(r["required"]),
            "standard": r["standard"],
            "level": r["level"],
            "verified": _yes(r["verified"]),
            "note": r["note"],
        }
        for r in catalogue_rows("facilities")
    ]


def worker_kind_rows() -> list[Row]:
    """Return the kinds of workers with their rules."""
    names = ("name_zh", "name_en", "employment", "unit", "ratio_rule", "patrol_rule", "counts_as_grid_worker", "source")
    return [
        {"kind_code": r["code"], "verified": _yes(r["verified"])} | {name: r[name] for name in names}
        for r in catalogue_rows("workers")
    ]


def department_kind_rows() -> list[Row]:
    """Return the kinds of departments, each with where its name comes from."""
    return [
        {"kind_code": r["code"], "verified": _yes(r["verified"])}
        | {name: r[name] for name in ("name_zh", "name_en", "source", "note")}
        for r in catalogue_rows("department_kinds")
    ]


_SEEDS: tuple[tuple[Table, Callable[[], list[Row]]], ...] = (
    (networks, network_rows),
    (category_editions, edition_rows),
    (categories, category_rows),
    (categories, legacy_category_rows),
    (category_limits, limit_rows),
    (facility_kinds, facility_kind_rows),
    (worker_kinds, worker_kind_rows),
    (department_kinds, department_kind_rows),
)


def _put(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    statement = insert(table)
    key = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in key}
    differs = or_(*(table.c[name].is_distinct_from(new) for name, new in changed.items()))
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed, where=differs), list(rows))


def seed_reference(connection: Connection) -> None:
    """Put all reference rows; the caller commits. Rows already as in the files stay as they are."""
    for table, rows in _SEEDS:
        _put(connection, table, rows())
