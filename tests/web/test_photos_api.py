"""Photos over HTTP: kept once, refused clearly, shown safely and only where the report may be seen."""

from __future__ import annotations

import io
import uuid

import pytest
from factories import photos as made
from factories import served_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.web.rate_limits import RateLimit

pytestmark = [pytest.mark.postgis, pytest.mark.filterwarnings("ignore::UserWarning:PIL")]
REPORT = served_town.report_body()["report_id"]
OTHER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def stored_photos(connection, photo_files):
    """Return a function that counts rows and files of photos."""

    def count():
        rows = connection.execute(text("SELECT count(*) FROM photos")).scalar_one()
        files = sum(1 for path in photo_files.folder.rglob("*") if path.is_file()) if photo_files.folder.exists() else 0
        return rows, files

    return count


def post_report(client, **changes):
    answer = client.post("/api/v1/reports", json=served_town.report_body(**changes))
    assert answer.status_code == 201, answer.text


def post(client, data=None, report_id=REPORT, headers=None, **fields):
    # written out here: the test client would put large forms into temporary files and not close them
    form = [f'--edge\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()]
    form.append(b'--edge\r\nContent-Disposition: form-data; name="photo"; filename="IMG_0001.jpg"\r\n\r\n')
    form += [made.photo() if data is None else data, b"\r\n--edge--\r\n"]
    return client.post(
        f"/api/v1/reports/{report_id}/photos",
        data=b"".join(form),
        content_type="multipart/form-data; boundary=edge",
        headers=headers,
    )


def listed(client, report_id=REPORT, **options):
    return client.get(f"/api/v1/reports/{report_id}/photos", **options)


def test_a_photo_is_kept_and_gets_a_receipt(town_client, stored_photos):
    post_report(town_client)
    answer = post(town_client, sha256=made.sha256(made.photo()))

    receipt = answer.json
    assert answer.status_code == 201
    assert receipt["sha256"] == made.sha256(made.photo())
    assert (receipt["state"], receipt["width"], receipt["height"]) == ("stored", 640, 480)
    assert receipt["received_at"] == "2026-07-01T04:00:00Z"
    assert receipt["reused"] is False
    assert answer.headers["Location"] == receipt["url"]
    assert stored_photos() == (1, 2)


def test_the_same_photo_again_answers_200_with_the_same_receipt(town_client, stored_photos):
    post_report(town_client)
    first, again = post(town_client), post(town_client)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.data == first.data
    assert stored_photos() == (1, 2)


def test_a_photo_before_its_report_is_held_and_joins_it(town_client):
    early = post(town_client)
    before = listed(town_client).json["items"]
    post_report(town_client)
    after = listed(town_client).json["items"]

    assert (early.status_code, early.json["state"]) == (201, "held")
    assert [p["state"] for p in before] == ["held"]
    assert [(p["state"], p["sha256"]) for p in after] == [("stored", early.json["sha256"])]


def test_the_picture_is_shown_as_a_clean_jpeg_that_runs_nothing(town_client):
    sent = made.photo(kind="PNG", exif=made.exif())
    post_report(town_client)
    sent_answer = post(town_client, sent)
    assert sent_answer.status_code == 201, sent_answer.text
    receipt = sent_answer.json

    full, small = town_client.get(receipt["url"]), town_client.get(receipt["thumbnail"])

    for answer in (full, small):
        assert answer.status_code == 200
        assert answer.content_type == "image/jpeg"
        assert answer.data.startswith(b"\xff\xd8\xff") and b"Exif" not in answer.data
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Disposition"] == f'inline; filename="{receipt["sha256"]}.jpg"'
        assert "private" in answer.headers["Cache-Control"]
    assert len(full.data) == receipt["bytes"] > len(small.data)
    again = town_client.get(receipt["url"], headers={"If-None-Match": full.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(b"", 422, "photo-unreadable", id="empty"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "photo-type-unsupported", id="svg"),
        pytest.param(made.animation("GIF"), 415, "photo-type-unsupported", id="gif"),
        pytest.param(made.photo()[:5000], 422, "photo-unreadable", id="truncated"),
        pytest.param(made.png_bomb(), 422, "photo-too-many-pixels", id="bomb"),
        pytest.param(made.photo() + made.zip_archive(), 422, "photo-holds-other-content", id="zip polyglot"),
        pytest.param(made.photo(comment=b"<script>"), 422, "photo-holds-other-content", id="html polyglot"),
    ],
)
def test_what_is_no_photo_is_refused_and_nothing_is_kept(town_client, stored_photos, data, status, code):
    answer = post(town_client, data)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.json["hint"]
    assert stored_photos() == (0, 0)


def test_too_many_bytes_are_413(make_client, stored_photos):
    client = make_client(photo_max_bytes=20_000)
    a_little, far = post(client, made.photo(size=(1200, 900))), post(client, made.large_photo())

    assert (a_little.status_code, a_little.json["code"]) == (413, "photo-too-large")
    assert (far.status_code, far.json["code"]) == (413, "body-too-large")
    assert stored_photos() == (0, 0)


def test_a_photo_may_be_larger_than_other_bodies(town_client):
    photo = made.large_photo()

    assert len(photo) > 2 << 20
    assert post(town_client, photo).status_code == 201


def test_a_photo_is_taken_whatever_its_bytes_look_like_to_the_parser_of_forms(town_client):
    # line ends look like the beginning of a boundary, and the parser keeps what might be one
    assert post(town_client, made.photo() + b"\r\n" * 100_000).status_code == 201
    assert post(town_client, made.photo(2) + b"\r\n--" + bytes(300_000)).status_code == 201


@pytest.mark.parametrize("where", ["field", "header"])
def test_a_photo_that_changed_on_the_way_is_refused(town_client, stored_photos, where):
    claimed = made.sha256(b"something else")
    answer = post(town_client, sha256=claimed) if where == "field" else post(town_client, headers={"Sha256": claimed})

    assert (answer.status_code, answer.json["code"]) == (422, "photo-hash-mismatch")
    assert answer.json["details"]["sha256"] == made.sha256(made.photo())
    assert stored_photos() == (0, 0)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        pytest.param({}, 422, id="no photo"),
        pytest.param({"photo": "text"}, 422, id="a text instead of a file"),
        pytest.param({"photo": [(io.BytesIO(b"1"), "1.jpg"), (io.BytesIO(b"2"), "2.jpg")]}, 422, id="two photos"),
        pytest.param({"photo": (io.BytesIO(b"1"), "1.jpg"), "title": "x"}, 422, id="another field"),
        pytest.param({"photo": (io.BytesIO(b"1"), "1.jpg"), "sha256": "x"}, 422, id="a hash that is none"),
    ],
)
def test_a_form_without_one_photo_is_refused(town_client, form, status):
    answer = town_client.post(f"/api/v1/reports/{REPORT}/photos", data=form, content_type="multipart/form-data")

    assert (answer.status_code, answer.json["code"]) == (status, "request-invalid")


