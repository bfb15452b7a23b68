"""Networks compared, aligned and carried over to each other, as tables and layers to hand over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import FileUnreadableError, NotFoundError, RequestInvalidError
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.import_fields import POSITION, Field
from gridsvc.formats.layered_files import write_layers
from gridsvc.formats.vector_files import read_table
from gridsvc.formats.written_tables import write_sheets
from gridsvc.geo.projections import STORAGE_EPSG, to_metric, to_storage
from gridsvc.geo.stored_coverages import coverage_to_storage
from gridsvc.networks.alignment import align
from gridsvc.networks.comparison import RELATIONS, Comparison, PairComparison, compare
from gridsvc.networks.crosswalk import counts_by_atom, crosswalk, rebased
from gridsvc.networks.overlay import NOBODY, TOLERANCE_M, Overlay, overlay
from gridsvc.networks.responsibility import AtomIndex
from gridsvc.progress import SILENT, Progress
from gridsvc.services.network_sources import SourceNets


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """What was found out about networks: tables of plain columns, and layers with shapes (EPSG:4490), by name."""

    tables: Mapping[str, pd.DataFrame]
    layers: Mapping[str, gpd.GeoDataFrame]

    def write(self, out: Path) -> None:
        """Write the tables (.xlsx) or the layers (.gpkg); the same report gives the same bytes.

        Raises
        ------
        RequestInvalidError
            For another suffix, or a table too long for a sheet.
        FileUnreadableError
            When the file cannot be written.
        """
        suffix = out.suffix.lower()
        if suffix not in (".xlsx", ".gpkg"):
            raise RequestInvalidError(
                f"{out.name} cannot be written: its suffix names no format known here.",
                hint="Use .xlsx for the tables or .gpkg for the layers.",
                field="out",
            )
        if not out.absolute().parent.is_dir():
            raise FileUnreadableError(f"There is no folder {out.absolute().parent}.", hint="Make it first.")
        if suffix == ".xlsx":
            write_sheets(out, self.tables)
        else:
            write_layers(out, self.layers)


def compare_networks(
    given: SourceNets, *, tolerance_m: float = TOLERANCE_M, progress: Progress = SILENT
) -> NetworkReport:
    """Return how networks stand to each other.

    Tables: ``networks`` (faults of each), ``pairs`` (how many grids stand in each relation), ``relations`` (each grid towards each other network),
    ``matches``, ``conflicts`` (grids that cross). Layers: ``atoms`` with the grid of every network, ``faults``.
    """
    progress.start("compare networks", 2)
    found = compare(given.nets, tolerance_m=tolerance_m)
    progress.advance()
    report = comparison_report(found, given.epsg)
    progress.advance()
    return report


def comparison_report(found: Comparison, epsg: int) -> NetworkReport:
    """Return a comparison as tables and layers, see `compare_networks`; ``epsg`` is the system of its nets."""
    tables = {
        "networks": _networks(found),
        "pairs": pd.DataFrame([_pair_row(found, pair) for pair in found.pairs]),
        "relations": _relations(found),
        "matches": _matches(found),
        "conflicts": _conflicts(found),
    }
    layers = {"atoms": _atoms_layer(found.atoms, epsg), "faults": _faults_layer(found, epsg)}
    return NetworkReport(tables, layers)


def _networks(found: Comparison) -> pd.DataFrame:
    rows = []
    for n, quality in enumerate(found.quality):
        held = found.atoms.owner[:, n] != NOBODY
        rows.append(
            {
                "network": quality.net,
                "grids": quality.grids,
                "area_m2": round(quality.area_m2, 1),
                "gaps": int((~quality.gap_is_sliver).sum()),
                "gap_m2": round(float(shapely.area(quality.gaps).sum()), 1),
                "overlaps": int((~quality.overlap_is_sliver).sum()),
                "overlap_m2": round(float(shapely.area(quality.overlaps).sum()), 1),
                "slivers": int(quality.gap_is_sliver.sum() + quality.overlap_is_sliver.sum()),
                "mended": len(quality.mended),
                "unowned_m2": round(float(found.atoms.area_m2[~held].sum()), 1),
            }
        )
    return pd.DataFrame(rows)


def _pair_row(found: Comparison, pair: PairComparison) -> dict:
    names = [found.atoms.nets[n].name for n in pair.net]
    counts = {
        f"{side}_{name}": count for k, side in enumerate(("first", "second")) for name, count in pair.counts(k).items()
    }
    return {
        "first": names[0],
        "second": names[1],
        **counts,
        "matches": int(pair.pairs.by_shape.sum()),
        "both_m2": round(pair.both_m2, 1),
        "first_only_m2": round(pair.first_only_m2, 1),
        "second_only_m2": round(pair.second_only_m2, 1),
    }


def _relations(found: Comparison) -> pd.DataFrame:
    frames = []
    names = np.array(RELATIONS, dtype=object)
    for pair in found.pairs:
        for near, far in ((0, 1), (1, 0)):
            net, other = found.atoms.nets[pair.net[near]], found.atoms.nets[pair.net[far]]
            frames.append(
                pd.DataFrame(
                    {"network": net.name, "code": net.code, "other": other.name, "relation": names[pair.relation[near]]}
                )
            )
    columns = ["network", "code", "other", "relation"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _pair_table(found: Comparison, pair: PairComparison, chosen: NDArray[np.bool_]) -> pd.DataFrame:
    one, other = (found.atoms.nets[n] for n in pair.net)
    pairs = pair.pairs
    return pd.DataFrame(
        {
            "first": one.name,
            "first_code": one.code[pairs.first[chosen]],
            "first_name": one.title[pairs.first[chosen]],
            "second": other.name,
            "second_code": other.code[pairs.second[chosen]],
            "second_name": other.title[pairs.second[chosen]],
            "shared_m2": np.round(pairs.shared_m2[chosen], 1),
            "share_of_first": np.round(pairs.share_of_first[chosen], 6),
            "share_of_second": np.round(pairs.share_of_second[chosen], 6),
            "share_of_both": np.round(pairs.share_of_both[chosen], 6),
            "by_shape": pairs.by_shape[chosen],
            "by_code": pairs.by_code[chosen],
            "by_name": pairs.by_name[chosen],
            "east_m": np.round(pairs.offset_m[chosen, 0], 2),
            "north_m": np.round(pairs.offset_m[chosen, 1], 2),
        }
    )


def _matches(found: Comparison) -> pd.DataFrame:
    frames = [_pair_table(found, pair, pair.pairs.is_match) for pair in found.pairs]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["first", "second"])


def _conflicts(found: Comparison) -> pd.DataFrame:
    """Return the pairs of grids that share land and cross each other, largest shared land first."""
    frames = []
    for pair in found.pairs:
        table = _pair_table(found, pair, crossing_pairs(pair))
        frames.append(table.sort_values(["shared_m2", "first_code", "second_code"], ascending=[False, True, True]))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["first", "second"])


def crossing_pairs(pair: PairComparison) -> NDArray[np.bool_]:
    """Return which pairs of grids of two nets share land while each crosses the other's borders."""
    crossing = RELATIONS.index("crossing")
    return (
        (pair.relation[0][pair.pairs.first] == crossing)
        & (pair.relation[1][pair.pairs.second] == crossing)
        & (pair.pairs.shared_m2 > 0.0)
    )


