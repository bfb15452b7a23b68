"""Codes of administrative divisions: province 2, city 4, district 6, street 9, community 12 digits, each a prefix of its children.

Codes are text; leading zeros count and nothing here parses a code as a number.
"""

from __future__ import annotations

from gridsvc.errors import CodeMalformedError

# level -> number of digits, from large to small
LEVELS: dict[str, int] = {"province": 2, "city": 4, "district": 6, "street": 9, "community": 12}
_LEVEL_OF_LENGTH = {digits: level for level, digits in LEVELS.items()}
_ORDER = tuple(LEVELS)


def check_division_code(code: str, level: str | None = None) -> str:
    """Return ``code`` when it is a well-formed division code (of ``level``, when given).

    Raises
    ------
    CodeMalformedError
        When it is no text of 2, 4, 6, 9 or 12 digits, ends in an all-zero part (a padded code), or is of another level.
    """
    lengths = ", ".join(f"{digits} ({name})" for name, digits in LEVELS.items())
    if not isinstance(code, str) or not code.isascii() or not code.isdigit() or len(code) not in _LEVEL_OF_LENGTH:
        raise CodeMalformedError(
            f"Division code {code!r} is malformed.", hint=f"Give text of digits: {lengths}.", value=str(code)
        )
    found = _LEVEL_OF_LENGTH[len(code)]
    parent = parent_of_length(len(code))
    if set(code[parent:]) == {"0"}:
        raise CodeMalformedError(
            f"Division code {code!r} ends in zeros where its {found} part should be.",
            hint=f"Padded codes are written short here: {unpad(code)!r}.",
            value=code,
        )
    if level is not None and level != found:
        wanted = f"{LEVELS[level]} digits" if level in LEVELS else f"one of {', '.join(_ORDER)}"
        raise CodeMalformedError(
            f"Division code {code!r} is the code of a {found}, not of a {level}.",
            hint=f"A {level} has {wanted}.",
            value=code,
        )
    return code


def level_of(code: str) -> str:
    """Return the level of a division code: ``province``, ``city``, ``district``, ``street`` or ``community``.

    Raises
    ------
    CodeMalformedError
        As `check_division_code`.
    """
    return _LEVEL_OF_LENGTH[len(check_division_code(code))]


def parent_of(code: str) -> str | None:
    """Return the code of the division that holds ``code``, None for a province.

    Examples
    --------
    >>> parent_of("420103001001")
    '420103001'
    """
    return check_division_code(code)[: parent_of_length(len(code))] or None


def ancestor_of(code: str, level: str) -> str:
    """Return the prefix of ``code`` (a division or grid code) at ``level``, e.g. the district of a community."""
    digits = LEVELS[level]
    if len(code) < digits:
        raise CodeMalformedError(
            f"Code {code!r} is too short to lie in a {level}.", hint=f"A {level} has {digits} digits.", value=code
        )
    return code[:digits]


def unpad(code: str) -> str:
    """Return a statistical code without its filling zeros: ``420103000000`` is the district ``420103``.

    The shortest level that loses nothing but zeros; codes that are not padded come back unchanged.
    """
    shortest = len(code)
    for digits in sorted((d for d in _LEVEL_OF_LENGTH if d < len(code)), reverse=True):
        if set(code[digits:shortest]) != {"0"}:
            break
        shortest = digits
    return code[:shortest]


def parent_of_length(digits: int) -> int:
    """Return how many digits the parent of a code of ``digits`` digits has, 0 for a province."""
    return max((d for d in _LEVEL_OF_LENGTH if d < digits), default=0)