def test_another_body_than_a_form_is_415(town_client):
    answer = town_client.post(f"/api/v1/reports/{REPORT}/photos", data=made.photo(), content_type="image/jpeg")

    assert (answer.status_code, answer.json["code"]) == (415, "media-type-unsupported")


def test_a_report_has_room_for_so_many_photos(make_client):
    client = make_client(photos_per_report=2)
    kept = [post(client, made.photo(seed)) for seed in (1, 2)]
    third, again = post(client, made.photo(3)), post(client, made.photo(2))

    assert [a.status_code for a in kept] == [201, 201]
    assert (third.status_code, third.json["code"]) == (422, "photos-too-many")
    assert again.status_code == 200
    assert {p["sha256"] for p in listed(client).json["items"]} == {a.json["sha256"] for a in kept}


def test_there_are_no_photos_of_a_report_that_is_not_there(town_client):
    assert listed(town_client).status_code == 404
    post_report(town_client)
    assert listed(town_client).json == {"items": []}


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "0" * 63, "%00" * 64])
def test_a_photo_that_is_not_there_is_refused(town_client, name):
    answer = town_client.get(f"/api/v1/photos/{name}")

    assert answer.status_code in (404, 422)
    assert answer.content_type == "application/problem+json"


# -------------------------------------------------------------------------------------------------- used again


