"""Places for the addresses of a file, such as an export of 12345 orders: every row comes back with what was found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import ImportRefusedError, NotFoundError, RowError
from gridsvc.formats.import_fields import as_text
from gridsvc.formats.row_files import out_suffix, write_rows
from gridsvc.formats.vector_files import read_table
from gridsvc.geo.addresses import normalise
from gridsvc.progress import SILENT, Progress
from gridsvc.services.gazetteer import gazetteer_state
from gridsvc.services.geocoding import Candidate, geocode
from gridsvc.services.locating import COMMUNITY, NETWORKS, locate_arrays
from gridsvc.store.unit_of_work import UnitOfWork

# headers that hold the address of an order, the most telling first; compared without blanks and case
ADDRESS_HEADERS = (
    "事发地址", "事发地点", "诉求地址", "诉求地点", "问题地址", "问题地点", "案发地址", "案件地址", "发生地址", "发生地点", "事件地址", "事件地点",
    "反映地址", "详细地址", "地址描述", "位置描述", "地址", "地点", "位置", "address", "location",
)  # fmt: skip
# of two places that agree alike each scores 0.5: neither is to be written as the place
DEFAULT_MIN_SCORE = 0.6


@dataclass(frozen=True, slots=True)
class GeocodedFile:
    """A file geocoded: rows, those with a place, by kind of match; the rows without, each with its reason."""

    file: str
    column: str
    rows: int
    located: int
    by_match_kind: dict[str, int]
    refused: list[RowError] = field(default_factory=list)


def geocode_file(
    uow: UnitOfWork,
    path: Path,
    out: Path,
    *,
    at: datetime,
    column: str | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    near: tuple[float, float] | None = None,
    encoding: str | None = None,
    layer: str | None = None,
    progress: Progress = SILENT,
) -> GeocodedFile:
    """Write the rows of ``path`` to ``out`` with the place, score, candidates and grids of their address behind them.

    New columns: ``geo_lon``, ``geo_lat`` (EPSG:4490), ``geo_score``, ``geo_accuracy_m``, ``geo_match``, ``geo_address``,
    ``geo_other`` (the next candidate and its score), ``geo_reason`` (why there is no place), ``community_code`` and a
    column per network. An XLSX also gets a sheet of the rows without a place.

    Parameters
    ----------
    column
        Header of the address; default the first of `ADDRESS_HEADERS` that the file has.
    min_score
        A first candidate of a lower score is written as ``geo_other`` only, and the row counts as not located.

    Raises
    ------
    ImportRefusedError
        When the file has no column of addresses.
    NotFoundError
        When no gazetteer was built.
    """
    out_suffix(out)
    if gazetteer_state(uow).build_id is None:
        raise NotFoundError("There is no gazetteer yet.", hint="Build it: gridsvc gazetteer build.")
    progress.start("read addresses")
    table = read_table(path, encoding=encoding, layer=layer)
    frame = table.frame.drop(columns="geometry", errors="ignore")
    header = column if column is not None else _address_header(frame)
    if header not in frame.columns:
        raise _no_column(frame, f"{path.name} has no column {header!r}")
    texts = as_text(frame[header])
    found = _find(uow, texts, near, at, progress)
    reasons = [_reason(text, candidates, min_score) for text, candidates in zip(texts, found, strict=True)]
    chosen = [c[0] if c and not reason else None for c, reason in zip(found, reasons, strict=True)]
    answer, points = _answer(uow, frame, found, chosen, reasons, at)
    progress.start("write rows")
    without = answer[answer["geo_reason"] != ""]
    write_rows(out, {"已定位": answer, "未定位": without.assign(行号=without.index.to_numpy())}, points)
    return GeocodedFile(
        file=str(out),
        column=header,
        rows=len(frame),
        located=sum(one is not None for one in chosen),
        by_match_kind=dict(sorted(Counter(one.match_kind for one in chosen if one is not None).items())),
        refused=[
            RowError(i, header, reason, text[:80])
            for i, (reason, text) in enumerate(zip(reasons, texts, strict=True), 1)
            if reason
        ],
    )


def _address_header(frame: pd.DataFrame) -> str:
    folded = {"".join(str(name).lower().split()): str(name) for name in frame.columns}
    for header in ADDRESS_HEADERS:
        if header in folded:
            return folded[header]
    raise _no_column(frame, "The file has no column of addresses")


def _no_column(frame: pd.DataFrame, what: str) -> ImportRefusedError:
    return ImportRefusedError(
        f"{what}; it has {', '.join(map(str, frame.columns))}.",
        rows=[RowError(0, "address", "column missing")],
        hint="Name it with --map HEADER=address.",
    )


def _find(
    uow: UnitOfWork, texts: np.ndarray, near: tuple[float, float] | None, at: datetime, progress: Progress
) -> list[list[Candidate]]:
    """Return the candidates of each text; the same text is looked up once."""
    known: dict[str, list[Candidate]] = {}
    progress.start("geocode", len(texts))
    found = []
    for text in texts:
        key = normalise(text)
        if key not in known:
            known[key] = geocode(uow, text, limit=2, near=near, at=at) if key else []
        found.append(known[key])
        progress.advance()
    return found


def _reason(text: str, candidates: list[Candidate], min_score: float) -> str:
    """Return why a row gets no place, "" when it gets one. The texts go into a file for Chinese offices."""
    if not normalise(text):
        return "地址为空"
    if not candidates:
        return "地名库中没有相符的地点"
    if candidates[0].score >= min_score:
        return ""
    if len(candidates) > 1 and candidates[1].score >= candidates[0].score / 3:
        return "地址不唯一，有多处相符"
    return "相符程度不足"


def _answer(
    uow: UnitOfWork,
    frame: pd.DataFrame,
    found: list[list[Candidate]],
    chosen: list[Candidate | None],
    reasons: list[str],
    at: datetime,
) -> tuple[pd.DataFrame, np.ndarray]:
    answer = frame.copy()
    for name in ("lon", "lat", "score", "accuracy_m", "match_kind", "address"):
        values = [None if one is None else getattr(one, name) for one in chosen]
        answer["geo_match" if name == "match_kind" else f"geo_{name}"] = pd.Series(
            values, index=frame.index, dtype=object
        )
    others = [
        next((c for c in candidates if c is not one), None) for candidates, one in zip(found, chosen, strict=True)
    ]
    answer["geo_other"] = ["" if one is None else f"{one.address} ({one.score:.2f})" for one in others]
    answer["geo_reason"] = reasons
    points = np.full(len(frame), None, dtype=object)
    good = [i for i, one in enumerate(chosen) if one is not None]
    lon, lat = ([getattr(chosen[i], name) for i in good] for name in ("lon", "lat"))
    points[good] = shapely.points(lon, lat) if good else []
    codes = locate_arrays(uow, lon, lat, "cgcs2000", at=at) if good else {}
    for key in (COMMUNITY, *NETWORKS):
        column = np.full(len(frame), None, dtype=object)
        if good:
            column[good] = codes[key]
        answer[f"{key}_code" if key == COMMUNITY else f"{key}_grid"] = column
    return answer, points
