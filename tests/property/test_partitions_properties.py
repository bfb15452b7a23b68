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


def communities_side_by_side(columns, rows, seed):
    """Return grids that share vertices inside each of two communities but not across, their community, and the two boundaries."""
    _, grids = jittered_quads(2 * columns, rows, seed=seed)
    loose = with_t_junctions(grids, seed=seed)
    community = (np.arange(len(grids)) % (2 * columns) >= columns).astype(int)
    loose = np.concatenate([partitions.node_shared_vertices(loose[community == c]) for c in (0, 1)])
    community = np.sort(community)
    return loose, community, np.array([shapely.coverage_union_all(loose[community == c]) for c in (0, 1)])


@settings(max_examples=40, deadline=None)
@given(SIDE, SIDE, SEED)
def test_noding_borders_of_groups_only_comes_to_the_same(columns, rows, seed):
    loose, community, _ = communities_side_by_side(columns, rows, seed)

    noded = partitions.node_shared_vertices(loose, group=community)

    assert shapely.equals_exact(noded, partitions.node_shared_vertices(loose), 0.0).all()
    assert partitions.is_exact(noded)


@settings(max_examples=40, deadline=None)
@given(SIDE, SIDE, SEED, st.data())
def test_a_boundary_is_unmatched_exactly_when_a_grid_of_it_is_missing(columns, rows, seed, data):
    loose, community, boundaries = communities_side_by_side(columns, rows, seed)
    group = np.concatenate([community, [2, 3]])
    noded = partitions.node_shared_vertices(np.concatenate([loose, boundaries]), group=group)
    grids, outlines = noded[: len(loose)], noded[len(loose) :]
    missing = data.draw(st.integers(0, len(grids) - 1))

    assert len(partitions.unmatched_boundaries(outlines, grids, community)) == 0
    left = partitions.unmatched_boundaries(outlines, np.delete(grids, missing), np.delete(community, missing))
    assert left.tolist() == [community[missing]]