def _atoms_layer(atoms: Overlay, epsg: int) -> gpd.GeoDataFrame:
    columns: dict[str, NDArray] = {"area_m2": np.round(atoms.area_m2, 2)}
    for n, net in enumerate(atoms.nets):
        columns[net.name] = atoms.codes(n)
    twice = np.zeros(len(atoms.area_m2), dtype=bool)
    twice[atoms.double.atom] = True
    columns |= {"is_orphan": atoms.is_orphan, "is_claimed_twice": twice}
    return gpd.GeoDataFrame(columns, geometry=coverage_to_storage(atoms.geometry, epsg), crs=STORAGE_EPSG)


def _faults_layer(found: Comparison, epsg: int) -> gpd.GeoDataFrame:
    rows: list[tuple[str, str, str, bool]] = []
    shapes: list[shapely.Geometry] = []
    for quality, net in zip(found.quality, found.atoms.nets, strict=True):
        rows += [(net.name, "gap", "", bool(thin)) for thin in quality.gap_is_sliver]
        shapes += list(quality.gaps)
        rows += [
            (net.name, "overlap", " ".join(net.code[claim]), bool(thin))
            for claim, thin in zip(quality.claims, quality.overlap_is_sliver, strict=True)
        ]
        shapes += list(quality.overlaps)
    geometry = np.array(shapes, dtype=object)
    frame = pd.DataFrame(rows, columns=["network", "kind", "grids", "is_sliver"])
    frame["area_m2"] = np.round(shapely.area(geometry), 2) if len(geometry) else np.zeros(0)
    return gpd.GeoDataFrame(frame, geometry=to_storage(geometry, epsg) if len(geometry) else [], crs=STORAGE_EPSG)


