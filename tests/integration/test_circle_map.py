"""The service-circle map of a stored run."""

import numpy as np
import pytest

from gridsvc.errors import NotFoundError
from gridsvc.services.circle_gaps import list_gap_areas
from gridsvc.services.circle_map import circle_content, write_circle
from gridsvc.services.circle_places import cover_places, place_rows
from gridsvc.services.circle_runs import read_run
from gridsvc.services.circles import circle_standards, run_circle
from tests.factories.stored_town import COMMUNITIES, DISTRICT, START
from tests.factories.walking_town import MIDDLE, put_town, shops

pytestmark = pytest.mark.postgis

STANDARD = "beijing-convenience"
KINDS = list(circle_standards()[STANDARD].codes)


@pytest.fixture
def ran(uow):
    put_town(uow, shops(KINDS[:5], [MIDDLE]))
    run_circle(uow, DISTRICT, at=START, standard=STANDARD)
    return uow


def test_the_map_shows_the_stored_run(ran, tmp_path):
    written = write_circle(ran, DISTRICT, out=tmp_path / "circle.html")

    assert written.features["circle_communities"] == len(COMMUNITIES)
    assert written.features["circle_residences"] == 16
    assert written.features["circle_facilities"] == 5
    assert not written.aggregated
    assert write_circle(ran, DISTRICT, out=tmp_path / "again.html").sha256 == written.sha256


def test_gaps_and_totals_are_those_told_elsewhere(ran):
    content = circle_content(ran, DISTRICT, read_run(ran, DISTRICT))

    _, areas = list_gap_areas(ran, DISTRICT, kinds=KINDS)
    of_kind = {
        code: [
            people
            for kinds, people in zip(content.gaps["kinds"], content.gaps["population"], strict=True)
            if column in kinds
        ]
        for column, code in enumerate(KINDS)
    }
    assert of_kind == {code: [area.population for area in areas if area.kind_code == code] for code in KINDS}
    # nobody reaches what is nowhere, so somebody lacks something everywhere
    assert sum(content.gaps["population"][[-1 in kinds for kinds in content.gaps["kinds"]]]) == 16 * 90
    whole = place_rows(cover_places(ran, DISTRICT, by="district"))[0]
    assert content.total["kinds"] == whole["kinds"]
    assert (content.is_lacking[:, 5:]).all()
    assert np.isfinite(content.times_s[:, :5]).any()


def test_one_community_of_a_run_has_a_map_of_its_own(ran, tmp_path):
    written = write_circle(ran, COMMUNITIES[0], out=tmp_path / "circle.html")

    assert (written.features["circle_communities"], written.features["circle_residences"]) == (1, 4)


def test_without_a_run_or_a_division_it_is_said(ran, tmp_path):
    with pytest.raises(NotFoundError, match=r"at 0\.8 m/s was computed"):
        write_circle(ran, DISTRICT, out=tmp_path / "circle.html", speed_m_s=0.8)
    with pytest.raises(NotFoundError, match="No service circle"):
        write_circle(ran, "999999", out=tmp_path / "circle.html")
    with pytest.raises(NotFoundError, match="no division"):
        write_circle(ran, f"{DISTRICT}999", out=tmp_path / "circle.html")
    assert list(tmp_path.iterdir()) == []
