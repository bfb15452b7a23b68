"""Borders in tiles: neighbours share them to the last pixel at every zoom, before and after a redraw comes in force."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from factories import tile_reader
from factories import winding_town as town
from sqlalchemy import text

from gridsvc.geo.map_pixels import EXTENT, HALF_WORLD, lon_lat_to_mercator, pixel_size
from gridsvc.services.tile_shapes import TOLERANCE_PIXELS, renew_tile_shapes
from gridsvc.store.tiles import BUFFER, LAYERS, SHAPED_ZOOM, TileRepository

pytestmark = pytest.mark.postgis
START, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
ZOOMS = range(LAYERS["grids_social"].min_zoom, SHAPED_ZOOM + 2)


def in_pixels(shape, z):
    """Return a shape in pixels of a zoom."""
    size = pixel_size(z)
    return shapely.transform(shape, lambda c: (lon_lat_to_mercator(c) - (-HALF_WORLD, HALF_WORLD)) / (size, -size))


def tiles_of(uow, layer, shape, z, at=START):
    """Yield x, y and the rings by code of each tile that a shape touches."""
    left, top, right, bottom = (int(v // EXTENT) for v in in_pixels(shape, z).bounds)
    for x in range(left, right + 1):
        for y in range(top, bottom + 1):
            data = TileRepository(uow.connection).tile(layer, z, x, y, at=at)
            if data:
                yield x, y, tile_reader.rings(data, layer)


def alone(rings):
    """Return the directed edges of all rings of a tile that no neighbour has the other way, but for those where it is cut off."""
    ends = (-BUFFER, EXTENT + BUFFER)
    edges = Counter()
    for ring in rings:
        for a, b in itertools.pairwise(ring):
            if not any(a[i] == b[i] and a[i] in ends for i in (0, 1)):
                edges[a, b] += 1
    return [edge for edge, count in edges.items() if edges[edge[1], edge[0]] != count]


def assert_shared(uow, layer, ground, z, at=START):
    """Assert that every edge of every tile has its neighbour, but for those on the outline of the ground."""
    outline = shapely.boundary(in_pixels(ground, z))
    seen = set()
    for x, y, found in tiles_of(uow, layer, ground, z, at):
        seen |= set(found)
        edges = np.array(alone([ring for rings in found.values() for ring in rings]), dtype=float)
        if len(edges):
            middles = shapely.points(edges.mean(axis=1) + np.array([x, y]) * EXTENT)
            assert shapely.distance(middles, outline).max() <= TOLERANCE_PIXELS + 1, (layer, z, x, y)
    return seen


@pytest.fixture(scope="module")
def frames():
    return town.town_frames()


@pytest.fixture
def stored(uow, frames):
    """The town, its shapes drawn; yields the unit of work."""
    divisions, grids = frames
    uow.divisions.put_frame(divisions, START)
    town.put_grids(uow, grids, START)
    renew_tile_shapes(uow)
    return uow


def everything(frames):
    return shapely.coverage_union_all(frames[1].geometry.to_numpy())


@pytest.mark.parametrize("z", ZOOMS)
def test_grids_share_their_borders_at_every_zoom(stored, frames, z):
    seen = assert_shared(stored, "grids_social", everything(frames), z)

    assert seen == set(frames[1]["code"])


@pytest.mark.parametrize("z", range(LAYERS["communities"].min_zoom, SHAPED_ZOOM + 2, 2))
def test_communities_share_their_borders_at_every_zoom(stored, frames, z):
    assert_shared(stored, "communities", everything(frames), z)


@pytest.mark.parametrize("z", ZOOMS)
def test_borders_are_shared_before_shapes_are_drawn(uow, frames, z):
    uow.divisions.put_frame(frames[0], START)
    town.put_grids(uow, frames[1], START)

    assert assert_shared(uow, "grids_social", everything(frames), z) == set(frames[1]["code"])


def test_far_away_most_vertices_are_left_out(stored):
    vertices = "SELECT sum(ST_NPoints(shape)) FROM tile_shapes WHERE layer = 'grids_social' AND z = :z"
    far, near = (stored.connection.scalar(text(vertices), {"z": z}) for z in (12, SHAPED_ZOOM))

    assert far * 5 < near


def test_tiles_beside_each_other_agree(stored, frames):
    found = {(x, y): rings for x, y, rings in tiles_of(stored, "grids_social", everything(frames), 15)}
    compared = 0
    for (x, y), rings in found.items():
        for code in set(rings) & set(found.get((x + 1, y), {})):
            mine = strip_of(rings[code], EXTENT)
            theirs = strip_of([[(a + EXTENT, b) for a, b in ring] for ring in found[x + 1, y][code]], EXTENT)
            compared += len(mine)
            assert mine == theirs
    assert compared > 20


def strip_of(rings, x):
    """Return the vertices of rings less than a buffer from the line at ``x``, well inside of what both tiles hold."""
    points = (point for ring in rings for point in ring)
    return {(a, b) for a, b in points if abs(a - x) < BUFFER - 1 and -BUFFER < b < EXTENT + BUFFER}


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["grids_social", "communities"])
def test_a_whole_district_has_no_slit_at_any_zoom_and_none_between_tiles(uow, layer):
    divisions, grids = town.town_frames(8, 3)
    uow.divisions.put_frame(divisions, START)
    town.put_grids(uow, grids, START)
    renew_tile_shapes(uow)
    ground = shapely.coverage_union_all(grids.geometry.to_numpy())

    for z in range(LAYERS[layer].min_zoom, SHAPED_ZOOM + 2):
        seen = assert_shared(uow, layer, ground, z)
        if layer == "grids_social":
            assert seen == set(grids["code"])
        found = {(x, y): rings for x, y, rings in tiles_of(uow, layer, ground, z)}
        for (x, y), rings in found.items():
            for step, turned in (((1, 0), False), ((0, 1), True)):
                beside = found.get((x + step[0], y + step[1]), {})
                for code in set(rings) & set(beside):
                    mine, theirs = rings[code], moved(beside[code], step)
                    if turned:
                        mine, theirs = across(mine), across(theirs)
                    assert strip_of(mine, EXTENT) == strip_of(theirs, EXTENT), (z, x, y, code)


def moved(rings, step):
    return [[(a + EXTENT * step[0], b + EXTENT * step[1]) for a, b in ring] for ring in rings]


def across(rings):
    return [[(b, a) for a, b in ring] for ring in rings]


def rows_drawn(uow):
    statement = "SELECT layer, z, row_id, ST_AsText(shape), label_x, label_y FROM tile_shapes ORDER BY 1, 2, 3"
    return uow.connection.execute(text(statement)).all()


def redrawn(frames):
    """Return the grids of the middle community cut across: two where one was, with new corners on the community's border."""
    grids = frames[1]
    code = frames[0]["code"].iloc[2 + 4]
    mine = grids[grids["community_code"] == code]
    first = mine.iloc[[0, 1]]
    joined = shapely.coverage_union_all(first.geometry.to_numpy())
    kept = mine.iloc[2:]
    changed = mine.iloc[[0]].assign(code=f"{code}011")
    return code, kept.merge(changed, how="outer").set_geometry([*kept.geometry, joined], crs=4490)