def align_networks(
    given: SourceNets,
    *,
    tolerance_m: float = TOLERANCE_M,
    reference: str | None = None,
    lines: Path | None = None,
    lines_datum: str | None = None,
    progress: Progress = SILENT,
) -> NetworkReport:
    """Return the networks on one set of lines.

    Tables: ``networks`` (land moved in each), ``moved`` (each grid that gained or lost land), ``disagreements``. Layers: each network under its
    name, and ``disagreements``.

    Parameters
    ----------
    lines, lines_datum
        File of lines (streets, walls, water) that borders are to stay on, and its datum.
    """
    progress.start("align networks", 2)
    drawn = None if lines is None else metric_shapes(lines, lines_datum, given.epsg)
    progress.advance()
    found = align(given.nets, tolerance_m=tolerance_m, reference=reference, lines=drawn)
    moved, layers = [], {}
    for net, gained, lost in zip(found.nets, found.gained_m2, found.lost_m2, strict=True):
        columns = {"code": net.code, "name": net.title, "gained_m2": np.round(gained, 2), "lost_m2": np.round(lost, 2)}
        layers[net.name] = gpd.GeoDataFrame(columns, geometry=to_storage(net.geometry, given.epsg), crs=STORAGE_EPSG)
        moved.append(pd.DataFrame({"network": net.name, **columns})[(gained > 0) | (lost > 0)])
    rows = [
        {
            "first": found.nets[each.net[0]].name,
            "first_code": found.nets[each.net[0]].code[each.first],
            "second": found.nets[each.net[1]].name,
            "second_code": found.nets[each.net[1]].code[each.second],
            "area_m2": round(each.area_m2, 2),
        }
        for each in found.disagreements
    ]
    disagreements = pd.DataFrame(rows, columns=["first", "first_code", "second", "second_code", "area_m2"])
    places = found.atoms.geometry[[each.atom for each in found.disagreements]]
    layers["disagreements"] = gpd.GeoDataFrame(
        disagreements, geometry=to_storage(places, given.epsg) if len(places) else [], crs=STORAGE_EPSG
    )
    sums = [
        {
            "network": net.name,
            "grids": len(net),
            "gained_m2": round(float(g.sum()), 1),
            "lost_m2": round(float(x.sum()), 1),
        }
        for net, g, x in zip(found.nets, found.gained_m2, found.lost_m2, strict=True)
    ]
    progress.advance()
    tables = {
        "networks": pd.DataFrame(sums),
        "moved": pd.concat(moved, ignore_index=True),
        "disagreements": disagreements,
    }
    return NetworkReport(tables, layers)


def crosswalk_networks(
    given: SourceNets,
    *,
    tolerance_m: float = 0.0,
    value: str | None = None,
    whole: bool = False,
    points: Path | None = None,
    points_datum: str | None = None,
    count: str | None = None,
    progress: Progress = SILENT,
) -> NetworkReport:
    """Return the crosswalk from the first of two networks to the second, and its figures carried over.

    Tables: ``crosswalk`` (each pair of grids, shares of both), ``values`` (figures by grid of the second network, with error and bounds) when ``value``
    names a column of the first, and ``sums``. Layer: ``atoms``.

    Parameters
    ----------
    points, points_datum, count
        File of points (households, events) that land is weighed by in place of area, its datum, and its column of how much each counts.

    Raises
    ------
    RequestInvalidError
        When there are not two networks, or a column holds no numbers.
    NotFoundError
        When there is no such column.
    """
    if len(given.nets) != 2:
        raise RequestInvalidError(f"A crosswalk joins 2 networks, not {len(given.nets)}.", field="sources")
    progress.start("crosswalk", 2)
    atoms = overlay(given.nets, tolerance_m=tolerance_m)
    progress.advance()
    weight, sums = None, []
    if points is not None:
        places, counted, _ = read_points(points, points_datum, count, given.epsg)
        weight, outside = counts_by_atom(atoms, shapely.get_x(places), shapely.get_y(places), counted)
        sums.append(
            {"what": "weight", "given": float(counted.sum()), "placed": float(weight.sum()), "unplaced": outside}
        )
    walk = crosswalk(atoms, 0, 1, weight)
    one, other = given.nets
    table = pd.DataFrame(
        {
            "first": one.name,
            "first_code": np.append(one.code, [None])[walk.from_row],
            "second": other.name,
            "second_code": np.append(other.code, [None])[walk.to_row],
            "area_m2": np.round(walk.area_m2, 2),
            "weight": walk.weight if weight is not None else np.round(walk.weight, 2),
            "first_share": walk.from_share,
            "second_share": walk.to_share,
        }
    )
    tables = {"crosswalk": table}
    if value is not None:
        figures = numbers_of(given.columns[one.name], value, one.name)
        carried = rebased(walk, figures, whole=whole)
        tables["values"] = pd.DataFrame(
            {
                "code": other.code,
                "name": other.title,
                value: carried.value,
                "standard_error": np.round(carried.standard_error, 3),
                "low": carried.low,
                "high": carried.high,
            }
        )
        sums.append(
            {"what": value, "given": figures.sum(), "placed": carried.value.sum(), "unplaced": carried.unplaced}
        )
    tables["sums"] = pd.DataFrame(sums, columns=["what", "given", "placed", "unplaced"])
    progress.advance()
    return NetworkReport(tables, {"atoms": _atoms_layer(atoms, given.epsg)})


