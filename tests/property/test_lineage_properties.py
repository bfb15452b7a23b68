"""Properties of lineage over random redraws of random ground."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.division.lineage import KINDS, Homes, lineage_of
from tests.factories.partitions import codes_of, jittered_quads

SEED = st.integers(0, 10_000)
SIDE = st.integers(1, 4)


def redraw(old_size, new_size, seed, homes=60):
    """Return the lineage from one cutting of a square of 600 m to another, with homes anywhere."""
    draw = np.random.default_rng(seed)
    origin = (450_000.0, 4_419_000.0)
    _, old = jittered_quads(*old_size, size_m=1.0, seed=seed, origin=(0.0, 0.0))
    _, new = jittered_quads(*new_size, size_m=1.0, seed=seed + 1, origin=(0.0, 0.0))
    fit = [
        shapely.transform(shapes, lambda v, size=size: v / size * 600.0 + origin)
        for shapes, size in ((old, old_size), (new, new_size))
    ]
    points = shapely.points(draw.uniform(0.0, 600.0, (homes, 2)) + origin)
    households = draw.integers(0, 50, homes)
    everybody = Homes(points, households, households * 2)
    return lineage_of(codes_of(fit[0]), fit[0], codes_of(fit[1]), fit[1], everybody), fit, everybody


@settings(max_examples=40, deadline=None)
@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), SEED)
def test_weights_of_every_grid_add_up_to_exactly_one(old_size, new_size, seed):
    lineage, _, _ = redraw(old_size, new_size, seed)

    for codes, names in (
        (lineage.old_code, ("old_area_share", "old_household_share")),
        (lineage.new_code, ("new_area_share", "new_household_share")),
    ):
        for name in names:
            shares = getattr(lineage, name)
            assert (shares >= 0).all()
            for code in set(codes):
                assert sum(shares[codes == code].tolist()) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), SEED)
def test_everybody_and_all_ground_are_in_exactly_one_pair(old_size, new_size, seed):
    lineage, (old, new), homes = redraw(old_size, new_size, seed)

    assert lineage.households.sum() == homes.households.sum()
    assert lineage.population.sum() == homes.population.sum()
    assert set(lineage.old_code) == set(codes_of(old)) and set(lineage.new_code) == set(codes_of(new))
    assert abs(lineage.area_m2.sum() - shapely.area(old).sum()) < len(old) * len(new)  # slivers below 1 m2 each
    assert set(lineage.kind) <= set(KINDS)


@settings(max_examples=30, deadline=None)
@given(st.tuples(SIDE, SIDE), SEED)
def test_the_same_grids_again_are_all_kept(size, seed):
    _, grids = jittered_quads(*size, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(len(grids))
    codes = np.array(codes_of(grids), dtype=object)
    nobody = Homes(np.empty(0, dtype=object), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    lineage = lineage_of(codes, grids, codes[shuffled], grids[shuffled], nobody)

    assert lineage.old_code.tolist() == lineage.new_code.tolist() == sorted(codes)
    assert set(lineage.kind) == {"kept"}
    assert len(set(lineage.relation)) == len(grids)