def test_a_redraw_in_force_is_drawn_anew_and_nothing_far_from_it(stored, frames):
    before = {row[:3]: row[3] for row in rows_drawn(stored)}
    community, grids = redrawn(frames)
    town.put_grids(stored, grids, LATER, communities=[community])
    assert_shared(stored, "grids_social", everything(frames), 13, LATER)

    count = renew_tile_shapes(stored)
    after = {row[:3]: row[3] for row in rows_drawn(stored)}

    assert 0 < count < len(frames[1])
    changed = {key[2] for key in before if before[key] != after[key]}
    assert len(after) > len(before) and len(changed) < count
    for z in ZOOMS:
        assert assert_shared(stored, "grids_social", everything(frames), z, LATER) >= set(grids["code"])
        assert_shared(stored, "grids_social", everything(frames), z, START)


def test_drawing_what_changed_gives_what_drawing_everything_gives(stored, frames):
    community, grids = redrawn(frames)
    town.put_grids(stored, grids, LATER, communities=[community])
    renew_tile_shapes(stored)
    in_steps = rows_drawn(stored)

    stored.connection.execute(text("DELETE FROM tile_shapes"))
    for table, about in (("grids", "network"), ("divisions", "level")):
        stored.connection.execute(
            text(
                f"INSERT INTO tile_ground (layer, geom) SELECT gridsvc_tile_layer({about}), ST_Envelope(geom) FROM {table}"
            )
        )
    renew_tile_shapes(stored)

    assert rows_drawn(stored) == in_steps


def test_ground_is_noted_for_what_changes_a_shape_and_nothing_else(stored):
    noted = "SELECT count(*) FROM tile_ground"
    connection = stored.connection

    connection.execute(text("UPDATE grids SET valid_to = :at, name = 'x'"), {"at": LATER})
    assert connection.scalar(text(noted)) == 0
    connection.execute(text("UPDATE divisions SET geom = ST_Translate(geom, 0.00001, 0) WHERE level = 'district'"))
    assert connection.scalar(text(noted)) == 2
    connection.execute(text("DELETE FROM grids WHERE code = (SELECT min(code) FROM grids)"))
    assert connection.scalar(text(noted)) == 3
    orphans = (
        "SELECT count(*) FROM tile_shapes WHERE layer = 'grids_social' AND row_id NOT IN (SELECT grid_id FROM grids)"
    )
    assert connection.scalar(text(orphans)) == 0
