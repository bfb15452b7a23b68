"""Reports that came with an address and no position get their place when the gazetteer knows the address well enough.

What it does not know waits for people, or for the next build of the gazetteer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gridsvc.geo.datums import STORAGE_DECIMALS
from gridsvc.services.geocoding import Candidate, geocode
from gridsvc.services.grid_lookup import NETWORKS, find_places
from gridsvc.store.report_intake import Poster
from gridsvc.store.unit_of_work import UnitOfWork

# a place is taken from a candidate that is right with this chance at least, and known to within a grid or two
SURE_FROM = 0.8
ACCURACY_MOST_M = 200.0


def place_waiting(uow: UnitOfWork, *, at: datetime, most: int = 50) -> int:
    """Find the places of up to ``most`` waiting reports, each in a transaction of its own; return how many got one.

    A report placed opens its case, keeps its id, hash and time of receipt, and its address; its position is that of the
    address, with the accuracy of that.
    """
    build = uow.gazetteer.state().build_id
    placed = 0
    if build is None or not uow.unplaced_reports.has_untried(build):
        return placed
    for _ in range(most):
        report = uow.unplaced_reports.claim(build)
        if report is None:
            break
        if _place(uow, report, at):
            placed += 1
        else:
            uow.unplaced_reports.mark_tried(report["report_id"], build)
        uow.commit()
    return placed


def _place(uow: UnitOfWork, report: dict[str, Any], at: datetime) -> bool:
    """Move a claimed report to the place of its address; False when that is not sure enough."""
    scope = report["scope_prefix"]
    found = geocode(uow.within(scope), report["address"], limit=1, at=report["reported_at"])
    if not found or found[0].score < SURE_FROM or found[0].accuracy_m > ACCURACY_MOST_M:
        return False
    row = _located(uow, report, found[0], at)
    if row is None or not (row["community_code"] or row["district_code"]).startswith(scope):
        return False
    uow.unplaced_reports.release(report["report_id"])
    # found by this program, so no token is asked for; who posted it stays who posted it
    poster = Poster(report["posted_by"], scope=scope)
    uow.intake.take([row], posters=[poster], at=report["received_at"])
    return True


def _located(uow: UnitOfWork, report: dict[str, Any], candidate: Candidate, at: datetime) -> dict[str, Any] | None:
    """Return the row of a report at a candidate's place with the grids of its own time; None in no district."""
    lon, lat = round(candidate.lon, STORAGE_DECIMALS), round(candidate.lat, STORAGE_DECIMALS)
    places = find_places(uow.everywhere(), [lon], [lat], report["reported_at"], hold=True)
    if places.district[0] is None:
        return None
    kept = {name: value for name, value in report.items() if name not in ("scope_prefix", "received_at", "posted_by")}
    return kept | {
        "original_lon": candidate.lon,
        "original_lat": candidate.lat,
        "original_datum": "cgcs2000",
        "accuracy_m": candidate.accuracy_m,
        "lon": lon,
        "lat": lat,
        "district_code": places.district[0],
        "community_code": places.community[0],
        "located_at": at,
        **{f"{network}_grid": places.grids[network][0] for network in NETWORKS},
    }
