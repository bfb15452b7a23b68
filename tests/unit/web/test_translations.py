"""The Chinese catalogue says everything the pages say, and the compiled one is that of the text."""

from __future__ import annotations

import io

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from gridsvc.resources import content_dir

WEB = content_dir("migrations").parent / "gridsvc" / "web"
CATALOGUE = WEB / "translations" / "zh_Hans_CN" / "LC_MESSAGES"


def said() -> set[str]:
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    return {
        message for _, _, message, _, _ in extract_from_dir(str(WEB), methods, {"**.py": {}, "templates/**.html": {}})
    }


def catalogue():
    with (CATALOGUE / "messages.po").open("rb") as file:
        return read_po(file, locale="zh_Hans_CN")


def test_every_text_of_the_pages_has_a_chinese_one():
    translated = {message.id for message in catalogue() if message.id and message.string}

    assert said() - translated == set()


def test_no_chinese_text_is_for_nothing():
    assert {message.id for message in catalogue() if message.id} - said() == set()


def test_placeholders_are_kept():
    for message in catalogue():
        if message.id:
            assert message.id.count("{detail}") == message.string.count("{detail}")


def test_the_compiled_catalogue_is_that_of_the_text():
    compiled = io.BytesIO()
    write_mo(compiled, catalogue())

    if compiled.getvalue() != (CATALOGUE / "messages.mo").read_bytes():
        pytest.fail("messages.mo is stale: pybabel compile -d gridsvc/web/translations")