def test_a_photo_used_for_another_report_before_is_marked(town_client):
    post_report(town_client)
    post_report(town_client, report_id=OTHER)
    first = post(town_client)
    same = post(town_client, report_id=OTHER)
    saved_again = made.encoded(made.scene(1).resize((500, 375)), "JPEG", quality=60)
    alike = post(town_client, saved_again, report_id=OTHER)
    fresh = post(town_client, made.photo(9), report_id=OTHER)

    assert [a.status_code for a in (first, same, alike, fresh)] == [201] * 4
    assert [a.json["reused"] for a in (first, same, alike, fresh)] == [False, True, True, False]
    items = listed(town_client, OTHER).json["items"]
    assert [p["reused_report_id"] for p in items].count(REPORT) == 2
    assert {p["reused_bits"] for p in items if p["sha256"] == same.json["sha256"]} == {0}


def test_a_photo_saved_twice_for_one_report_is_not_marked(town_client):
    post(town_client)
    again = post(town_client, made.encoded(made.scene(1), "JPEG", quality=60))

    assert again.json["reused"] is False


def test_plain_pictures_are_not_taken_for_each_other(town_client):
    from PIL import Image

    post(town_client, made.encoded(Image.new("RGB", (300, 200), "black")))
    other = post(town_client, made.encoded(Image.new("RGB", (320, 240), "black")), report_id=OTHER)

    assert other.json["reused"] is False


# -------------------------------------------------------------------------------------------------- who may see


@pytest.fixture
def elsewhere(make_client, token_of):
    """A client and the headers of a field worker of the other street, where the report is not."""
    return make_client(anonymous=False), token_of("field", town.STREETS[1], "elsewhere")


def test_photos_of_another_area_are_not_seen(town_client, elsewhere):
    client, there = elsewhere
    post_report(town_client)
    receipt = post(town_client).json

    assert listed(client, headers=there).status_code == 404
    assert client.get(receipt["url"], headers=there).status_code == 404
    assert client.get(receipt["thumbnail"], headers=there).status_code == 404
    assert post(client, made.photo(5), headers=there).status_code == 409
    assert post(client, headers=there).status_code == 409
    assert len(listed(town_client).json["items"]) == 1


def test_photos_of_the_own_area_are_seen(town_client, make_client, token_of):
    post_report(town_client)
    receipt = post(town_client).json
    client, here = make_client(anonymous=False), token_of("field", town.STREETS[0])

    assert len(listed(client, headers=here).json["items"]) == 1
    assert client.get(receipt["url"], headers=here).status_code == 200


def test_held_photos_are_seen_by_the_area_that_sent_them(town_client, make_client, token_of, elsewhere):
    client, there = elsewhere
    here = token_of("field", town.STREETS[0], "here")
    receipt = post(client, headers=here).json

    assert listed(client, headers=here).json["items"][0]["state"] == "held"
    assert listed(town_client).json["items"][0]["state"] == "held"
    assert client.get(receipt["url"], headers=here).status_code == 200
    assert listed(client, headers=there).status_code == 404
    assert client.get(receipt["url"], headers=there).status_code == 404


def test_the_same_photo_of_two_areas_is_seen_in_both_and_names_no_report_of_the_other(town_client, elsewhere):
    client, there = elsewhere
    lon, lat = town.community_box(town.COMMUNITIES[2]).centroid.coords[0]
    post_report(town_client)
    post_report(town_client, report_id=OTHER, lon=lon, lat=lat)
    post(town_client)
    receipt = post(client, headers=there, report_id=OTHER).json

    item = listed(client, OTHER, headers=there).json["items"][0]

    assert client.get(receipt["url"], headers=there).status_code == 200
    assert (item["reused"], item["reused_report_id"], item["reused_bits"]) == (True, None, None)


