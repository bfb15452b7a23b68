"""Static files: compressed, versioned by their content, kept for good only under the version there is; pages compressed."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from factories import served_town

from gridsvc.web import create_app
from gridsvc.web.static_files import StaticFiles

GZIP = {"Accept-Encoding": "gzip, deflate"}


@pytest.fixture(scope="module")
def client():
    return create_app(None, served_town.settings()).test_client()


@pytest.fixture(scope="module")
def version(client):
    with client.application.test_request_context():
        return client.application.url_for("static", filename="x").split("/")[2]


def test_a_script_is_compressed_and_kept_for_good_under_its_version(client, version):
    plain = client.get(f"/static/{version}/js/command_centre.js")
    packed = client.get(f"/static/{version}/js/command_centre.js", headers=GZIP)

    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2
    for answer in (plain, packed):
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert plain.headers["ETag"] != packed.headers["ETag"]


@pytest.mark.parametrize("prefix", ["", "v-0123456789abcdef/"], ids=["no version", "another release's"])
def test_without_the_version_a_browser_asks_again(client, prefix):
    first = client.get(f"/static/{prefix}css/page.css", headers=GZIP)
    again = client.get(f"/static/{prefix}css/page.css", headers={**GZIP, "If-None-Match": first.headers["ETag"]})

    assert (first.status_code, first.headers["Cache-Control"]) == (200, "public, no-cache")
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "name", ["js/none.js", "../application.py", "js/../../application.py", "js", "", "%2e%2e/server.py"]
)
def test_what_is_no_static_file_is_not_found(client, version, name):
    for path in (f"/static/{name}", f"/static/{version}/{name}"):
        assert client.get(path).status_code in (404, 308)


def test_a_file_that_changes_is_another_version(tmp_path):
    (tmp_path / "a.css").write_text("a {}" * 500)
    before, files = StaticFiles(tmp_path).version, StaticFiles(tmp_path)
    assert files.version == before
    one = files.find("a.css")
    assert one is files.find("a.css")

    (tmp_path / "a.css").write_text("b {}" * 501)

    assert StaticFiles(tmp_path).version != before
    assert files.find("a.css").raw.startswith(b"b")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    inside = tmp_path / "static"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")

    assert StaticFiles(inside).find("link.txt") is None


def test_fonts_are_sent_as_they_are(client, tmp_path):
    (tmp_path / "font.woff2").write_bytes(b"wOF2" * 1000)

    assert StaticFiles(tmp_path).find("font.woff2").compressed is None


@pytest.mark.postgis
def test_the_page_is_compressed_and_asks_at_once_for_every_script_it_imports(town_client):
    packed = town_client.get("/", headers=GZIP)
    page = gzip.decompress(packed.data).decode("utf-8")

    assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers["Vary"]
    assert town_client.get("/").text[:15] == page[:15]
    folder = Path(town_client.application.static_folder)
    imported, waiting = set(), [folder / "js/command_centre.js"]
    while waiting:
        script = waiting.pop()
        for found in re.findall(r'(?:from |import\()"(\.[^"]+)"', script.read_text(encoding="utf-8")):
            path = (script.parent / found).resolve()
            if path not in imported:
                imported.add(path)
                waiting += [path] if "vendor" not in path.parts else []
    preloaded = re.findall(r'rel="modulepreload" href="/static/v-[0-9a-f]{16}/([^"]+)"', page)
    assert sorted(preloaded) == sorted(path.relative_to(folder).as_posix() for path in imported)
