"""Long answers are compressed for who accepts that, short ones and errors come as they are."""

from __future__ import annotations

import gzip

import pytest

pytestmark = pytest.mark.postgis
GZIP = {"Accept-Encoding": "gzip"}


def test_a_long_list_is_compressed_when_asked_and_the_same(town_client):
    path = "/openapi.json"
    plain, packed = town_client.get(path), town_client.get(path, headers=GZIP)

    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data and len(packed.data) * 3 < len(plain.data)
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in packed.headers["Vary"]
    assert packed.headers["Content-Length"] == str(len(packed.data))
    assert town_client.get(path, headers=GZIP).data == packed.data


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br"])
def test_who_does_not_accept_it_gets_it_plain(town_client, accepted):
    assert "Content-Encoding" not in town_client.get("/openapi.json", headers={"Accept-Encoding": accepted}).headers


def test_short_answers_are_not_worth_it(town_client):
    answer = town_client.get("/api/v1/overview", headers=GZIP)

    assert answer.status_code == 200 and "Content-Encoding" not in answer.headers
