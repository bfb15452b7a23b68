"""Ids of components, their states, and which class a matter is about."""

from __future__ import annotations

import pytest

from gridsvc.errors import CodeMalformedError, CodesExhaustedError
from gridsvc.geo import component_codes
from gridsvc.geo.component_codes import SCHEMES, anomaly_to_component, parse, parse_state
from gridsvc.store.reference_data import category_rows, legacy_category_rows

NEW, OLD = "gbt-47678.5-2026", "gbt-30428.2-2013"


@pytest.mark.parametrize(
    ("component_id", "parts"),
    [
        ("42010301001000007", (NEW, "420103", "C01001", 7)),
        # the sample of a register that the 2013 form was read from
        ("3205080101000001", (OLD, "320508", "C0101", 1)),
    ],
)
def test_an_id_says_edition_district_class_and_serial_and_is_written_back(component_id, parts):
    assert parse(component_id) == parts
    assert component_codes.format(*parts) == component_id


@pytest.mark.parametrize(
    "component_id",
    ["", "4201030101000000", "420103010010000071", "4201030100100000x", "４2010301001000007", "42010301001000000", None, 42010301001000007],
    ids=["empty", "serial 0 in 16", "18 digits", "a letter", "a wide digit", "serial 0", "none", "a number"],
)  # fmt: skip
def test_what_is_no_id_is_refused(component_id):
    with pytest.raises(CodeMalformedError):
        parse(component_id)


@pytest.mark.parametrize(
    ("edition", "district", "category"),
    [("1999", "420103", "C01001"), (NEW, "4201", "C01001"), (NEW, "420103", "E01001"), (NEW, "420103", "C0101"), (OLD, "420103", "C01001")],
)  # fmt: skip
def test_ids_are_not_made_of_other_parts(edition, district, category):
    with pytest.raises(CodeMalformedError):
        component_codes.format(edition, district, category, 1)


@pytest.mark.parametrize("serial", [0, 1_000_000])
def test_serials_that_do_not_fit_are_refused(serial):
    with pytest.raises(CodesExhaustedError):
        component_codes.format(NEW, "420103", "C01001", serial)


@pytest.mark.parametrize(
    ("text", "state"),
    [("完好", "intact"), (" LOST ", "lost"), ("损坏", "damaged"), ("移除", "removed"), ("unknown", None), ("", None)],
)
def test_states_are_read_in_both_languages(text, state):
    assert parse_state(text) == state


def test_every_component_class_of_the_catalogue_fits_the_ids_of_its_edition():
    for row in (*category_rows(), *legacy_category_rows()):
        if row["kind"] == "component" and row["level"] == 2:
            assert parse(component_codes.format(row["edition"], "420103", row["code"], 1)).category_code == row["code"]
    assert set(SCHEMES) == {NEW, OLD}


def test_matters_of_the_first_five_majors_are_about_the_component_class_of_the_same_number():
    codes = {row["code"] for row in category_rows() if row["level"] == 2}
    about = {code: anomaly_to_component(NEW, code) for code in codes if code.startswith("E")}

    assert {code for code, component in about.items() if component} == {c for c in about if c[1:3] <= "05"}
    assert {component for component in about.values() if component} <= codes


def test_equal_numbers_mean_different_things_in_2013():
    assert anomaly_to_component(OLD, "E0101") is None
    assert anomaly_to_component(OLD, "C0101") == "C0101"
