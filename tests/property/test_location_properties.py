"""Properties of point to grid over generated partitions and points."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.geo.location import GridIndex
from tests.factories.partitions import codes_of, jittered_quads, stored

SEED = st.integers(0, 10_000)


def hard_points(grids, seed):
    """Return every vertex, every edge midpoint as a double, and random points around the grids."""
    rings = [shapely.get_coordinates(g) for g in grids]
    middles = np.concatenate([(r[:-1] + r[1:]) / 2.0 for r in rings])
    box = shapely.total_bounds(grids)
    anywhere = np.random.default_rng(seed).uniform(box[:2], box[2:], (200, 2))
    return np.concatenate([*rings, middles, anywhere]).T


@settings(max_examples=25, deadline=None)
@given(SEED)
def test_the_answer_is_the_smallest_code_of_all_that_intersect(seed):
    _, metric = jittered_quads(4, 3, seed=seed)
    grids = stored(metric)
    codes = np.array(codes_of(grids), dtype=object)
    lon, lat = hard_points(grids, seed)

    located = GridIndex(codes, grids).locate(lon, lat)

    hits = shapely.intersects(grids[:, None], shapely.points(lon, lat)[None, :])
    expected = [min(codes[hit], default=None) for hit in hits.T]
    assert located.tolist() == expected


@settings(max_examples=25, deadline=None)
@given(SEED, st.randoms())
def test_shuffling_the_grids_changes_nothing_and_single_equals_bulk(seed, random):
    _, metric = jittered_quads(4, 3, seed=seed)
    grids = stored(metric)
    codes = codes_of(grids)
    order = random.sample(range(len(grids)), len(grids))
    lon, lat = hard_points(grids, seed)

    index = GridIndex(codes, grids)
    shuffled = GridIndex([codes[i] for i in order], grids[order])

    bulk = index.locate(lon, lat)
    assert (bulk == shuffled.locate(lon, lat)).all()
    assert bulk[:40].tolist() == [index.locate_one(x, y) for x, y in zip(lon[:40], lat[:40], strict=True)]
