"""Departments and their duties from files: each row may say since and until when it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
import pandas as pd

from gridsvc.networks.duties import DIVISION_DIGITS
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    Mask,
    none_if_empty,
    refuse_duplicates,
    refuse_unknown,
)
from gridsvc.services.imports_reports import row_times
from gridsvc.store.departments import DepartmentDutyRepository, DepartmentRepository
from gridsvc.store.reference_data import NETWORK_OF
from gridsvc.store.unit_of_work import UnitOfWork

_MOST_DIGITS, _LEAST_DIGITS = 15, 2
ALL = "all"


def check_departments(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``departments``, with valid_from and valid_to."""
    codes = batch.text("department_code")
    _refuse_odd(batch, "department_code", codes, "-_", 40)
    refuse_duplicates(batch, "department_code", codes)
    kinds = batch.text("kind_code")
    known = uow.departments.kinds()
    by_name = dict(zip(known["name_zh"], known["kind_code"], strict=True))
    kinds = np.array([by_name.get(kind, kind) for kind in kinds], dtype=object)
    refuse_unknown(
        batch, "kind_code", kinds, set(known["kind_code"]),
        "a kind of department known here; see data/catalogue/department_kinds.csv",
    )  # fmt: skip
    frame = pd.DataFrame(
        {
            "department_code": codes,
            "name": batch.text("name"),
            "kind_code": kinds,
            "division_code": batch.text("division_code"),
            "geometry": batch.geometry,
        }
    )
    _add_validity(batch, options, frame)
    for since, rows in _instants(batch, frame):
        divisions = np.where(rows, frame["division_code"], "")
        stored = uow.divisions.exists(sorted(set(divisions) - {""}), since)
        refuse_unknown(batch, "division_code", divisions, stored, "a division stored; import divisions first")
    return frame


