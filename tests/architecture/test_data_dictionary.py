"""docs/data-dictionary.md names every table and column, and no others."""

import re
from pathlib import Path

from gridsvc.store.tables import metadata

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def documented_tables() -> dict[str, list[str]]:
    sections = re.split(r"^## (\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        name: re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE)
        for name, body in zip(sections[1::2], sections[2::2], strict=True)
    }


def test_data_dictionary_lists_every_table_and_column():
    stored = {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}

    assert documented_tables() == stored
