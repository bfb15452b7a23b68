"""The problem places of a division: what is wrong, where, how much, in one sentence, gravest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.exactness import Fault

# by gravity: what breaks the partition, then what breaks a rule, then what could be better
PROBLEM_KINDS = {
    "no_grids": ("社区没有网格", "Community without grids"),
    "invalid": ("图形无效", "Invalid shape"),
    "unknown_community": ("社区编码不存在", "Unknown community"),
    "overlap": ("重叠", "Overlap"),
    "gap": ("缝隙", "Gap"),
    "outside": ("超出社区", "Outside its community"),
    "parted": ("不连片", "In several parts"),
    "building_cut": ("切割建筑", "Building cut"),
    "sliver": ("碎屑", "Sliver"),
    "households": ("户数超限", "Households out of bounds"),
    "area": ("面积偏离", "Area off target"),
    "shape": ("形状狭长", "Odd shape"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One place. ``place`` is a geometry in the CRS of the report; ``amount`` is in ``unit`` (m2, households, parts, ratio).

    ``sentence`` says it in English, ``sentence_zh`` in Chinese.
    """

    kind: str
    grids: tuple[str, ...]
    community_code: str
    place: shapely.Geometry
    amount: float
    unit: str
    sentence: str
    sentence_zh: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the report found, in step with the grids; ``solid`` maps the grids of faults and cuts to positions among all."""

    codes: NDArray[np.object_]
    shapes: Geometries
    communities: NDArray[np.object_]
    boundaries: Geometries
    community: Integers
    stated: NDArray[np.object_]
    without_grids: Integers
    invalid: NDArray[np.bool_]
    solid: Integers
    faults: list[Fault]
    sliver_m2: float
    parted: NDArray[np.bool_]
    parts: Integers
    buildings: Geometries
    cut: Integers
    cut_by: list[tuple[int, ...]]
    households: Integers
    bounds: tuple[int | None, int | None]
    out_of_bounds: NDArray[np.bool_]
    area: Floats
    target: Floats | None
    spread: float
    compactness: Floats
    odd_compactness: float


def problems_of(found: Found) -> tuple[Problem, ...]:
    """Return the problem places, gravest kind first, largest first within a kind."""
    gravity = {kind: i for i, kind in enumerate(PROBLEM_KINDS)}
    every = [*_of_communities(found), *_of_shapes(found), *_of_faults(found), *_of_buildings(found), *_of_sizes(found)]
    return tuple(sorted(every, key=lambda p: (gravity[p.kind], -_weight(p), p.grids, p.community_code)))


def _weight(problem: Problem) -> float:
    return -problem.amount if problem.kind == "shape" else problem.amount


def _of_communities(found: Found) -> Iterator[Problem]:
    for i in found.without_grids:
        code, area = str(found.communities[i]), float(found.boundaries[i].area)
        yield Problem(
            "no_grids", (), code, found.boundaries[i], area, "m2",
            f"Community {code} has no grid on its {area:,.0f} m2.", f"社区 {code} 的 {area:,.0f} 平方米没有划分网格。",
        )  # fmt: skip


def _of_shapes(found: Found) -> Iterator[Problem]:
    for i in np.flatnonzero(found.invalid):
        code = str(found.codes[i])
        yield Problem(
            "invalid", (code,), str(found.stated[i]), found.shapes[i], float(found.area[i]), "m2",
            f"Grid {code} is no valid polygon.", f"网格 {code} 不是有效的多边形。",
        )  # fmt: skip
    for i in np.flatnonzero((found.community < 0) & (found.area > 0)):
        code, community = str(found.codes[i]), str(found.stated[i])
        yield Problem(
            "unknown_community", (code,), community, found.shapes[i], float(found.area[i]), "m2",
            f"Grid {code} is of community {community}, which is not known here.",
            f"网格 {code} 所属社区 {community} 在此不存在。",
        )  # fmt: skip
    for i in np.flatnonzero(found.parted):
        code, parts = str(found.codes[i]), int(found.parts[i])
        yield Problem(
            "parted", (code,), str(found.stated[i]), found.shapes[i], parts, "parts",
            f"Grid {code} lies in {parts} separate parts.", f"网格 {code} 分成 {parts} 块，不连片。",
        )  # fmt: skip


def _of_faults(found: Found) -> Iterator[Problem]:
    words = {
        "gap": ("{area} m2 between {grids} belong to no grid.", "{grids} 之间有 {area} 平方米不属于任何网格。"),
        "overlap": ("{grids} both cover {area} m2.", "{grids} 重叠 {area} 平方米。"),
        "outside": (
            "Grid {grids} reaches {area} m2 beyond its community.",
            "网格 {grids} 超出所属社区 {area} 平方米。",
        ),
    }
    for fault in found.faults:
        codes = tuple(str(found.codes[found.solid[g]]) for g in fault.grids)
        area = float(fault.polygon.area)
        shown = f"{area:,.1f}" if area >= 1 else f"{area:.2g}"
        en, zh = words[fault.kind]
        named = codes[:4]
        grids_en = " and ".join(named) if len(named) < 3 else ", ".join(named)
        place = {"area": shown, "grids": grids_en or "no neighbours"}, {"area": shown, "grids": "、".join(named)}
        community = str(found.communities[fault.community]) if fault.community >= 0 else ""
        small = area < found.sliver_m2
        yield Problem(
            "sliver" if small else fault.kind, codes, community, fault.polygon, area, "m2",
            en.format(**place[0]), zh.format(**place[1]),
        )  # fmt: skip


def _of_buildings(found: Found) -> Iterator[Problem]:
    for i, by in zip(found.cut, found.cut_by, strict=True):
        codes = tuple(str(found.codes[found.solid[g]]) for g in by)
        shape = found.buildings[i]
        area = float(shape.area)
        community = str(found.stated[found.solid[by[0]]]) if by else ""
        yield Problem(
            "building_cut", codes, community, shape, area, "m2",
            f"A building of {area:,.0f} m2 is cut by the border of {' and '.join(codes)}.",
            f"一栋 {area:,.0f} 平方米的建筑被 {'、'.join(codes)} 的边界切割。",
        )  # fmt: skip


def _of_sizes(found: Found) -> Iterator[Problem]:
    low, high = found.bounds
    for i in np.flatnonzero(found.out_of_bounds):
        code, held = str(found.codes[i]), int(found.households[i])
        few = low is not None and held < low
        off = low - held if few and low is not None else held - (high or 0)
        limit = low if few else high
        yield Problem(
            "households", (code,), str(found.stated[i]), found.shapes[i], off, "households",
            f"Grid {code} has {held} households, {off} {'fewer' if few else 'more'} than {limit}.",
            f"网格 {code} 有 {held} 户，比{'下限' if few else '上限'} {limit} 户{'少' if few else '多'} {off} 户。",
        )  # fmt: skip
    if found.target is not None:
        ratio = np.divide(found.area, found.target, out=np.ones_like(found.area), where=found.area > 0)
        for i in np.flatnonzero(np.abs(ratio - 1) > found.spread):
            code, area, target = str(found.codes[i]), float(found.area[i]), float(found.target[i])
            yield Problem(
                "area", (code,), str(found.stated[i]), found.shapes[i], abs(area - target), "m2",
                f"Grid {code} has {area:,.0f} m2, its target is {target:,.0f} m2.",
                f"网格 {code} 面积 {area:,.0f} 平方米，目标为 {target:,.0f} 平方米。",
            )  # fmt: skip
    for i in np.flatnonzero((found.compactness < found.odd_compactness) & (found.area > 0)):
        code, value = str(found.codes[i]), float(found.compactness[i])
        yield Problem(
            "shape", (code,), str(found.stated[i]), found.shapes[i], value, "ratio",
            f"Grid {code} is long and thin or ragged (compactness {value:.2f}).",
            f"网格 {code} 狭长或破碎（紧凑度 {value:.2f}）。",
        )  # fmt: skip
