"""Corrections of facilities: what may be said of one, and what speaks against a correction before somebody decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# wrong place, closed, not held here yet, other kind, wrong name (or address)
WHAT = ("moved", "closed", "new", "other_kind", "renamed")
STATES = ("open", "accepted", "refused")

DUPLICATE_M = 50.0  # our choice: two of one kind nearer than this are mostly one, entered twice
FAR_MOVE_M = 500.0  # our choice: about the largest shift of a datum taken for another (GCJ-02 for WGS 84)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that speaks against a correction: a stable code, a sentence, the facilities it is about."""

    code: str
    message: str
    facility_codes: tuple[str, ...] = ()


def check_correction(
    what: str,
    kind_code: str,
    *,
    changed_since: bool = False,
    moved_m: float | None = None,
    district: str = "",
    place_district: str | None = None,
    near_codes: Sequence[str] = (),
    near_kinds: Sequence[str] = (),
    near_m: ArrayLike = (),
) -> tuple[Finding, ...]:
    """Return what speaks against a correction, in the order of the codes below; empty when nothing does.

    ``changed-since``: the facility was changed after the correction came. ``outside-division``: the place given lies in no division
    held, or in another district than the facility. ``far-move``: it is moved further than `FAR_MOVE_M`. ``duplicate``: another facility
    of the kind it would be of stands within `DUPLICATE_M`.

    Parameters
    ----------
    what
        One of `WHAT`.
    kind_code
        The kind it would be of.
    moved_m
        How far it is moved; None when it is not. Unit: m.
    district, place_district
        Six digits of the facility's district ("" when it has none) and of the place given; None where there is no district.
    near_codes, near_kinds, near_m
        Other facilities in force around the place it would stand at, with their kinds and distances. Unit: m.
    """
    findings = []
    if changed_since:
        findings.append(Finding("changed-since", "The facility was changed after this correction was received."))
    if what in ("moved", "new") and place_district is None:
        findings.append(Finding("outside-division", "The place lies in no division held here."))
    elif what == "moved" and district and place_district != district:
        findings.append(
            Finding("outside-division", f"The place lies in district {place_district}, the facility in {district}.")
        )
    if moved_m is not None and moved_m > FAR_MOVE_M:
        message = f"It is moved {moved_m:.0f} m, further than {FAR_MOVE_M:.0f} m; was the datum the one declared?"
        findings.append(Finding("far-move", message))
    if what in ("moved", "new", "other_kind"):
        findings += _duplicates(kind_code, near_codes, near_kinds, near_m)
    return tuple(findings)


def _duplicates(
    kind_code: str, near_codes: Sequence[str], near_kinds: Sequence[str], near_m: ArrayLike
) -> list[Finding]:
    distance = np.asarray(near_m, dtype=np.float64)
    same = [i for i, kind in enumerate(near_kinds) if kind == kind_code and distance[i] <= DUPLICATE_M]
    if not same:
        return []
    same.sort(key=lambda i: (distance[i], near_codes[i]))
    codes = tuple(near_codes[i] for i in same)
    message = f"{codes[0]}, of the same kind, stands {distance[same[0]]:.0f} m away."
    return [Finding("duplicate", message, codes)]


def corrected(facility: dict[str, Any], correction: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a facility as a correction says them: what it does not say stays.

    A facility that moves loses its area and its entrances, which were those of the old place.
    """
    what = correction["what"]
    changed = dict(facility)
    if what in ("moved", "new"):
        changed |= {"geometry": correction["geometry"], "area": None, "entrances": None}
        changed["original_datum"] = correction["original_datum"]
    if what in ("new", "other_kind"):
        changed["kind_code"] = correction["kind_code"]
    for name in ("name", "address"):
        if correction[name]:
            changed[name] = correction[name]
    return changed
