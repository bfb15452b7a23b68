"""Properties of partitions over generated coverings."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.geo import partitions
from tests.factories.partitions import jittered_quads, stored, with_t_junctions

SEED = st.integers(0, 10_000)
SIDE = st.integers(1, 5)


@settings(max_examples=40, deadline=None)
@given(SIDE, SIDE, SEED)
def test_noding_makes_any_loose_covering_exact_and_keeps_its_area(columns, rows, seed):
    boundary, grids = jittered_quads(columns, rows, seed=seed)

    noded = partitions.node_shared_vertices(with_t_junctions(grids, seed=seed))

    report = partitions.check_partition(boundary, noded)
    assert report.is_exact
    assert (report.gap_area_m2, report.overlap_area_m2) == (0.0, 0.0)
    assert abs(shapely.area(noded).sum() - boundary.area) < 0.1
    assert partitions.is_exact(stored(noded))


@settings(max_examples=40, deadline=None)
@given(SIDE, SIDE, SEED, st.data())
def test_a_missing_grid_is_a_gap_of_its_area(columns, rows, seed, data):
    boundary, grids = jittered_quads(columns, rows, seed=seed)
    missing = data.draw(st.integers(0, len(grids) - 1))
    rest = np.delete(grids, missing)
    if not len(rest):
        return

    report = partitions.check_partition(boundary, rest)

    assert not report.is_exact
    assert abs(report.gap_area_m2 - grids[missing].area) < 1e-3
    assert report.overlap_area_m2 == 0.0


@settings(max_examples=30, deadline=None)
@given(SIDE, SIDE, SEED, st.randoms())
def test_the_order_of_the_grids_does_not_matter(columns, rows, seed, random):
    _, grids = jittered_quads(columns, rows, seed=seed)
    loose = with_t_junctions(grids, seed=seed)
    order = random.sample(range(len(loose)), len(loose))

    straight = partitions.node_shared_vertices(loose)
    shuffled = partitions.node_shared_vertices(loose[order])

    assert shapely.equals_exact(straight[order], shuffled, 0.0).all()