def test_a_viewer_sees_thumbnails_and_sends_nothing(town_client, make_client, token_of):
    post_report(town_client)
    receipt = post(town_client).json
    client, viewer = make_client(anonymous=False), token_of("viewer")

    assert client.get(receipt["thumbnail"], headers=viewer).status_code == 200
    assert client.get(receipt["url"], headers=viewer).status_code == 403
    assert post(client, made.photo(2), headers=viewer).status_code == 403


# -------------------------------------------------------------------------------------------------- EXIF


@pytest.mark.parametrize(
    ("policy", "taken_at", "lon"),
    [
        ("drop", None, None),
        ("time", "2026-03-05T01:29:58Z", None),
        ("time-and-position", "2026-03-05T01:29:58Z", 114.255),
    ],
)
def test_what_the_camera_noted_is_kept_by_policy_only(make_client, token_of, policy, taken_at, lon):
    client = make_client(photo_exif=policy)
    post_report(client)
    post(client, made.photo(exif=made.exif()))

    item = listed(client).json["items"][0]
    for_viewers = listed(client, headers=token_of("viewer")).json["items"][0]

    assert (item["taken_at"], item["camera_lon"]) == (taken_at, lon)
    assert item["camera_datum"] == ("WGS-84" if lon else None)
    assert (for_viewers["camera_lon"], for_viewers["camera_datum"]) == (None, None)


# -------------------------------------------------------------------------------------------------- the disk


def test_when_the_disk_is_full_nothing_is_acknowledged(town_client, photo_files, stored_photos, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gridsvc.store.photo_files.os.fsync", full)
    answer = post(town_client)

    assert (answer.status_code, answer.json["code"]) == (503, "photo-store-unavailable")
    assert answer.headers["Retry-After"]
    assert stored_photos() == (0, 0)


def test_a_file_that_was_lost_is_said_to_be_lost(town_client, photo_files):
    receipt = post(town_client).json
    for path in photo_files.folder.rglob("*.jpg"):
        path.unlink()

    answer = town_client.get(receipt["url"])

    assert (answer.status_code, answer.json["code"]) == (503, "photo-store-unavailable")


def test_report_ids_are_any_uuid(town_client):
    assert post(town_client, report_id=uuid.uuid4()).status_code == 201
    assert post(town_client, report_id="not-a-uuid").status_code == 404


def test_who_opens_a_whole_picture_is_logged(town_client, caplog):
    receipt = post(town_client).json
    with caplog.at_level("INFO", logger="gridsvc.services.photos"):
        town_client.get(receipt["thumbnail"])
        town_client.get(receipt["url"])

    assert [r.getMessage() for r in caplog.records] == [f"photo {receipt['sha256']} read by anonymous"]


def test_the_photos_of_many_reports_are_named_at_once(town_client, open_uow):
    early = post(town_client, made.photo(2)).json["sha256"]
    post_report(town_client)
    late = post(town_client).json["sha256"]

    with open_uow() as uow:
        found = uow.photos.sha256_by_report([REPORT, OTHER])

    assert {report_id: set(hashes) for report_id, hashes in found.items()} == {REPORT: {early, late}}


def test_photos_and_reports_have_one_limit_a_minute(town_client):
    client = town_client
    client.application.extensions["gridsvc_rate_limit"] = RateLimit(per_minute=1, burst=2)
    statuses = [post(client, made.photo(seed)).status_code for seed in (1, 2)]
    refused = post(client, made.photo(3))

    assert statuses == [201, 201]
    assert (refused.status_code, refused.json["code"]) == (429, "too-many-requests")
    assert int(refused.headers["Retry-After"]) > 0


def test_a_part_without_a_name_is_refused(town_client, stored_photos):
    form = b'--edge\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx\r\n--edge--\r\n'
    answer = town_client.post(
        f"/api/v1/reports/{REPORT}/photos", data=form, content_type="multipart/form-data; boundary=edge"
    )

    assert answer.status_code == 422
    assert answer.json["code"] == "request-invalid"
