"""Addresses with their positions from a file: door numbers, buildings, places of a name."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from gridsvc.geo.addresses import normalise
from gridsvc.services.import_batch import Batch, ImportOptions, refuse_duplicates, require_geometry
from gridsvc.services.import_coverage import refuse_outside_divisions
from gridsvc.store.unit_of_work import UnitOfWork


def check_addresses(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``addresses``.

    An address may come whole, or as road, number, compound and building, or as a name alone. Without codes, codes are
    made of the text, the same on every import; a text that occurs more than once is then refused.
    """
    texts, names = _texts(batch), batch.text("name")
    said = np.array(
        [bool(normalise(text) or normalise(name)) for text, name in zip(texts, names, strict=True)], dtype=bool
    )
    batch.refuse(~said, "address", "is missing: give address, road and number, or name")
    codes = _codes(batch, texts, names)
    refuse_duplicates(batch, "address_code" if "address_code" in batch.columns else "address", codes)
    require_geometry(batch, "point", codes)
    refuse_outside_divisions(batch, uow, options)
    frame = pd.DataFrame({"address_code": codes, "address": texts, "name": names})
    frame["geometry"] = batch.geometry
    return frame


def store_addresses(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked addresses, which are as given from ``options.at``; return (stored, unchanged)."""
    return uow.gazetteer.put_addresses(frame, options.at)


def _texts(batch: Batch) -> np.ndarray:
    """Return the address of each row; where it is not given whole, composed of its parts."""
    texts = batch.text("address").copy()
    parts = [batch.text(name) for name in ("road", "number", "compound", "building")]
    for i in np.flatnonzero(texts == ""):
        road, number, compound, building = (str(values[i]) for values in parts)
        if (road and number) or compound:
            number = f"{number}号" if number[-1:].isdigit() else number
            building = f"{building}栋" if building[-1:].isdigit() else building
            texts[i] = f"{road}{number}{compound}{building}"
    return texts


def _codes(batch: Batch, texts: np.ndarray, names: np.ndarray) -> np.ndarray:
    codes = batch.text("address_code").copy()
    for i in np.flatnonzero(codes == ""):
        said = f"{normalise(texts[i])}\x1f{normalise(names[i])}"
        codes[i] = "a" + hashlib.sha256(said.encode()).hexdigest()[:16]
    return codes
