"""Documentation that cannot go stale unseen: links lead somewhere, and every dependency has its reason."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
_NOT_HERE = ("http://", "https://", "mailto:")


def code_left_out(text):
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    links = [
        link
        for link in _LINK.findall(code_left_out(page.read_text(encoding="utf-8")))
        if not link.startswith(_NOT_HERE)
    ]

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_dependency_has_its_reason_in_decision_0004():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = [re.split(r"[\[<>=!~; ]", line)[0] for line in setup["options"]["install_requires"].split("\n") if line]
    decision = (ROOT / "docs/decisions/0004-dependencies.md").read_text(encoding="utf-8").lower()

    assert len(needed) > 10
    assert [name for name in needed if not re.search(rf"(?<![\w-]){re.escape(name.lower())}(?![\w-])", decision)] == []
