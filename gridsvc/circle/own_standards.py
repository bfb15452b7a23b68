"""The planner's own list of facility kinds: read from parsed data, with every fault named at once.

An own list is never verified, whatever it says of itself: nobody here has compared it with a source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gridsvc.circle.coverage import CircleStandard, StandardKind
from gridsvc.circle.travel_times import MOST_MINUTES
from gridsvc.errors import RequestInvalidError

_ID = re.compile(r"^[a-z0-9][a-z0-9-]{1,39}$")
_YES = {"yes": True, "true": True, "1": True, "是": True, "no": False, "false": False, "0": False, "否": False}
_OF_LIST = {"id", "name_zh", "name_en", "source", "note", "verified", "kinds"}
_OF_KIND = {"code", "minutes", "required", "group", "verified"}


def own_standard(parsed: Any, *, known_kinds: Collection[str], taken: Collection[str], where: str) -> CircleStandard:
    """Return a planner's own list as a standard.

    Parameters
    ----------
    parsed
        ``{"id", "name_zh", "name_en", "source", "note", "kinds": [{"code", "minutes", "required", "group"}]}``; id and kinds are needed,
        required counts as yes, minutes as 15.
    known_kinds
        Codes of the facility kinds there are.
    taken
        Ids of the standards that come with the program.
    where
        What the list was read from, for messages, and its source where it names none.

    Raises
    ------
    RequestInvalidError
        With every fault and its field: an id that is malformed or taken, unknown or repeated kinds, minutes not over 0 and up to 60,
        an unclear yes or no, fields that are not known, or no required kind at all.
    """
    if not isinstance(parsed, Mapping):
        raise RequestInvalidError(
            f"{where} holds no list of kinds.", hint='Write {"id": "own", "kinds": [{"code": "G1001", "minutes": 10}]}.'
        )
    faults = _Faults()
    faults.unknown(parsed, _OF_LIST, "")
    standard_id = _checked_id(parsed.get("id"), taken, faults)
    texts = {name: _text(parsed.get(name, ""), name, faults) for name in ("name_zh", "name_en", "source", "note")}
    kinds = _kinds(parsed.get("kinds"), known_kinds, faults)
    faults.refuse(where)
    return CircleStandard(
        standard_id=standard_id,
        name_zh=texts["name_zh"] or standard_id,
        name_en=texts["name_en"] or standard_id,
        source=texts["source"] or where,
        is_verified=False,
        note=texts["note"],
        kinds=kinds,
    )


class _Faults:
    """Faults found so far, each with its field."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def add(self, field: str, message: str) -> None:
        self.found.append({"field": field, "code": "list-invalid", "message": message})

    def unknown(self, given: Mapping[str, Any], known: set[str], place: str) -> None:
        for name in given:
            if name not in known:
                self.add(f"{place}{name}", f"is not known; known are {', '.join(sorted(known))}")

    def refuse(self, where: str) -> None:
        if not self.found:
            return
        listed = "; ".join(f"{fault['field']} {fault['message']}" for fault in self.found[:3])
        rest = f" (and {len(self.found) - 3} more)" if len(self.found) > 3 else ""
        raise RequestInvalidError(
            f"The list of facility kinds in {where} is not valid: {listed}{rest}.",
            hint="Mend the list; gridsvc circle standards --kinds names the kinds there are.",
            errors=self.found,
        )


def _checked_id(given: Any, taken: Collection[str], faults: _Faults) -> str:
    if not isinstance(given, str) or not _ID.match(given):
        faults.add("id", f"{given!r} is not 2 to 40 small letters, digits and hyphens")
        return ""
    if given in taken:
        faults.add("id", f"{given!r} is that of a list that comes with the program; choose another")
    return given


def _text(given: Any, field: str, faults: _Faults) -> str:
    if not isinstance(given, str):
        faults.add(field, f"{given!r} is no text")
        return ""
    return given.strip()


def _kinds(given: Any, known_kinds: Collection[str], faults: _Faults) -> tuple[StandardKind, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        faults.add("kinds", "names no facility kind")
        return ()
    kinds: dict[str, StandardKind] = {}
    for number, row in enumerate(given, start=1):
        place = f"kinds[{number}]."
        if not isinstance(row, Mapping):
            faults.add(place[:-1], "is no object with code and minutes")
            continue
        faults.unknown(row, _OF_KIND, place)
        code = str(row.get("code", "")).strip()
        if code not in known_kinds:
            faults.add(f"{place}code", f"{code!r} is no facility kind")
        elif code in kinds:
            faults.add(f"{place}code", f"{code!r} comes a second time")
        kinds[code] = StandardKind(
            code,
            _minutes(row.get("minutes", 15), f"{place}minutes", faults),
            _is_required(row.get("required", True), f"{place}required", faults),
            group=_text(row.get("group", ""), f"{place}group", faults),
        )
    if not any(kind.required for kind in kinds.values()):
        faults.add("kinds", "requires no kind, so that everybody would be covered")
    return tuple(kinds.values())


def _minutes(given: Any, field: str, faults: _Faults) -> float:
    try:
        minutes = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        minutes = math.nan
    if not 0 < minutes <= MOST_MINUTES:
        faults.add(field, f"{given!r} is not a number over 0 and up to {MOST_MINUTES:g}")
    return minutes


def _is_required(given: Any, field: str, faults: _Faults) -> bool:
    required = given if isinstance(given, bool) else _YES.get(str(given).strip().lower())
    if required is None:
        faults.add(field, f"{given!r} is neither yes nor no")
        return True
    return required
