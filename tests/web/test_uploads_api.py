"""The tus protocol 1.0.0 as the core and its extensions say, and what an upload becomes."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest
from factories import photos as made
from factories import served_town
from factories import stored_town as town

from gridsvc.services import uploads as service

pytestmark = [pytest.mark.postgis, pytest.mark.filterwarnings("ignore::UserWarning:PIL")]
REPORT = served_town.report_body()["report_id"]
PHOTO = made.photo()
LENGTH = len(PHOTO)
TUS = {"Tus-Resumable": "1.0.0"}


def metadata(**values) -> str:
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in values.items())


def begin(client, length=LENGTH, headers=None, body=None, **named):
    named = {"report_id": REPORT, "sha256": made.sha256(PHOTO)} | named
    sent = TUS | {"Upload-Length": str(length), "Upload-Metadata": metadata(**{k: v for k, v in named.items() if v})}
    return client.post("/api/v1/uploads", headers=sent | (headers or {}), data=body)


def patch(client, where, data, offset=0, headers=None):
    sent = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return client.patch(where, data=data, headers=sent | (headers or {}))


def head(client, where, headers=None):
    return client.head(where, headers=TUS | (headers or {}))


@pytest.fixture
def where(town_client):
    """Address of an upload that has begun."""
    return begin(town_client).headers["Location"]


def pieces_left(photo_files):
    return [p for p in (photo_files.folder / "uploads").rglob("*") if p.is_file()]


# -------------------------------------------------------------------------------------------------- core


def test_options_say_what_is_offered(town_client):
    answer = town_client.options("/api/v1/uploads")

    assert answer.status_code == 200
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) >= {"creation", "termination", "checksum", "expiration"}
    assert answer.headers["Tus-Max-Size"] == "16777216"
    assert set(answer.headers["Tus-Checksum-Algorithm"].split(",")) == {"sha1", "sha256"}


def test_an_upload_in_pieces_becomes_the_photo(town_client, where, photo_files):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    at = 0
    for end in (1, 4000, 4001, len(PHOTO)):
        answer = patch(town_client, where, PHOTO[at:end], at)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(end))
        assert head(town_client, where).headers["Upload-Offset"] == str(end)
        at = end

    items = town_client.get(f"/api/v1/reports/{REPORT}/photos").json["items"]
    assert [p["sha256"] for p in items] == [made.sha256(PHOTO)]
    told = town_client.get(where).json
    assert (told["state"], told["photo"]["sha256"], told["photo"]["state"]) == (
        "complete",
        made.sha256(PHOTO),
        "stored",
    )
    assert pieces_left(photo_files) == []


def test_it_is_the_same_photo_however_it_comes(town_client, where):
    patch(town_client, where, PHOTO)
    again = town_client.post(
        f"/api/v1/reports/{REPORT}/photos", data={"photo": (__import__("io").BytesIO(PHOTO), "p.jpg")}
    )

    assert again.status_code == 200
    assert town_client.get(where).json["photo"] == again.json


def test_a_photo_uploaded_twice_is_kept_once(town_client, where):
    other = begin(town_client).headers["Location"]

    assert patch(town_client, where, PHOTO).status_code == 204
    assert patch(town_client, other, PHOTO).status_code == 204
    assert len(town_client.get(f"/api/v1/reports/{REPORT}/photos").json["items"]) == 1


def test_head_tells_offset_and_length_and_is_not_cached(town_client, where):
    patch(town_client, where, PHOTO[:100])
    answer = head(town_client, where)

    assert answer.headers["Upload-Offset"] == "100"
    assert answer.headers["Upload-Length"] == str(len(PHOTO))
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Upload-Expires"] == "Thu, 02 Jul 2026 04:00:00 GMT"
    assert answer.data == b""


@pytest.mark.parametrize("offset", [0, 99, 101, len(PHOTO)])
def test_a_piece_elsewhere_than_the_offset_is_409_and_changes_nothing(town_client, where, offset):
    patch(town_client, where, PHOTO[:100])
    answer = patch(town_client, where, PHOTO[offset : offset + 10], offset)

    assert (answer.status_code, answer.json["code"]) == (409, "upload-offset-wrong")
    assert answer.json["details"]["offset"] == 100
    assert head(town_client, where).headers["Upload-Offset"] == "100"


def test_an_empty_piece_changes_nothing(town_client, where):
    answer = patch(town_client, where, b"")

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "0")


def test_more_bytes_than_announced_are_413_and_none_is_kept(town_client, where):
    answer = patch(town_client, where, PHOTO + b"x")

    assert (answer.status_code, answer.json["code"]) == (413, "photo-too-large")
    assert head(town_client, where).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1"])
def test_another_version_is_412_and_says_which_is_spoken(town_client, where, method, version):
    path = "/api/v1/uploads" if method == "POST" else where
    answer = town_client.open(path, method=method, headers={"Tus-Resumable": version} if version else {})

    assert answer.status_code == 412
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"


def test_another_content_type_is_415(town_client, where):
    answer = patch(town_client, where, PHOTO, headers={"Content-Type": "image/jpeg"})

    assert answer.status_code == 415


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "abc", "9" * 40])
def test_an_offset_that_is_no_number_is_refused(town_client, where, offset):
    answer = patch(town_client, where, PHOTO, offset)

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")


def test_unknown_uploads_are_404(town_client):
    path = "/api/v1/uploads/7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e13"

    assert head(town_client, path).status_code == 404
    assert patch(town_client, path, b"x").status_code == 404
    assert town_client.delete(path, headers=TUS).status_code == 404


def test_a_large_body_is_kept_in_steps(town_client, photo_files, monkeypatch):
    photo = made.large_photo()
    where = begin(town_client, len(photo), sha256=made.sha256(photo)).headers["Location"]
    answer = patch(town_client, where, photo[:-1])

    assert answer.headers["Upload-Offset"] == str(len(photo) - 1)
    assert len(pieces_left(photo_files)) == -(-len(photo) // service.PIECE_BYTES)
    assert patch(town_client, where, photo[-1:], len(photo) - 1).status_code == 204
    assert town_client.get(where).json["photo"]["width"] == 1700


def test_patch_and_delete_may_come_as_post(town_client, where):
    sent = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    patched = town_client.post(where, data=PHOTO[:50], headers=sent | {"X-HTTP-Method-Override": "PATCH"})
    deleted = town_client.post(where, headers=TUS | {"X-HTTP-Method-Override": "DELETE"})

    assert (patched.status_code, patched.headers["Upload-Offset"]) == (204, "50")
    assert deleted.status_code == 204


def test_the_method_cannot_be_changed_elsewhere(town_client):
    answer = town_client.post("/api/v1/reports", headers={"X-HTTP-Method-Override": "DELETE"}, json={})

    assert answer.status_code == 422


# -------------------------------------------------------------------------------------------------- creation


def test_an_upload_begins_with_a_place_to_go_on(town_client):
    answer = begin(town_client, filename="照片.jpg")

    assert answer.status_code == 201
    assert answer.headers["Location"].startswith("/api/v1/uploads/")
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Upload-Expires"]


def test_the_first_bytes_may_come_with_it(town_client):
    some = begin(town_client, body=PHOTO[:70], headers={"Content-Type": "application/offset+octet-stream"})
    all_of_it = begin(town_client, body=PHOTO, headers={"Content-Type": "application/offset+octet-stream"})

    assert (some.status_code, some.headers["Upload-Offset"]) == (201, "70")
    assert (all_of_it.status_code, all_of_it.headers["Upload-Offset"]) == (201, str(len(PHOTO)))
    assert town_client.get(all_of_it.headers["Location"]).json["state"] == "complete"


@pytest.mark.parametrize(
    ("named", "headers", "status", "code"),
    [
        pytest.param({"report_id": None}, {}, 422, "request-invalid", id="no report"),
        pytest.param({"report_id": "x"}, {}, 422, "request-invalid", id="a report that is no UUID"),
        pytest.param({"sha256": "x"}, {}, 422, "request-invalid", id="a hash that is none"),
        pytest.param({}, {"Upload-Metadata": "report_id %%%"}, 422, "request-invalid", id="not in base64"),
        pytest.param({}, {"Upload-Metadata": "report_id /w=="}, 422, "request-invalid", id="not text"),
        pytest.param({}, {"Upload-Metadata": "a YQ==,a YQ=="}, 422, "request-invalid", id="twice"),
        pytest.param({}, {"Upload-Length": "16777217"}, 413, "photo-too-large", id="too long"),
        pytest.param({}, {"Upload-Length": "0"}, 422, "request-invalid", id="empty"),
        pytest.param({}, {"Upload-Length": "-5"}, 422, "request-invalid", id="negative"),
        pytest.param({}, {"Upload-Defer-Length": "1"}, 422, "request-invalid", id="deferred length"),
    ],
)
def test_an_upload_that_cannot_become_a_photo_is_refused_at_once(town_client, named, headers, status, code):
    answer = begin(town_client, headers=headers, **named)

    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_somebody_may_have_so_many_open(town_client, monkeypatch):
    monkeypatch.setattr(service, "MOST_OPEN", 2)
    statuses = [begin(town_client) for _ in range(3)]

    assert [a.status_code for a in statuses] == [201, 201, 429]
    assert statuses[-1].headers["Retry-After"]


# -------------------------------------------------------------------------------------------------- checksum


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_with_its_checksum_is_kept_and_one_with_another_is_460(town_client, where, algorithm):
    checksum = base64.b64encode(hashlib.new(algorithm, PHOTO[:100]).digest()).decode()
    wrong = patch(town_client, where, PHOTO[1:101], headers={"Upload-Checksum": f"{algorithm} {checksum}"})
    after_wrong = head(town_client, where).headers["Upload-Offset"]
    right = patch(town_client, where, PHOTO[:100], headers={"Upload-Checksum": f"{algorithm} {checksum}"})

    assert (wrong.status_code, wrong.json["code"], after_wrong) == (460, "upload-checksum-mismatch", "0")
    assert (right.status_code, right.headers["Upload-Offset"]) == (204, "100")


@pytest.mark.parametrize("checksum", ["md5 xxx=", "sha1 %%%", "sha1", ""])
def test_a_checksum_that_is_none_is_400(town_client, where, checksum):
    assert patch(town_client, where, PHOTO[:9], headers={"Upload-Checksum": checksum}).status_code in (400, 460)
    assert head(town_client, where).headers["Upload-Offset"] == "0"


# -------------------------------------------------------------------------------------------------- the end


def test_an_ended_upload_is_410_and_its_bytes_are_gone(town_client, where, photo_files):
    patch(town_client, where, PHOTO[:100])
    ended = town_client.delete(where, headers=TUS)

    assert ended.status_code == 204
    assert [head(town_client, where).status_code, patch(town_client, where, b"x", 100).status_code] == [410, 410]
    assert town_client.delete(where, headers=TUS).status_code == 410
    assert pieces_left(photo_files) == []


def test_ending_a_complete_upload_leaves_the_photo(town_client, where):
    patch(town_client, where, PHOTO)
    town_client.delete(where, headers=TUS)

    assert len(town_client.get(f"/api/v1/reports/{REPORT}/photos").json["items"]) == 1


def test_an_expired_upload_is_410_and_every_piece_gives_more_time(town_client, where, monkeypatch, still_clock):
    from gridsvc.web.api import uploads

    monkeypatch.setattr(uploads, "now", lambda: still_clock + timedelta(hours=23))
    assert patch(town_client, where, PHOTO[:100]).status_code == 204
    monkeypatch.setattr(uploads, "now", lambda: still_clock + timedelta(hours=46))
    assert patch(town_client, where, PHOTO[100:200], 100).status_code == 204
    monkeypatch.setattr(uploads, "now", lambda: still_clock + timedelta(hours=70))
    answer = patch(town_client, where, PHOTO[200:], 200)

    assert (answer.status_code, answer.json["code"]) == (410, "upload-ended")
    assert answer.json["details"]["state"] == "expired"


@pytest.mark.parametrize(
    ("data", "named", "status", "code"),
    [
        pytest.param(b"x" * 50, {"sha256": None}, 415, "photo-type-unsupported", id="no photo"),
        pytest.param(PHOTO[:-1] + b"x", {}, 422, "photo-hash-mismatch", id="changed on the way"),
        pytest.param(made.photo()[:5000], {"sha256": None}, 422, "photo-unreadable", id="cut short"),
        pytest.param(PHOTO + made.zip_archive(), {"sha256": None}, 422, "photo-holds-other-content", id="polyglot"),
    ],
)
def test_what_is_no_photo_is_refused_with_the_last_piece(town_client, photo_files, data, named, status, code):
    where = begin(town_client, len(data), **named).headers["Location"]
    patch(town_client, where, data[:20])
    answer = patch(town_client, where, data[20:], 20)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert head(town_client, where).status_code == 410
    assert town_client.get(f"/api/v1/reports/{REPORT}/photos").status_code == 404
    assert pieces_left(photo_files) == []


def test_when_the_disk_fails_at_the_end_the_upload_goes_on_later(town_client, where, monkeypatch):
    patch(town_client, where, PHOTO[:100])

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("gridsvc.store.photo_files.os.fsync", full)
        answer = patch(town_client, where, PHOTO[100:], 100)

    assert (answer.status_code, answer.json["code"]) == (503, "photo-store-unavailable")
    assert head(town_client, where).headers["Upload-Offset"] == "100"
    assert patch(town_client, where, PHOTO[100:], 100).status_code == 204


# -------------------------------------------------------------------------------------------------- whose


def test_an_upload_is_seen_by_the_one_who_began_it(make_client, token_of):
    client = make_client(anonymous=False)
    mine, yours = token_of("field", "", "mine"), token_of("admin", "", "yours")
    where = begin(client, headers=mine).headers["Location"]

    assert head(client, where, mine).status_code == 200
    assert head(client, where, yours).status_code == 404
    assert patch(client, where, PHOTO, headers=yours).status_code == 404
    assert client.delete(where, headers=TUS | yours).status_code == 404


def test_a_report_of_another_area_takes_no_upload(town_client, make_client, token_of):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    client, there = make_client(anonymous=False), token_of("field", town.STREETS[1])

    answer = begin(client, headers=there)

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_a_viewer_uploads_nothing(make_client, token_of):
    assert begin(make_client(anonymous=False), headers=token_of("viewer")).status_code == 403
