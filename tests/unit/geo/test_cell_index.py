"""The cell index answers as GEOS does, for every shape, place and size, and keeps its memory."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.geo.location import GridIndex, find_in_all
from tests.factories.partitions import codes_of, jittered_quads, stored


def by_geos(shapes, lon, lat):
    """Return the first of the shapes that intersects each point, -1 where none does, from shapely's tree."""
    point, shape = shapely.STRtree(shapes).query(shapely.points(lon, lat), predicate="intersects")
    rows = np.full(len(lon), len(shapes))
    np.minimum.at(rows, point, shape)
    rows[rows == len(shapes)] = -1
    return rows


def named(shapes):
    return GridIndex([f"{n:06d}" for n in range(len(shapes))], shapes)


def hard_points(shapes, seed, anywhere=2000):
    """Return vertices, middles and other points of edges, all of these one step of a double away, and points anywhere."""
    random = np.random.default_rng(seed)
    vertices = shapely.get_coordinates(shapes)
    a, b = vertices[:-1], vertices[1:]
    near = np.hypot(*(b - a).T) < np.quantile(np.hypot(*(b - a).T), 0.99)
    a, b = a[near], b[near]
    on_edges = a + random.uniform(0, 1, (len(a), 1)) * (b - a)
    exact = np.concatenate([vertices, (a + b) / 2.0, on_edges])
    moved = np.nextafter(exact, exact + random.choice([-1.0, 1.0], exact.shape))
    low, high = shapely.total_bounds(shapes)[:2], shapely.total_bounds(shapes)[2:]
    spread = random.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (anywhere, 2))
    return np.concatenate([exact, moved, spread]).T


def check(shapes, seed=0, anywhere=2000):
    shapes = np.asarray(shapes, dtype=object)
    lon, lat = hard_points(shapes, seed, anywhere)
    index = named(shapes)

    found = index.find(lon, lat)

    assert (found == by_geos(shapes, lon, lat)).all()
    assert found[:50].tolist() == [int(index.find(x, y)) for x, y in zip(lon[:50], lat[:50], strict=True)]


def test_a_partition_on_vertices_edges_and_one_step_beside_them():
    _, metric = jittered_quads(30, 30, seed=5)

    check(shapely.segmentize(stored(metric), 1e-4), anywhere=20_000)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-7, 30), st.floats(-150, 150), st.floats(-50, 50), st.integers(2, 30))
def test_overlapping_shapes_of_any_size_anywhere(seed, size, lon, lat, count):
    random = np.random.default_rng(seed)
    centres = random.uniform(0, 4, (count, 2))
    radii = random.lognormal(-1, 1.5, count)
    discs = shapely.buffer(shapely.points(centres), radii, quad_segs=3)
    holed = [
        d - shapely.buffer(shapely.Point(c), r / 2) if n % 3 else d
        for n, (d, c, r) in enumerate(zip(discs, centres, radii, strict=True))
    ]
    shapes = shapely.transform(np.array(holed, dtype=object), lambda v: v * size + [lon, lat])
    sound = shapes[shapely.is_valid(shapes) & (shapely.area(shapes) > 0)]
    if len(sound):
        check(sound, seed, anywhere=300)


def test_spikes_slivers_and_many_parts():
    comb = shapely.Polygon(
        [(114, 30), *[(114 + n * 1e-4, 30 + (0.01 if n % 2 else 1e-9)) for n in range(1, 200)], (114.02, 30)]
    )
    parts = shapely.MultiPolygon([shapely.box(114 + n * 0.002, 29.9, 114 + n * 0.002 + 1e-9, 29.99) for n in range(20)])

    check([comb, parts, shapely.box(113.99, 29.95, 114.03, 30.005)], anywhere=20_000)


def test_one_huge_shape_among_many_tiny_ones():
    _, metric = jittered_quads(20, 20, seed=2)
    tiny = stored(metric)
    huge = shapely.segmentize(shapely.box(100, 20, 130, 45) - shapely.union_all(tiny).envelope.buffer(1e-3), 1.0)

    check([*tiny, huge, shapely.box(-180, -90, 180, 90)], anywhere=5000)


def test_across_the_antimeridian_and_at_the_poles():
    fiji = shapely.MultiPolygon([shapely.box(177, -19, 180, -16), shapely.box(-180, -19, -178, -16)])
    index = named([fiji, shapely.box(-180, 80, 180, 90)])

    assert index.find([180.0, -180.0, 179.5, -179.0, 0.0, 0.0], [-17, -17, -17, -17, 90, -17]).tolist() == [
        0,
        0,
        0,
        0,
        1,
        -1,
    ]


def test_no_number_is_nowhere_in_short_and_long_arrays():
    index = named([shapely.box(0, 0, 1, 1)])
    odd = [np.nan, np.inf, -np.inf, 1e300, -1e300, 0.5]

    assert index.find(odd, [0.5] * 6).tolist() == [-1] * 5 + [0]
    assert index.find(np.tile(odd, 2000), np.full(12_000, 0.5)).tolist() == [-1, -1, -1, -1, -1, 0] * 2000
    assert index.find([0.5, 0.5], [np.nan, np.inf]).tolist() == [-1, -1]


def test_negative_zero_is_zero():
    assert named([shapely.box(0, 0, 1, 1)]).find([-0.0], [-0.0]).tolist() == [0]


def test_several_indexes_are_asked_at_once_and_answer_as_each_alone():
    _, metric = jittered_quads(12, 12)
    grids = stored(metric)
    indexes = [GridIndex(codes_of(grids), grids), GridIndex([], []), named([shapely.union_all(grids)])]
    lon, lat = hard_points(grids, 1, anywhere=20_000)

    together = find_in_all(indexes, lon, lat)

    for index, rows in zip(indexes, together, strict=True):
        assert (rows == index.find(lon, lat)).all()
    assert (together[1] == -1).all()


def test_an_index_comes_back_from_its_arrays_which_cannot_be_written():
    _, metric = jittered_quads(6, 6)
    grids = stored(metric)
    index = GridIndex(codes_of(grids), grids)
    lon, lat = hard_points(grids, 1)

    again = GridIndex.from_arrays(index.codes, index.arrays)

    assert (again.locate(lon, lat) == index.locate(lon, lat)).all()
    with pytest.raises(ValueError, match="read-only"):
        index.arrays["top"][0] = 0


def test_the_memory_does_not_follow_the_extent():
    _, metric = jittered_quads(20, 20)
    near = stored(metric)
    far = np.append(near, shapely.box(0, 0, 1e-3, 1e-3))

    assert named(far).nbytes < 60_000_000
    check(far, anywhere=100)


def test_the_nearest_grid_within_a_distance():
    index = named([shapely.box(114.0, 30.0, 114.01, 30.01), shapely.box(114.01, 30.0, 114.02, 30.01)])
    south = 30.0 - 50.0 / 110_850.0

    rows, distances = index.nearest(
        [114.005, 114.01, 114.015, 114.005, np.nan], [south, south, south, 29.0, 30.0], 60.0
    )

    assert rows.tolist() == [0, 0, 1, -1, -1]
    assert distances[:3] == pytest.approx(50.0, abs=0.1)
    assert np.isnan(distances[3:]).all()
    assert index.nearest([114.005], [south], 49.0)[0].tolist() == [-1]
