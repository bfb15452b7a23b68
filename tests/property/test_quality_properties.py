"""The quality report of whatever a division makes: exact to the last digit, and in step with what the division counted."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.division.communities import DivisionRules
from gridsvc.division.dividing import divide_community
from gridsvc.division.quality_report import Bounds, GridSet, Ground, quality_report
from gridsvc.division.unit_targets import unit_targets, weigh_ground
from tests.factories.measured_grids import shapes, texts
from tests.factories.towns import town


def report_of(community, division, kind, **changes):
    made = getattr(division, f"{kind}_grids")
    codes = texts(*[f"{community.code}{i + 1:03d}" for i in range(len(made))])
    ground = Ground(
        texts(community.code), shapes(community.boundary), streets=community.streets, walls=community.barriers,
        water=shapely.boundary(community.water), buildings=community.buildings, households=community.households,
        population=community.population,
    )  # fmt: skip
    return quality_report(
        GridSet(codes, made, np.full(len(made), community.code, dtype=object)), ground, kind=kind, **changes
    )


@settings(max_examples=12, deadline=None)
@given(
    width=st.floats(200, 700), height=st.floats(200, 600), block=st.floats(90, 180), each=st.integers(4, 60),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_report_of_an_exact_division_has_no_fault(width, height, block, each, seed):
    community = town(width=width, height=height, block=block, households_each=each, seed=seed)
    division = divide_community(community)

    for kind in ("governance", "unit"):
        report = report_of(community, division, kind)

        assert report.exact_communities == 1
        assert [p.area_m2 for p in (report.gaps, report.overlaps, report.outside, report.slivers)] == [0.0] * 4
        assert (report.buildings_cut, report.not_contiguous, report.outside_community) == (0, 0, 0)
        assert [row.households for row in report.rows] == getattr(division, f"{kind}_households").tolist()
        assert [row.population for row in report.rows] == getattr(division, f"{kind}_population").tolist()
        assert sum(part.metres for part in report.border.values()) == pytest.approx(report.border_m)


@settings(max_examples=6, deadline=None)
@given(width=st.floats(250, 700), each=st.integers(10, 60), seed=st.integers(0, 1000))
def test_the_report_agrees_with_what_the_division_says_of_itself(width, each, seed):
    community = town(width=width, households_each=each, seed=seed)
    division = divide_community(community)
    rules = DivisionRules()
    target = unit_targets(division.unit_grids, weigh_ground(community, rules))

    governance = report_of(community, division, "governance")
    unit = report_of(community, division, "unit", bounds=Bounds(None, None, target_m2=target))

    assert target == pytest.approx(division.unit_target_m2)
    assert governance.border_m == pytest.approx(division.border_m)
    on_lines = sum(part.metres for kind, part in governance.border.items() if kind != "none")
    # the division takes an edge whole or not at all, within 5 cm; the report goes by the metre, within 1 m
    assert on_lines == pytest.approx(division.border_on_lines_m, rel=0.02, abs=10)
    off = np.abs(shapely.area(division.unit_grids) / division.unit_target_m2 - 1)
    assert unit.on_target_share == pytest.approx(float(np.mean(off <= rules.unit_area_spread)))


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(0.002, 5.0), seed=st.integers(0, 50))
def test_one_grid_moved_aside_leaves_as_much_gap_as_it_covers_elsewhere(shift, seed):
    community = town(seed=seed)
    division = divide_community(community)
    made = division.governance_grids.copy()
    made[0] = shapely.transform(made[0], lambda v: v + np.array([shift, 0.0]))
    ground = Ground(texts(community.code), shapes(community.boundary))
    codes = texts(*[f"{community.code}{i + 1:03d}" for i in range(len(made))])

    report = quality_report(GridSet(codes, made, np.full(len(made), community.code, dtype=object)), ground)

    assert report.exact_communities == 0
    assert report.gaps.area_m2 > 0
    assert report.gaps.area_m2 == pytest.approx(report.overlaps.area_m2 + report.outside.area_m2, rel=1e-3, abs=1e-3)