def answers_for_points(
    given: SourceNets, points: Path, *, datum: str | None, tolerance_m: float = 0.0, progress: Progress = SILENT
) -> NetworkReport:
    """Return who answers in each network for the points of a file.

    Tables: ``answers`` with the rows of the file, a column ``grid_NAME`` for each network, ``is_orphan``, ``is_claimed_twice`` and the further claims;
    ``sums`` counts them.
    """
    progress.start("who answers", 2)
    atoms = overlay(given.nets, tolerance_m=tolerance_m)
    progress.advance()
    places, _, frame = read_points(points, datum, None, given.epsg)
    found = AtomIndex(atoms).answers(shapely.get_x(places), shapely.get_y(places))
    for n, net in enumerate(given.nets):
        frame[f"grid_{net.name}"] = np.append(net.code, [None])[found.row[:, n]]
    frame["is_orphan"], frame["is_claimed_twice"] = found.is_orphan, found.is_claimed_twice
    frame["further_claims"] = [
        " ".join(f"{given.nets[n].name}:{given.nets[n].code[row]}" for n, row in found.claims.get(k, []))
        for k in range(len(frame))
    ]
    sums = pd.DataFrame(
        [
            {
                "points": len(frame),
                "orphans": int(found.is_orphan.sum()),
                "claimed_twice": int(found.is_claimed_twice.sum()),
            }
        ]
    )
    progress.advance()
    layer = gpd.GeoDataFrame(frame, geometry=to_storage(places, given.epsg), crs=STORAGE_EPSG)
    return NetworkReport({"answers": frame, "sums": sums}, {"answers": layer})


def metric_shapes(path: Path, datum: str | None, epsg: int) -> NDArray[np.object_]:
    """Return the shapes of a file in metres, empty ones left out."""
    table = read_table(path)
    if table.geometry is None:
        raise FileUnreadableError(f"{table.name} has no shapes.", path=str(path))
    shapes = table.geometry[[shape is not None and not shape.is_empty for shape in table.geometry]]
    return to_metric(declare_datum(datum, table.crs, table.name).to_storage(shapes), epsg)


def read_points(
    path: Path, datum: str | None, count: str | None, epsg: int
) -> tuple[NDArray[np.object_], NDArray[np.float64], pd.DataFrame]:
    """Return the points of a file (or of its columns lon and lat) in metres of system ``epsg``, what each counts, and the other columns.

    Raises
    ------
    RequestInvalidError, NotFoundError, FileUnreadableError
        When a row has no position or no number to count, or there is no such column or file.
    """
    table = read_table(path)
    shapes = table.geometry
    if shapes is None:
        lon, lat = (numbers_of(table.frame, _header(table.frame, each), table.name) for each in POSITION[:2])
        shapes = shapely.points(lon, lat)
    missing = np.flatnonzero([shape is None or shape.is_empty for shape in shapes])
    if len(missing):
        raise RequestInvalidError(f"Row {missing[0] + 1} of {table.name} has no position.", field="points")
    metric = to_metric(declare_datum(datum, table.crs, table.name).to_storage(shapes), epsg)
    counted = np.ones(len(shapes)) if count is None else numbers_of(table.frame, count, table.name)
    return shapely.point_on_surface(metric), counted, table.frame


def _header(frame: pd.DataFrame, wanted: Field) -> str:
    """Return the column of a coordinate: its name or, in order, one of the aliases that imports know."""
    headers = {str(name).strip().lower(): str(name) for name in frame.columns}
    found = [headers[alias] for alias in (wanted.name, *wanted.aliases) if alias in headers]
    return found[0] if found else wanted.name


def numbers_of(frame: pd.DataFrame, column: str, file: str) -> NDArray[np.float64]:
    """Return the numbers in a column of a file, or refuse the first that is none."""
    if column not in frame:
        raise NotFoundError(f"{file} has no column {column}.", hint=f"It has: {', '.join(map(str, frame.columns))}.")
    numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise RequestInvalidError(f"Row {wrong[0] + 1} of {file} has no number in column {column}.", field=column)
    return numbers