def check_duties(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``duties``, with valid_from and valid_to.

    A duty without a code gets one that says what it is: department, network, ground, edition and category.
    """
    networks = _networks(batch, uow)
    grounds = batch.text("ground_code")
    _refuse_grounds(batch, grounds, networks)
    editions, categories = _categories(batch, uow)
    departments = batch.text("department_code")
    codes = batch.text("duty_code")
    _refuse_odd(batch, "duty_code", codes, ":._-", 100)
    parts = zip(departments, networks, grounds, editions, categories, strict=True)
    named = np.array([":".join(part or ALL for part in row) for row in parts], dtype=object)
    codes = np.where(codes == "", named, codes)
    refuse_duplicates(batch, "duty_code", codes)
    frame = pd.DataFrame(
        {"duty_code": codes, "department_code": departments, "ground_code": grounds, "geometry": batch.geometry}
    )
    frame["network"], frame["edition"] = none_if_empty(networks), none_if_empty(editions)
    frame["category_code"] = none_if_empty(categories)
    _add_validity(batch, options, frame)
    for since, rows in _instants(batch, frame):
        own = np.where(rows, departments, "")
        held = uow.departments.exists(sorted(set(own) - {""}), since)
        refuse_unknown(batch, "department_code", own, held, "a department stored; import departments first")
        _refuse_unknown_grounds(batch, uow, np.where(rows, grounds, ""), networks, since)
    return frame


def store_departments(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked departments; return (stored, unchanged)."""
    return _store(uow.departments, frame)


def store_duties(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked duties; return (stored, unchanged)."""
    return _store(uow.department_duties, frame)


def _store(held: DepartmentRepository | DepartmentDutyRepository, frame: pd.DataFrame) -> tuple[int, int]:
    stored = unchanged = 0
    for since, rows in frame.groupby("valid_from", sort=True):
        added, same = held.put_frame(rows.drop(columns=["valid_from", "valid_to", "geometry"]), since.to_pydatetime())
        stored, unchanged = stored + added, unchanged + same
    for until, rows in frame[frame["valid_to"].notna()].groupby("valid_to", sort=True):
        held.end(rows[held.key], until.to_pydatetime())
    return stored, unchanged


def _add_validity(batch: Batch, options: ImportOptions, frame: pd.DataFrame) -> None:
    since = row_times(batch, "valid_from", options.timezone).fillna(pd.Timestamp(options.at))
    until = row_times(batch, "valid_to", options.timezone)
    batch.refuse((until <= since).to_numpy(dtype=bool), "valid_to", "is not after valid_from", batch.text("valid_to"))
    frame["valid_from"], frame["valid_to"] = since, until


def _instants(batch: Batch, frame: pd.DataFrame) -> Iterator[tuple[datetime, Mask]]:
    """Yield each instant from which sound rows hold, with those rows."""
    good, since = batch.good, frame["valid_from"]
    for instant in sorted(set(since[good])):
        yield instant.to_pydatetime(), good & (since == instant).to_numpy(dtype=bool)


def _refuse_odd(batch: Batch, name: str, codes: np.ndarray, also: str, most: int) -> None:
    odd = _where(
        codes, lambda code: len(code) > most or not all(c.isascii() and (c.isalnum() or c in also) for c in code)
    )
    batch.refuse(odd, name, f"is not up to {most} of the signs A-Z a-z 0-9 {' '.join(also)}", codes)


def _where(values: np.ndarray, is_wrong: Callable[[str], bool]) -> Mask:
    return np.array([bool(value) and is_wrong(value) for value in values], dtype=bool)


def _networks(batch: Batch, uow: UnitOfWork) -> np.ndarray:
    known = uow.categories.networks()
    by_name = NETWORK_OF | dict(zip(known["name_zh"], known["network"], strict=True))
    networks = np.array([by_name.get(value, value) for value in batch.text("network")], dtype=object)
    refuse_unknown(batch, "network", networks, set(known["network"]), f"one of {', '.join(known['network'])}")
    return networks


def _refuse_grounds(batch: Batch, grounds: np.ndarray, networks: np.ndarray) -> None:
    malformed = _where(
        grounds, lambda code: not (code.isascii() and code.isdigit() and _LEAST_DIGITS <= len(code) <= _MOST_DIGITS)
    )
    batch.refuse(malformed, "ground_code", "is no code of a division or a grid: 2 to 15 digits", grounds)
    grid = _where(grounds, lambda code: len(code) > DIVISION_DIGITS) & ~malformed
    batch.refuse(grid & (networks == ""), "network", "is missing: a grid is one of a network")


def _refuse_unknown_grounds(
    batch: Batch, uow: UnitOfWork, grounds: np.ndarray, networks: np.ndarray, since: datetime
) -> None:
    is_grid = _where(grounds, lambda code: len(code) > DIVISION_DIGITS)
    divisions = np.where(is_grid, "", grounds)
    stored = uow.divisions.exists(sorted(set(divisions) - {""}), since)
    refuse_unknown(batch, "ground_code", divisions, stored, "a division stored; import divisions first")
    for network in sorted(set(networks[is_grid])):
        own = np.where(is_grid & (networks == network), grounds, "")
        communities = sorted({code[:DIVISION_DIGITS] for code in own if code})
        held = set(uow.grids.list(network, at=since, community_codes=communities)["code"])
        refuse_unknown(batch, "ground_code", own, held, f"a grid of the network {network} at that instant")


def _categories(batch: Batch, uow: UnitOfWork) -> tuple[np.ndarray, np.ndarray]:
    """Return edition and category of each row, both "" where it is about every category; the default edition where none is named."""
    categories, stated = batch.text("category_code"), batch.text("edition")
    batch.refuse((categories == "") & (stated != ""), "category_code", "is missing, while an edition is named")
    known = set(uow.categories.editions()["edition"])
    refuse_unknown(batch, "edition", stated, known, f"one of {', '.join(sorted(known))}")
    editions = np.where((categories != "") & (stated == ""), uow.categories.edition_default(), stated)
    for edition in sorted(set(editions[batch.good]) - {""}):
        codes = uow.categories.list(edition)["code"].tolist()
        begins = {code[:digits] for code in codes for digits in range(1, len(code) + 1)}
        own = np.where(editions == edition, categories, "")
        refuse_unknown(batch, "category_code", own, begins, f"the beginning of a code of {edition}")
    return editions, categories
