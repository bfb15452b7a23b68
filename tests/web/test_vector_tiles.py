"""Vector tiles: the same bytes every time, tagged, compressed, cut to the scope, empty where nothing is."""

from __future__ import annotations

import gzip
import math

import pytest
from factories import served_town, tile_reader
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.services import tiles
from gridsvc.services.tile_shapes import renew_tile_shapes
from gridsvc.services.tiles import LAYER_NAMES
from gridsvc.store.tiles import TileRepository

pytestmark = pytest.mark.postgis
MVT = "application/vnd.mapbox-vector-tile"


def tile_of(lon: float, lat: float, z: int) -> str:
    """Return z/x/y of the tile a position is in."""
    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
    return f"{z}/{x}/{y}"


def here(z: int) -> str:
    west, south, east, north = town.community_box(town.COMMUNITIES[0]).bounds
    return tile_of((west + east) / 2, (south + north) / 2, z)


def fetch(client, layer, z=14, **kwargs):
    return client.get(f"/tiles/{layer}/{here(z)}.mvt", **kwargs)


@pytest.mark.parametrize("layer", LAYER_NAMES)
def test_every_layer_gives_the_same_bytes_twice(town_client, layer):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    town_client.post("/api/v1/reports", json=served_town.report_body(report_id="7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e12"))

    first, again = fetch(town_client, layer), fetch(town_client, layer)

    if layer == "water":
        assert first.status_code == 204
        return
    assert (first.status_code, first.mimetype) == (200, MVT)
    assert first.data == again.data and first.headers["ETag"] == again.headers["ETag"]
    assert tile_reader.layer_names(first.data) in ([layer], [layer, f"{layer}_labels"])


def test_a_division_has_its_name_in_one_tile_only(town_client):
    z = 15
    tiles = {tile_of(town.WEST + i * 0.002, town.SOUTH + j * 0.002, z) for i in range(11) for j in range(11)}
    names = []
    for tile in tiles:
        data = town_client.get(f"/tiles/communities/{tile}.mvt").data
        if "communities_labels" in tile_reader.layer_names(data):
            names += [f["code"] for f in tile_reader.features(data, "communities_labels")]

    assert sorted(names) == sorted(town.COMMUNITIES)


def test_grids_carry_codes_and_no_row_ids(town_client, connection):
    tags = tile_reader.features(fetch(town_client, "grids_social").data)
    codes = [t["code"] for t in tags]
    row_ids = set(connection.execute(text("SELECT grid_id FROM grids")).scalars())

    assert codes == sorted(codes) and "420103001001001" in codes
    assert all(t["id"] == int(t["code"]) and t["id"] not in row_ids for t in tags)


def test_neighbouring_grids_share_their_border_in_the_tile(town_client):
    rings = {f["code"]: f["points"] for f in tile_reader.features(fetch(town_client, "grids_social", 15).data)}
    one, other = set(rings["420103001001001"]), set(rings["420103001001002"])

    assert len(one & other) >= 2


