"""Inputs made to break things: every answer is a refusal of the 4xx kind or a right answer, never a 5xx, and nothing is stored by a refused one."""

from __future__ import annotations

import gzip
import io
import json
import struct
import uuid
import zlib

import pytest
from factories import served_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.web import create_app

pytestmark = pytest.mark.postgis

LON, LAT = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
SQL = ("' OR '1'='1", "'; DROP TABLE reports; --", "1) UNION SELECT login FROM users --", "\\'; SELECT pg_sleep(9); --", "%' AND 1=1 --", "${jndi:ldap://x}", "{{7*7}}")  # fmt: skip
PATHS = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..%5c..%5cwindows", "%00", "a%00.jpg", "%ff%fe", "%ED%A0%80",
    "%25%30%30", ".", "%20", "a" * 5000, "%F0%9F%92%A9", "CON", ";id", "%0d%0aX-Injected: 1", "0x1p3", "-1", "1e309", "//evil.example/",
)  # fmt: skip
HUGE = (1e308, -1e308, 10**400, -(10**400), 2**63, -(2**63), 2**64, 4_294_967_296, 1e-320)
TABLES = (
    "reports", "report_receipts", "cases", "photos", "components", "component_serials", "redraws", "redraw_grids", "users", "tokens",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile_app():
    """One application for all tests here: making one describes the whole interface anew, and these are many."""
    app = create_app(served_town.Services(None, None), served_town.settings(reports_per_minute=1_000_000))
    app.testing = False
    return app


@pytest.fixture
def town_client(hostile_app, open_uow, photo_files, still_clock):
    """A client of the stored town, anonymous use allowed."""
    hostile_app.extensions["gridsvc"] = served_town.Services(open_uow, photo_files)
    return hostile_app.test_client()


@pytest.fixture
def stored(connection):
    """Return a function that counts the rows of the tables anybody writes to over HTTP."""

    def count() -> dict[str, int]:
        return {t: connection.execute(text(f"SELECT count(*) FROM {t}")).scalar_one() for t in TABLES}

    return count


@pytest.fixture
def admin(token_of):
    """Headers of an administrator, for whom nothing is refused by role."""
    return token_of("admin", login="root")


def refused(answer, *statuses: int) -> None:
    """Hold that an answer is a problem document of one of ``statuses`` (any 4xx when none is given)."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert not statuses or answer.status_code in statuses, (answer.status_code, answer.text[:300])
    if not answer.text:
        return
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] and answer.json["status"] == answer.status_code
    assert "Traceback" not in answer.text and "psycopg" not in answer.text


def harmless(answer) -> None:
    """Hold that an answer is a right one or a refusal."""
    assert answer.status_code < 500, (answer.status_code, answer.text[:300])
    if answer.status_code >= 400:
        refused(answer)


def fresh(**changes) -> dict:
    return served_town.report_body(report_id=str(uuid.uuid4()), **changes)


def post_raw(client, body: bytes, **headers):
    sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return client.post("/api/v1/reports", data=body, headers={k: v for k, v in sent.items() if v})


# ------------------------------------------------------------------------------------------------------ SQL and paths


@pytest.mark.parametrize("sql", SQL)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/grids", "prefix"), ("/api/v1/grids", "network"), ("/api/v1/grids", "cursor"), ("/api/v1/grids", "bbox"),
        ("/api/v1/divisions", "parent"), ("/api/v1/components", "category_code"), ("/api/v1/components", "cursor"),
        ("/api/v1/components", "state"), ("/api/v1/facilities", "kind_code"), ("/api/v1/workers", "prefix"),
        ("/api/v1/reports", "cursor"), ("/api/v1/reports", "grid"), ("/api/v1/reports:mine", "since"), ("/api/v1/redraws", "cursor"),
        ("/api/v1/categories", "edition"), ("/api/v1/assignments", "cursor"), ("/api/v1/grids", "at"),
    ],
)  # fmt: skip
def test_sql_in_a_parameter_is_refused(town_client, stored, path, name, sql):
    before = stored()

    refused(town_client.get(path, query_string={name: sql}), 404, 422)

    assert stored() == before


@pytest.mark.parametrize("sql", SQL)
def test_sql_in_a_text_is_a_text(town_client, connection, sql):
    answer = town_client.post("/api/v1/reports", json=fresh(description=sql, reporter=sql, device=sql))

    assert answer.status_code == 201
    assert connection.execute(text("SELECT description FROM reports")).scalars().all() == [sql]
    assert town_client.get("/api/v1/search", query_string={"q": sql}).json == {"hits": []}
    harmless(town_client.get("/api/v1/geocode", query_string={"q": sql}))


@pytest.mark.parametrize("part", PATHS)
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/grids/{}", "/api/v1/divisions/{}", "/api/v1/components/{}", "/api/v1/reports/{}", "/api/v1/photos/{}", "/api/v1/redraws/{}",
        "/api/v1/uploads/{}", "/tiles/{}/1/0/0.mvt", "/tiles/water/{}/0/0.mvt", "/static/{}", "/api/v1/{}", "/language/{}",
    ],
)  # fmt: skip
def test_a_path_that_is_none_is_refused(town_client, path, part):
    answer = town_client.get(path.format(part), headers={"Accept": "application/json"})

    # slashes that come twice are put right, on this host
    if 300 <= answer.status_code < 400:
        assert answer.headers["Location"].startswith("http://localhost/")
        return
    refused(answer)
    assert "X-Injected" not in answer.headers


# ---------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer ' OR 1=1 --"}, {"Authorization": "Bearer " + "a" * 6000}, {"Authorization": "Basic cm9vdDpyb290"},
        {"Authorization": "Bearer \xff\xfe"}, {"Authorization": "Bearer a b c"}, {"Authorization": ""}, {"Authorization": "Bearer"},
    ],
    ids=["sql", "long", "basic", "no utf-8", "blanks", "empty", "no token"],
)  # fmt: skip
def test_a_token_that_is_none_is_401(town_client, stored, headers):
    before = stored()

    refused(town_client.post("/api/v1/reports", json=fresh(), headers=headers), 401)

    assert stored() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "nonsense;;;q=NaN"}, {"Accept-Language": "x" * 4000}, {"Accept-Encoding": "gzip;q=nan, *;q=-1"}, {"Cookie": "gridsvc_session=%00.x.y"},
        {"If-None-Match": '"' + "x" * 4000}, {"If-Modified-Since": "Thu, 99 Foo 99999"}, {"Range": "bytes=9999999999999999999-"}, {"X-Forwarded-For": "' OR 1=1"},
        {"Host": "evil.example"}, {"X-HTTP-Method-Override": "DROP"}, {"Sec-Fetch-Site": "nonsense"},
    ],
    ids=lambda headers: next(iter(headers)),
)  # fmt: skip
def test_odd_headers_do_no_harm(town_client, headers):
    for path in ("/api/v1/networks", "/tiles/districts/0/0/0.mvt", "/openapi.json", "/healthz"):
        harmless(town_client.get(path, headers=headers))


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415), ("application/xml", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data", 415), ("image/png", 415),
        ("", 415), ("application/json; charset=utf-16", 422), ("application/json; charset=nonsense", 422), ("application/jsonp", 415),
    ],
)  # fmt: skip
def test_a_body_under_another_name_is_refused(town_client, stored, content_type, status):
    before = stored()
    body = json.dumps(fresh(lon=999.0)).encode()

    refused(post_raw(town_client, body, Content_Type=content_type), status)

    assert stored() == before


# ----------------------------------------------------------------------------------------------------- numbers, places


# a tiny number is a right accuracy, altitude and heading
@pytest.mark.parametrize(
    ("name", "number"),
    [
        (name, number)
        for name in ("lon", "lat", "accuracy_m", "altitude_m", "heading_deg")
        for number in HUGE
        if number != 1e-320 or name in ("lon", "lat")
    ],
    ids=lambda value: f"{str(value)[:12]}",
)
def test_huge_numbers_in_a_report_are_refused(town_client, stored, name, number):
    before = stored()
    refused(town_client.post("/api/v1/reports", json=fresh(**{name: number})), 400, 422)

    assert stored() == before


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, "NaN", "Infinity", "-Infinity", "0x10", "1_000", "٣", "", " ", "1e", "+-1"])  # fmt: skip
@pytest.mark.parametrize(
    ("path", "name", "others"),
    [
        ("/api/v1/locate", "lon", {"lat": "30.5", "datum": "wgs84"}),
        ("/api/v1/components:near", "accuracy_m", {"lon": "114", "lat": "30.5", "datum": "wgs84", "category_code": "C01001"}),
        ("/api/v1/components:near", "lon", {"lat": "30.5", "datum": "wgs84", "category_code": "C01001"}),
        ("/api/v1/reverse", "lat", {"lon": "114", "datum": "wgs84"}),
        ("/api/v1/grids", "limit", {}),
        ("/api/v1/quality", "limit", {"prefix": "420103"}),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_in_a_query(town_client, path, name, others, number):
    answer = town_client.get(path, query_string=others | {name: number})

    refused(answer, 422)


@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "+1", ".5", "0x1F", "1.", "--1", "9" * 5000]
)
def test_numbers_that_json_has_not_are_refused(town_client, stored, literal):
    before = stored()
    body = json.dumps(fresh(lon="HERE")).replace('"HERE"', literal).encode()

    refused(post_raw(town_client, body), 400, 422)

    assert stored() == before


@pytest.mark.parametrize(
    ("lon", "lat"),
    [(180, 30), (-180, 30), (180.0000001, 30), (-180.0000001, 30), (114, 90), (114, -90), (114, 90.0000001), (0, 0), (-0.0, -0.0), (30.5, 114.2)],
)  # fmt: skip
def test_the_ends_of_the_earth_are_outside(town_client, stored, lon, lat):
    before = stored()
    here = {"lon": lon, "lat": lat, "datum": "wgs84"}

    refused(town_client.post("/api/v1/reports", json=fresh(**here)), 422)
    refused(town_client.get("/api/v1/locate", query_string=here | {"accuracy_m": 100_000}), 422)
    harmless(
        town_client.get("/api/v1/components:near", query_string=here | {"category_code": "C01001", "accuracy_m": 1e5})
    )
    harmless(town_client.get("/api/v1/reverse", query_string=here))
    harmless(town_client.post("/api/v1/locate", json={"lon": [lon], "lat": [lat], "datum": "wgs84"}))
    for datum in ("gcj02", "bd09"):
        refused(town_client.post("/api/v1/reports", json=fresh(**(here | {"datum": datum}))), 422)

    assert stored() == before


@pytest.mark.parametrize("box", ["180,0,-180,1", "-180,-90,180,90", "0,0,0,0", "-0,-0,0,0", "1e308,0,1e308,0", "nan,0,1,1", "0,0,inf,1", "1,2,3", "1,2,3,4,5", ",,,", "114,30,113,31"])  # fmt: skip
@pytest.mark.parametrize("path", ["/api/v1/grids", "/api/v1/divisions", "/api/v1/facilities", "/api/v1/components"])
def test_odd_boxes_do_no_harm(town_client, path, box):
    harmless(town_client.get(path, query_string={"bbox": box}))


@pytest.mark.parametrize(
    "instant",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01", "1e9", "now", "2026-01-01T00:00:00+99:99", "１２３４-01-01T00:00:00Z"],
)  # fmt: skip
def test_odd_instants_do_no_harm(town_client, stored, instant):
    before = stored()

    for path in ("/api/v1/grids", "/api/v1/components", "/api/v1/workers", "/tiles/components/14/0/0.mvt"):
        harmless(town_client.get(path, query_string={"at": instant}))
    refused(town_client.post("/api/v1/reports", json=fresh(occurred_at=instant)), 422)

    assert stored() == before


# --------------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("levels", [10_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("path", ["/api/v1/reports", "/api/v1/reports:batch", "/api/v1/locate", "/api/v1/redraws"])
def test_json_nested_without_end_is_refused(town_client, admin, stored, path, opening, levels):
    before = stored()
    closing = "]" if opening == "[" else "}"
    body = (opening * levels + "1" + closing * levels).encode()

    refused(town_client.post(path, data=body, headers=admin | {"Content-Type": "application/json"}), 400, 413, 422)

    assert stored() == before


def test_deep_geojson_inside_a_right_body_is_refused(town_client, admin, stored):
    before = stored()
    deep = "[" * 5000 + "]" * 5000
    body = json.dumps({"division_code": town.COMMUNITIES[0], "origin": "imported", "datum": "wgs84", "networks": ["social"], "grids": {
        "type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": "HERE"}, "properties": {"network": "social"}}]}})  # fmt: skip

    sent = body.replace('"HERE"', deep).encode()
    refused(
        town_client.post("/api/v1/redraws", data=sent, headers=admin | {"Content-Type": "application/json"}), 400, 422
    )

    assert stored() == before


@pytest.mark.parametrize("key", ["report_id", "lon", "datum", "description"])
def test_a_key_that_comes_twice_is_refused(town_client, stored, key):
    before = stored()
    body = json.dumps(fresh())
    twice = body[:-1] + f", {json.dumps(key)}: {json.dumps(json.loads(body)[key])}}}"

    refused(post_raw(town_client, twice.encode()), 400)

    assert stored() == before


@pytest.mark.parametrize(
    "raw",
    [b"", b" ", b"null", b"[]", b"true", b"0", b'"x"', b"{", b"{}x", b"{'a':1}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'{"a":"\xc3\x28"}', b"{}\x00", b'{"__proto__": {}}',
     b'{"a": undefined}', b"// {}\n{}", b"[1,]"],
    ids=range(18),
)  # fmt: skip
def test_what_is_no_report_is_refused(town_client, stored, raw):
    before = stored()

    refused(post_raw(town_client, raw), 400, 422)

    assert stored() == before


@pytest.mark.parametrize("bad", ["\\u0000", "a\\u0000b", "\\ud800", "\\udc00\\ud800", "\\u001b[31m", "\\u0008"], ids=["nul", "nul inside", "half", "halves swapped", "escape", "backspace"])  # fmt: skip
@pytest.mark.parametrize("name", ["description", "reporter", "device", "address"])
def test_text_that_no_database_or_page_should_hold_is_refused(town_client, stored, name, bad):
    before = stored()
    body = json.dumps(fresh(**{name: "HERE"})).replace("HERE", bad).encode()

    refused(post_raw(town_client, body), 422)

    assert stored() == before


@pytest.mark.parametrize("bad", ["\x00", "a\x00", "\ud800", "\x1b", "\u202e" * 30])
def test_odd_text_in_a_query_does_no_harm(town_client, bad):
    sent = bad.encode("utf-8", "surrogatepass")
    quoted = "".join(f"%{byte:02X}" for byte in sent)

    for path in (
        "/api/v1/search?q=",
        "/api/v1/geocode?q=",
        "/api/v1/reports:mine?device=",
        "/api/v1/reports?category=",
    ):
        harmless(town_client.get(path + quoted))


# ---------------------------------------------------------------------------------------------------- sizes and packing


def test_a_body_that_unpacks_without_end_is_refused_without_unpacking_it(town_client, stored):
    before = stored()
    bomb = gzip.compress(b" " * 50_000_000 + b"{}")

    for path in ("/api/v1/reports", "/api/v1/reports:batch", "/api/v1/locate", "/api/v1/redraws"):
        sent = town_client.post(
            path, data=bomb, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
        )
        refused(sent, 403, 413)

    assert len(bomb) < 100_000
    assert stored() == before


@pytest.mark.parametrize(
    ("packed", "encoding", "statuses"),
    [
        (b"no gzip", "gzip", (400,)), (gzip.compress(b"{}")[:-5], "gzip", (400,)), (gzip.compress(b"{}") + b"more", "gzip", (400,)), (zlib.compress(b"{}"), "gzip", (400,)),
        (gzip.compress(gzip.compress(b"{}")), "gzip", (400,)), (gzip.compress(b"{}"), "gzip, gzip", (415,)), (b"{}", "br", (415,)), (b"{}", "deflate", (415,)), (b"", "gzip", (400,)),
        (b"{}", "nonsense", (415,)),
    ],
    ids=["no gzip", "cut off", "more after it", "zlib", "twice", "twice said", "br", "deflate", "empty", "unknown"],
)  # fmt: skip
def test_a_body_packed_wrongly_is_refused(town_client, stored, packed, encoding, statuses):
    before = stored()

    refused(post_raw(town_client, packed, Content_Encoding=encoding), *statuses)

    assert stored() == before


def test_a_body_over_the_limit_is_refused(town_client, stored):
    before = stored()

    refused(post_raw(town_client, b" " * 30_000_000), 413)

    assert stored() == before


@pytest.mark.parametrize("query", ["x" * 100_000, "&".join(f"a{i}=1" for i in range(20_000)), "limit=" + "1" * 50_000, "&" * 50_000, "a[]=1&a[b][c]=2", "limit=1&limit=2", "%", "%zz=%zz", "=", "limit"])  # fmt: skip
def test_a_query_without_end_or_sense_does_no_harm(town_client, query):
    for path in ("/api/v1/grids", "/api/v1/components", "/api/v1/networks"):
        harmless(town_client.get(f"{path}?{query}"))


@pytest.mark.parametrize(
    "cursor",
    ["'", "..", "\x00", "x" * 101, "~~~~", "AAAA", "e30=", "eyJhIjoxfQ", "-1", "99999999999999999999", "2026-99-99_x", "9999-12-31T23:59:59Z_" + "f" * 40, "１", "_", "a_b_c", ":" * 50],
)  # fmt: skip
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/grids", "cursor"), ("/api/v1/divisions", "cursor"), ("/api/v1/components", "cursor"), ("/api/v1/facilities", "cursor"),
        ("/api/v1/workers", "cursor"), ("/api/v1/assignments", "cursor"), ("/api/v1/reports", "cursor"), ("/api/v1/reports:mine", "since"),
        ("/api/v1/redraws", "cursor"),
    ],
)  # fmt: skip
def test_a_cursor_that_was_tampered_with_does_no_harm(town_client, admin, path, name, cursor):
    harmless(town_client.get(path, query_string={name: cursor}, headers=admin))


# ------------------------------------------------------------------------------------------------------------- pictures


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG that says it is so large, however little it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _jpeg() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(out, "JPEG")
    return out.getvalue()


_SCRIPT = b"<script>alert(1)</script><?php system('id'); ?>PK\x03\x04%PDF-1.4"
_BAD_PICTURES = {
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "empty": b"",
    "png of a giant": _png(60_000, 60_000, zlib.compress(b"\0" * 60_001)),
    "png that unpacks without end": _png(20_000, 20_000, zlib.compress(bytes(20_000_000))),
    "png cut off": _png(8, 8, zlib.compress(bytes(72)))[:40],
    "jpeg magic and html": b"\xff\xd8\xff\xe0" + b"<html>" * 50,
    "zip": b"PK\x03\x04" + bytes(100),
    "pdf": b"%PDF-1.4\n1 0 obj",
}


@pytest.mark.parametrize("kind", _BAD_PICTURES)
def test_what_is_no_picture_is_refused(town_client, stored, photo_files, kind):
    before = stored()
    form = {"photo": (io.BytesIO(_BAD_PICTURES[kind]), "../../x.php;.jpg", "image/jpeg")}

    refused(town_client.post(f"/api/v1/reports/{uuid.uuid4()}/photos", data=form), 400, 413, 415, 422)

    assert stored() == before


def test_a_picture_that_is_a_script_as_well_is_given_out_as_a_picture_only(town_client):
    polyglot = _jpeg() + _SCRIPT
    form = {"photo": (io.BytesIO(polyglot), "x.php", "text/html")}

    kept = town_client.post(f"/api/v1/reports/{uuid.uuid4()}/photos", data=form)
    if kept.status_code >= 400:
        refused(kept)
        return
    given = town_client.get(kept.json["url"])

    assert (given.status_code, given.mimetype) == (200, "image/jpeg")
    assert _SCRIPT not in given.data and b"<script" not in given.data and b"<?php" not in given.data
    assert given.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Length": "-1"}, {"Upload-Length": "9" * 40}, {"Upload-Length": "1e3"}, {"Upload-Length": "10", "Upload-Metadata": "report_id !!!"},
        {"Upload-Length": "10", "Upload-Metadata": "report_id JzsgRFJPUCBUQUJMRQ=="}, {"Upload-Length": "10", "Upload-Metadata": "report_id,report_id"},
        {"Upload-Length": "10", "Upload-Metadata": "filename Li4vLi4vZXRjL3Bhc3N3ZA=="}, {"Tus-Resumable": "9.9"}, {"Upload-Defer-Length": "1"},
    ],
)  # fmt: skip
def test_an_upload_that_is_none_is_refused(town_client, stored, headers):
    before = stored()

    refused(town_client.post("/api/v1/uploads", headers={"Tus-Resumable": "1.0.0"} | headers), 400, 412, 413, 422)

    assert stored() == before
