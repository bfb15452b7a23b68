"""``gridsvc locate`` and ``gridsvc map coverage``: what is asked wrongly is refused before anything is opened."""

import pytest
from click.testing import CliRunner

from gridsvc.cli.locating import locate
from gridsvc.cli.mapping import map_group
from gridsvc.errors import FileUnreadableError, RequestInvalidError


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("lon,lat\n114.25,30.58\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("command", "arguments"), [(locate, ["--help"]), (map_group, ["coverage", "--help"])])
def test_help_has_an_example(command, arguments):
    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 0
    assert "Example:" in result.output


def test_a_datum_must_be_declared(points):
    result = CliRunner().invoke(locate, [str(points), "--out", "x.csv"])

    assert result.exit_code == 2
    assert "--datum" in result.output


@pytest.mark.parametrize("at", ["yesterday", "2026-01-01T00:00:00"], ids=["no date", "no offset"])
def test_an_instant_needs_a_date_and_an_offset(points, at):
    result = CliRunner().invoke(locate, [str(points), "--datum", "wgs84", "--out", "x.csv", "--at", at])

    assert isinstance(result.exception, RequestInvalidError)


def test_a_mapping_names_lon_or_lat(points):
    result = CliRunner().invoke(locate, [str(points), "--datum", "wgs84", "--out", "x.csv", "--map", "a=b"])

    assert result.exit_code == 2


def test_a_map_needs_a_folder_that_is_there(tmp_path):
    result = CliRunner().invoke(map_group, ["coverage", "--out", str(tmp_path / "none" / "map.html")])

    assert isinstance(result.exception, FileUnreadableError)
