import json

import pytest

from gridsvc.circle.coverage import load_standards, standard_document
from gridsvc.circle.own_standards import own_standard
from gridsvc.errors import RequestInvalidError
from gridsvc.resources import content_dir

KINDS = {"G1001", "G1504", "J02"}


def read(parsed, where="own.json"):
    return own_standard(parsed, known_kinds=KINDS, taken={"gb50180-15"}, where=where)


def make_list(**changes):
    return {"id": "own-2026", "kinds": [{"code": "G1001", "minutes": 10}, {"code": "J02", "required": "否"}]} | changes


def test_own_list_is_a_standard():
    rules = read(make_list(name_zh="本区清单", source="区政府 2026"))

    assert (rules.standard_id, rules.name_zh, rules.name_en, rules.source) == (
        "own-2026",
        "本区清单",
        "own-2026",
        "区政府 2026",
    )
    assert rules.codes == ("G1001", "J02")
    assert rules.limits_s.tolist() == [600, 900]
    assert rules.required.tolist() == [True, False]


def test_own_list_is_never_verified_and_names_its_file_as_source():
    rules = read(make_list(verified=True))

    assert not rules.is_verified and not any(kind.is_verified for kind in rules.kinds)
    assert rules.source == "own.json"


@pytest.mark.parametrize(
    ("parsed", "field"),
    [
        ([], None),
        (make_list(id="Own list"), "id"),
        (make_list(id=None), "id"),
        (make_list(id="gb50180-15"), "id"),
        (make_list(kinds=[]), "kinds"),
        (make_list(kinds="G1001"), "kinds"),
        (make_list(kinds=["G1001"]), "kinds[1]"),
        (make_list(kinds=[{"code": "G9999"}]), "kinds[1].code"),
        (make_list(kinds=[{"code": "J02"}, {"code": "J02"}]), "kinds[2].code"),
        (make_list(kinds=[{"code": "J02", "minutes": 0}]), "kinds[1].minutes"),
        (make_list(kinds=[{"code": "J02", "minutes": 61}]), "kinds[1].minutes"),
        (make_list(kinds=[{"code": "J02", "minutes": "soon"}]), "kinds[1].minutes"),
        (make_list(kinds=[{"code": "J02", "minutes": True}]), "kinds[1].minutes"),
        (make_list(kinds=[{"code": "J02", "minutes": float("nan")}]), "kinds[1].minutes"),
        (make_list(kinds=[{"code": "J02", "required": "maybe"}]), "kinds[1].required"),
        (make_list(kinds=[{"code": "J02", "minute": 5}]), "kinds[1].minute"),
        (make_list(kinds=[{"code": "J02", "required": False}]), "kinds"),
        (make_list(name_zh=3), "name_zh"),
        (make_list(speed=1.1), "speed"),
    ],
)  # fmt: skip
def test_faults_name_their_field(parsed, field):
    with pytest.raises(RequestInvalidError, match=r"own\.json") as refused:
        read(parsed)

    if field is not None:
        assert field in {fault["field"] for fault in refused.value.details["errors"]}


def test_all_faults_come_at_once():
    with pytest.raises(RequestInvalidError, match=r"and 1 more") as refused:
        read({"id": "", "kinds": [{"code": "X", "minutes": -1, "required": "?"}]})

    assert len(refused.value.details["errors"]) == 4


def test_document_of_a_standard_reads_back_as_the_same():
    parsed = json.loads((content_dir("data") / "circle_standards.json").read_text("utf-8"))

    for rules in load_standards(parsed).values():
        assert load_standards({"standards": [standard_document(rules)]}) == {rules.standard_id: rules}


def test_slots_of_the_beijing_circle_are_in_their_published_groups_and_unverified():
    parsed = json.loads((content_dir("data") / "circle_standards.json").read_text("utf-8"))
    slots = load_standards(parsed)["beijing-service"].kinds

    groups = [slot.group for slot in slots]
    counted = {group: groups.count(group) for group in dict.fromkeys(groups)}
    assert counted == {"一校": 1, "二栏": 2, "三中心": 3, "四场": 4, "五室": 5, "六站": 6, "九网点": 9}
    assert not any(slot.is_verified for slot in slots)
