"""A made-up town goes through every kind of import, twice."""

from __future__ import annotations

import pytest

from gridsvc.formats.dataset import FILES, read_dataset
from gridsvc.services.importing import import_file
from gridsvc.services.synthesising import synthesise_to_folder

pytestmark = pytest.mark.postgis


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    synthesise_to_folder(folder, scale="street", seed=3)
    return read_dataset(folder)


def import_all(uow, town):
    how = {"datum": town.info["datum"], "valid_from": town.as_of}
    return {kind: import_file(uow, kind, town.path_of(kind), **how) for kind in FILES if town.path_of(kind)}


def test_every_row_of_every_kind_is_stored_once(uow, town):
    first = import_all(uow, town)
    again = import_all(uow, town)

    assert set(first) == set(FILES)
    assert all(result.rows_stored == result.rows_read > 0 and not result.refused for result in first.values())
    assert all(result.already_imported and result.rows_stored == 0 for result in again.values())
    assert uow.reports.count() == first["reports"].rows_read
    assert uow.residences.list()["community_code"].notna().all()


def test_police_grids_of_the_town_cover_it_exactly(uow, town):
    counts = import_all(uow, town)["grids"].counts

    assert [district["is_exact"] for district in counts.values()] == [True]
    assert sum(district["gap_area_m2"] + district["overlap_area_m2"] for district in counts.values()) == 0.0
