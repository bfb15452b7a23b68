import dataclasses

import numpy as np
import pytest
import shapely

from gridsvc.maps.life_circle_certificate import CertificateContent, KindLine, certificate_page
from gridsvc.maps.self_contained import external_resources

RUN = {
    "circle_run_id": 7,
    "division_code": "420103",
    "standard_name": "北京一刻钟社区服务圈",
    "standard_name_en": "Beijing one-quarter-hour community service circle",
    "standard_source": "一校二栏三中心",
    "standard_verified": False,
    "speed_m_s": 0.8,
    "network_sha256": "ab" * 32,
    "facilities_newest_at": "2026-01-01T00:00:00+00:00",
    "count_minutes": [5, 10, 15],
    "doubts": {"residences_without_entrance": 1234, "kinds_without_facilities": ["B201"]},
}


def make_content(**changes) -> CertificateContent:
    kinds = (
        KindLine("B101", "市民学校", "Citizens school", "一校", 15, True, False, 0.954, 4, 312.0, (0.0, 1.25, 2.0)),
        KindLine("B201", "宣传栏", "Publicity board", "二栏", 15, True, True, 0.0, 90, None, (0.0, 0.0, 0.0)),
    )
    values = {
        "code": "420103001001", "name": "民权<社区>", "above": "江汉区 民族街道", "ran_on": "2026-01-01", "facilities_on": "2025-12-30", "population": 94, "households": 30,
        "residences": 3, "complete_share": 0.0, "compliance": 0.5, "is_qualified": False, "kinds": kinds, "run": RUN,
        "boundary": shapely.box(0, 0, 300, 200),
        "grounds": np.array([shapely.box(x, 20, x + 30, 60) for x in (10, 100, 200)], dtype=object),
        "lacking": np.array([0, 1, -1]), "facilities": np.array([shapely.Point(50, 50), shapely.Point(9000, 50)], dtype=object),
    }  # fmt: skip
    return CertificateContent(**values | changes)


def test_page_loads_nothing_and_is_the_same_each_time():
    page = certificate_page(make_content())

    assert external_resources(page) == []
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page == certificate_page(make_content())


def test_page_says_the_verdict_in_chinese_then_english():
    page = certificate_page(make_content())

    assert page.index("未达标") < page.index("Not qualified")
    assert "测算结果，非官方评定" in page and "not an official rating" in page
    assert "95.4%" in page and "5.2 min" in page


def test_kinds_not_read_in_their_source_are_marked():
    rows = certificate_page(make_content()).split("<tbody>")[1].split("</tr>")

    assert "未核实" in rows[0] and "市民学校" in rows[0]
    assert "未核实" not in rows[1] and "宣传栏" in rows[1]


def test_list_that_was_not_checked_is_said_above_the_figures():
    content = make_content()
    checked = tuple(dataclasses.replace(kind, is_verified=True) for kind in content.kinds)

    assert "2 类设施中有 1 类未经核实" in certificate_page(content).split('class="figures"')[0]
    assert "未经核实" not in certificate_page(dataclasses.replace(content, kinds=checked))


def test_doubtful_input_is_stated():
    doubts = certificate_page(make_content()).split("存疑数据")[1]

    assert "<b>1,234</b>" in doubts
    assert "宣传栏" in doubts.split("测算依据")[0]


def test_names_are_escaped():
    page = certificate_page(make_content())

    assert "民权&lt;社区&gt;" in page and "<社区>" not in page


def test_homes_are_coloured_by_what_they_lack_and_far_facilities_left_out():
    svg = certificate_page(make_content()).split("<svg")[1].split("</svg>")[0]

    assert [svg.count(colour) for colour in ("#2f8f5b", "#e0a526", "#c8452f", "#c9ced6")] == [1, 0, 1, 1]
    assert svg.count("<circle") == 1


@pytest.mark.parametrize(("verdict", "word"), [(True, "达标"), (None, "不作判定")])
def test_other_verdicts(verdict, word):
    content = dataclasses.replace(make_content(), is_qualified=verdict, complete_share=None, compliance=None)

    assert f"<b>{word}</b>" in certificate_page(content)
