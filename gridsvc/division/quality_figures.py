"""The figures of a quality report: each with its definition, and its source or "our choice".

Shares are 0 to 1, None where there is nothing to share out. Lengths in m, areas in m2.
"""

from __future__ import annotations

from dataclasses import dataclass

from gridsvc.division.quality_problems import Problem


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of a number over the grids: extremes, quartiles (linear between ranks), mean, coefficient of variation.

    ``variation`` is the population standard deviation over the mean; None where the mean is zero.
    """

    least: float
    quarter: float
    median: float
    three_quarters: float
    most: float
    mean: float
    variation: float | None


@dataclass(frozen=True, slots=True)
class Pieces:
    """Number and area of the pieces of a fault. ``area_m2`` is exactly 0.0 where the partition is exact."""

    count: int
    area_m2: float


@dataclass(frozen=True, slots=True)
class BorderShare:
    """Metres of inner border along a kind of line, and their share of all inner border."""

    metres: float
    share: float | None


@dataclass(frozen=True, slots=True)
class Stability:
    """What stays of the grids before.

    ``households_kept_share`` is the share of households whose grid has the same code before and after; households in no grid before
    are not counted. Source: our choice. ``codes_kept``, ``codes_new`` and ``codes_gone`` count grid codes.
    """

    households_kept_share: float | None
    codes_kept: int
    codes_new: int
    codes_gone: int


@dataclass(frozen=True, slots=True)
class GridRow:
    """One grid in numbers. Lengths in m, areas in m2.

    ``in_bounds`` and ``on_target`` are None where nothing is asked; ``border_m`` is its inner border by what it follows;
    ``households_kept`` counts households that were in a grid of the same code before, None without a before.
    """

    code: str
    community_code: str
    households: int
    population: int
    buildings: int
    area_m2: float
    target_m2: float | None
    compactness: float
    parts: int
    in_bounds: bool | None
    on_target: bool | None
    border_m: dict[str, float]
    outside_m2: float
    buildings_cut: int
    households_kept: int | None


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The quality of a division in numbers, grid by grid, and as a list of places.

    Attributes
    ----------
    kind
        ``governance`` or ``unit``.
    grids, communities
        How many were measured.
    exact_communities
        Communities whose grids cancel out with the boundary edge by edge: a proof of no gap and no overlap. Source: winding numbers,
        see `gridsvc.geo.partitions.check_partition`.
    communities_without_grids
        Their ground is not counted as gap.
    gaps, overlaps, outside
        Ground of a community that no grid covers; that two grids cover, once per pair; parts of grids beyond their community. ``area_m2``
        holds all of it, slivers too, ``count`` the pieces of at least 1 m2. Source: seamless division (无缝拼接) and a grid within one
        community (属地管理), principles of unit-grid division; the 1 m2 is our choice.
    slivers
        The smaller pieces of all three.
    invalid
        Grids that are no valid polygon; they are repaired to be measured at all.
    not_contiguous
        Grids in several parts within one part of their community. Source: one grid, one place; our choice of words.
    outside_community
        Grids with at least 1 m2 outside of their community, or of a community that is not known.
    buildings_cut
        Buildings with at least 0.1 m2 on both sides of a border within their community. Source: grids follow building groups and do
        not split a managing unit (现状管理); the 0.1 m2 is our choice.
    households_from
        ``buildings`` where any are known, else ``grids`` (as stated with them).
    households_total, households_in_no_grid
        Of the buildings of these communities.
    households
        Per grid.
    in_bounds_share
        Share of the grids within the household bounds. Source: 300-500 resident households, city regulations on grid services.
    attainable_share
        The same among the grids of communities whose households can be split within the bounds at all (some whole number of grids k
        with k x min <= households <= k x max). Source: our choice.
    area_m2, on_target_share
        Per grid; share within the spread of the target area.
    compactness
        Polsby-Popper, 4 pi A / P2, holes and parts included. Source: Polsby and Popper 1991; 1 is a circle, 0.785 a square.
    border_m, border
        Inner border, where a grid ends but its community does not: each metre once, and by what it follows (street before wall before
        water). Where neighbours do not meet each side counts half. Source: our choice.
    stability
        Against the grids before; None without them.
    rows
        In the order of the grids given.
    problems
        Gravest kind first, largest first within a kind.
    notes
        What the reader must know of the input.
    """

    kind: str
    grids: int
    communities: int
    exact_communities: int
    communities_without_grids: tuple[str, ...]
    gaps: Pieces
    overlaps: Pieces
    outside: Pieces
    slivers: Pieces
    invalid: int
    not_contiguous: int
    outside_community: int
    buildings: int
    buildings_cut: int
    households_from: str
    households_total: int
    households_in_no_grid: int
    households: Spread | None
    in_bounds_share: float | None
    attainable_share: float | None
    area_m2: Spread | None
    on_target_share: float | None
    compactness: Spread | None
    border_m: float
    border: dict[str, BorderShare]
    stability: Stability | None
    rows: tuple[GridRow, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
