"""Identifiers of components (部件): district, class and serial number, by the edition of the catalogue; and their states.

An id is text and given once: a component that is moved, lost or removed keeps it, and no other ever gets it. Its length
says the edition: 17 digits in GB/T 47678.5-2026, 16 in GB/T 30428.2-2013.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gridsvc.errors import CodeMalformedError, CodesExhaustedError

# state -> its name in the standard (管理部件状态, GLBJZT)
STATES: dict[str, str] = {"intact": "完好", "damaged": "破损", "lost": "丢失", "abandoned": "废弃", "removed": "移除"}
# what older and local registers write for them
_STATE_WORDS: dict[str, str] = {
    **{name: state for state, name in STATES.items()},
    "正常": "intact", "良好": "intact", "损坏": "damaged", "缺失": "lost", "报废": "abandoned", "拆除": "removed",
}  # fmt: skip

# accuracy class of a surveyed position -> standard deviation, unit: m; a register that says none is taken for class C
ACCURACY_M: dict[str, float] = {"A": 0.5, "B": 1.0, "C": 10.0}


class ComponentIdParts(NamedTuple):
    """The parts of a component id: edition, district code, category code of that edition (with its ``C``), serial number."""

    edition: str
    district_code: str
    category_code: str
    serial: int


@dataclass(frozen=True, slots=True)
class ComponentScheme:
    """Lengths of the parts of a component id in one edition of the catalogue.

    ``digits`` are those of district, major class, minor class and serial, in this order. ``verified`` says whether the
    text of the standard itself was at hand.
    """

    edition: str
    standard: str
    digits: tuple[int, int, int, int]
    source: str
    verified: bool

    @property
    def length(self) -> int:
        """Return the number of digits of a whole id."""
        return sum(self.digits)

    @property
    def last_serial(self) -> int:
        """Return the largest serial number of one class in one district."""
        return 10 ** self.digits[3] - 1


SCHEMES: dict[str, ComponentScheme] = {
    scheme.edition: scheme
    for scheme in (
        ComponentScheme(
            edition="gbt-47678.5-2026",
            standard="GB/T 47678.5-2026",
            digits=(6, 2, 3, 6),
            source="public transcription of GB/T 47678.5-2026: 6 district + 2 major + 3 minor + 6 serial",
            verified=False,
        ),
        ComponentScheme(
            edition="gbt-30428.2-2013",
            standard="GB/T 30428.2-2013",
            digits=(6, 2, 2, 6),
            source="one sample of a register, 3205080101000001: 6 district + 2 major + 2 minor + 6 serial",
            verified=False,
        ),
    )
}
FIRST_SERIAL = 1


def parse(component_id: str) -> ComponentIdParts:
    """Return the parts of a component id; its length says the edition.

    Whether the district and the class exist is not looked at.

    Raises
    ------
    CodeMalformedError
        When it is no text of 17 or 16 ASCII digits, or its serial number is 0.

    Examples
    --------
    >>> parse("42010301001000007")
    ComponentIdParts(edition='gbt-47678.5-2026', district_code='420103', category_code='C01001', serial=7)
    """
    scheme = next((s for s in SCHEMES.values() if _is_digits(component_id, s.length)), None)
    if scheme is None:
        lengths = " or ".join(f"{s.length} ({s.standard})" for s in SCHEMES.values())
        raise CodeMalformedError(
            f"Component id {component_id!r} is malformed.", hint=f"Give text of digits: {lengths}.",
            value=str(component_id)[:80],
        )  # fmt: skip
    district, major, minor, _ = scheme.digits
    serial = int(component_id[district + major + minor :])
    if serial < FIRST_SERIAL:
        raise CodeMalformedError(
            f"Component id {component_id!r} has the serial 0.", hint="Serials begin with 1.", value=component_id
        )
    category = "C" + component_id[district : district + major + minor]
    return ComponentIdParts(scheme.edition, component_id[:district], category, serial)


def format(edition: str, district_code: str, category_code: str, serial: int) -> str:
    """Return the component id of ``serial`` in a class and district; `parse` gives all of them back.

    Raises
    ------
    CodeMalformedError
        When the edition has no component ids, or district or class are not of its lengths.
    CodesExhaustedError
        When the serial number has too many digits.

    Examples
    --------
    >>> format("gbt-47678.5-2026", "420103", "C01001", 7)
    '42010301001000007'
    """
    scheme = SCHEMES.get(edition)
    if scheme is None:
        raise CodeMalformedError(
            f"Edition {edition!r} has no component ids.", hint=f"Editions with them: {', '.join(SCHEMES)}.", value=edition
        )  # fmt: skip
    district, major, minor, digits = scheme.digits
    if not _is_digits(district_code, district):
        raise CodeMalformedError(
            f"District code {district_code!r} is malformed.", hint=f"It has {district} digits.", value=str(district_code)
        )  # fmt: skip
    if category_code[:1] != "C" or not _is_digits(category_code[1:], major + minor):
        raise CodeMalformedError(
            f"{category_code!r} is no class of components in {scheme.standard}.",
            hint=f"It is C and {major + minor} digits.",
            value=str(category_code),
        )
    if not FIRST_SERIAL <= serial <= scheme.last_serial:
        raise CodesExhaustedError(
            f"Class {category_code} in district {district_code} has used all its {scheme.last_serial} serials.",
            hint="Ids are never given again; register under another class or district.",
            category_code=category_code, district_code=district_code,
        )  # fmt: skip
    return f"{district_code}{category_code[1:]}{serial:0{digits}d}"


def parse_state(text: str) -> str | None:
    """Return the state that ``text`` means (a key of `STATES`), None when it means none.

    Understood are the keys, the names of the standard (完好, 破损, 丢失, 废弃, 移除) and the words older registers use.
    """
    word = text.strip().lower()
    return word if word in STATES else _STATE_WORDS.get(word)


def anomaly_to_component(edition: str, category_code: str) -> str | None:
    """Return the component class that a category is about, None when it is about no component.

    A component class is about itself. In GB/T 47678.5-2026 the matters of the majors 01 to 05 are the anomalies of the
    component class with the same number; in GB/T 30428.2-2013 equal numbers mean different things.

    Examples
    --------
    >>> anomaly_to_component("gbt-47678.5-2026", "E01001")
    'C01001'
    >>> anomaly_to_component("gbt-30428.2-2013", "E0101") is None
    True
    """
    if category_code.startswith("C"):
        return category_code
    if edition == "gbt-47678.5-2026" and category_code[:3] in {f"E{major:02d}" for major in range(1, 6)}:
        return "C" + category_code[1:]
    return None


def _is_digits(text: object, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and text.isascii() and text.isdigit()