def test_a_tile_held_is_answered_304(town_client):
    first = fetch(town_client, "grids_social")
    again = fetch(town_client, "grids_social", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "no-cache" in first.headers["Cache-Control"]


def test_tiles_are_compressed_when_asked_with_a_tag_of_their_own(town_client):
    plain = fetch(town_client, "grids_urban")
    packed = fetch(town_client, "grids_urban", headers={"Accept-Encoding": "gzip"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert "Accept-Encoding" in packed.headers["Vary"]


def test_where_nothing_is_the_answer_is_204(town_client):
    assert town_client.get("/tiles/grids_social/14/0/0.mvt").status_code == 204
    assert fetch(town_client, "grids_urban", 5).status_code == 204


@pytest.mark.parametrize("path", ["grids_social/3/8/0", "grids_social/3/0/8", "grids_social/23/0/0"])
def test_what_is_no_tile_is_422(town_client, path):
    assert town_client.get(f"/tiles/{path}.mvt").json["code"] == "request-invalid"


@pytest.mark.parametrize("path", ["none/3/0/0", "grids_social/3/-1/0", "grids_social/3/0/a"])
def test_what_is_no_layer_is_404(town_client, path):
    assert town_client.get(f"/tiles/{path}.mvt").status_code == 404


def test_tiles_follow_the_instant(town_client):
    path = f"/tiles/grids_social/{here(14)}.mvt"

    assert town_client.get(f"{path}?at=2025-01-01T00:00:00Z").status_code == 204
    assert town_client.get(f"{path}?at=2026-01-01T00:00:00Z").status_code == 200


def test_a_redraw_in_force_changes_the_next_tile(town_client, open_uow, still_clock):
    before = fetch(town_client, "grids_social")
    with open_uow() as uow:
        frame = town.grid_frame([town.COMMUNITIES[0]], first_serial=11, parts=3)
        redraw = uow.redraws.open_draft("social", town.COMMUNITIES[0], "edited", "test", town.LATER)
        uow.redraws.put_grids(redraw, frame)
        uow.redraws.approve(redraw, "test", town.LATER, town.LATER, {})
        uow.commit()
    after = fetch(town_client, "grids_social", headers={"If-None-Match": before.headers["ETag"]})

    assert after.status_code == 200
    assert "420103001001012" in [f["code"] for f in tile_reader.features(after.data)]


def test_a_tile_of_one_scope_is_never_that_of_another(town_client, token_of):
    mine = fetch(town_client, "grids_social", 13, headers=token_of("viewer", town.STREETS[0], "first"))
    theirs = fetch(town_client, "grids_social", 13, headers=token_of("viewer", town.STREETS[1], "second"))

    assert mine.headers["ETag"] != theirs.headers["ETag"]
    for answer, street in ((mine, town.STREETS[0]), (theirs, town.STREETS[1])):
        assert {f["code"][:9] for f in tile_reader.features(answer.data)} == {street}
        assert "private" in answer.headers["Cache-Control"]
        assert {"Authorization", "Cookie"} <= {v.strip() for v in answer.headers["Vary"].split(",")}


@pytest.mark.parametrize("layer", ["residences", "facilities", "workers", "communities", "reports"])
def test_layers_are_cut_to_the_scope(town_client, token_of, layer):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    inside = fetch(town_client, layer, 16, headers=token_of("viewer", town.COMMUNITIES[0], "inside"))
    outside = fetch(town_client, layer, 16, headers=token_of("viewer", town.COMMUNITIES[3], "outside"))

    assert (inside.status_code, outside.status_code) == (200, 204)


def test_workers_are_drawn_in_their_grid_and_never_at_home(town_client, connection):
    features = tile_reader.features(fetch(town_client, "workers").data)
    homes = connection.execute(text("SELECT count(*) FROM workers WHERE home IS NOT NULL")).scalar_one()

    assert homes > 0
    assert {f["grid_code"][:12] for f in features} >= {town.COMMUNITIES[0]}
    assert not any("phone" in f or "home" in f for f in features)


def test_far_away_reports_are_counted_and_near_they_are_single(town_client):
    for last in range(3):
        body = served_town.report_body(report_id=f"7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e2{last}")
        town_client.post("/api/v1/reports", json=body)

    far = tile_reader.features(fetch(town_client, "reports", 12).data)
    near = tile_reader.features(fetch(town_client, "reports", 15).data)

    assert [f["reports"] for f in far] == [3] and "report_id" not in far[0]
    assert [f["reports"] for f in near] == [1, 1, 1] and near[0]["category_code"] == "E06001"


def test_reports_before_since_are_left_out(town_client):
    town_client.post("/api/v1/reports", json=served_town.report_body())

    assert fetch(town_client, "reports", query_string={"since": "2026-03-05T00:00:00Z"}).status_code == 200
    assert fetch(town_client, "reports", query_string={"since": "2026-03-06T00:00:00Z"}).status_code == 204


def test_a_tile_is_read_once_while_nothing_changes(town_client, monkeypatch):
    asked = []
    read = TileRepository.tile
    monkeypatch.setattr(TileRepository, "tile", lambda *a, **k: asked.append(a[1:]) or read(*a, **k))

    first, again = fetch(town_client, "grids_social"), fetch(town_client, "grids_social")
    past = fetch(town_client, "grids_social", query_string={"at": "2026-02-01T00:00:00Z"})

    assert asked == [("grids_social", *map(int, here(14).split("/")))]
    assert first.data == again.data == past.data


def test_a_held_tile_of_one_scope_is_not_given_to_another(town_client, token_of):
    scopes = ("", town.STREETS[0], town.COMMUNITIES[0], town.STREETS[1])
    tokens = {scope: token_of("viewer", scope, f"of{scope}") for scope in scopes}

    def codes(scope):
        return {
            f["code"] for f in tile_reader.features(fetch(town_client, "grids_social", 12, headers=tokens[scope]).data)
        }

    everything = codes("")
    for scope in (*scopes, *scopes):
        assert codes(scope) == {code for code in everything if code.startswith(scope)}
    assert {code[:9] for code in everything} == set(town.STREETS)


def test_tiles_held_stay_within_their_room(town_client, monkeypatch):
    monkeypatch.setattr(tiles, "_HELD_BYTES", 3000)
    for z in range(12, 17):
        fetch(town_client, "grids_social", z)

    assert 0 < tiles._HELD.size <= 3000
    assert tiles._HELD.size == sum(tile.size for tile in tiles._HELD.tiles.values())


def test_shapes_drawn_anew_are_those_of_the_next_tile(town_client, open_uow, connection):
    with open_uow() as uow:
        assert renew_tile_shapes(uow) > 0
    before = fetch(town_client, "grids_social", 13)
    connection.execute(text("UPDATE tile_shapes SET shape = ST_Translate(shape, 5, 0)"))
    assert fetch(town_client, "grids_social", 13).data == before.data
    connection.execute(text("UPDATE tile_version SET version = gen_random_uuid()"))

    assert fetch(town_client, "grids_social", 13).data != before.data
