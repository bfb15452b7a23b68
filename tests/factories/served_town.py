"""A small town as the web serves it: divisions, grids of four networks, workers on grids, facilities, streets, reports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd
from factories import registers
from factories import stored_town as town
from factories.served_duties import put_duties

from gridsvc.services.event_stream import EventHub
from gridsvc.services.point_locator import PointLocator
from gridsvc.services.report_queue import ReportQueue
from gridsvc.settings import read_settings

# network -> (kind, grids in a community)
NETWORKS = {"social": ("governance", 2), "urban": ("unit", 4), "security": ("security", 2), "unified": ("unified", 2)}


def put_town(uow) -> None:
    """Store the town, in force from ``town.START``; the caller commits."""
    uow.divisions.put_frame(town.division_frame(), town.START)
    for network, (kind, parts) in NETWORKS.items():
        frame = town.grid_frame(network=network, kind=kind, parts=parts)
        redraw = uow.redraws.open_draft(network, town.DISTRICT, "automatic", "test", town.START)
        uow.redraws.put_grids(redraw, frame)
        uow.redraws.approve(redraw, "test", town.START, town.START, {})
    uow.workers.put_frame(town.worker_frame(count=8, phone="13812345678"), town.START)
    uow.assignments.put_in_force(assignment_frame(), network="social", prefix=town.DISTRICT, at=town.START)
    put_duties(uow)
    uow.streets.put_frame(town.street_frame())
    uow.residences.put_frame(town.residence_frame())
    uow.facilities.put_frame(town.facility_frame(), town.START)
    uow.components.put_frame(registers.component_frame(3, category=registers.BIN), town.START)


def assignment_frame() -> pd.DataFrame:
    """Return one primary full-time worker for each governance grid."""
    codes = town.grid_frame(network="social")["code"]
    return pd.DataFrame(
        {
            "worker_code": [f"WK{i:04d}" for i in range(len(codes))],
            "network": "social",
            "grid_code": codes,
            "role": "full_time",
            "is_primary": True,
            "deputy_of": None,
        }
    )


@dataclass
class Services:
    """What create_app needs, over units of work of the test's own; live events without a thread."""

    unit_of_work: object
    photo_files: object = None
    events: EventHub = field(init=False)

    def __post_init__(self) -> None:
        self.events = EventHub(self.unit_of_work, None, kept=1000, streams=4)

    @property
    def unit_of_statements(self):
        return self.unit_of_work

    @cached_property
    def report_queue(self):
        return ReportQueue(self.unit_of_work)

    @cached_property
    def point_locator(self):
        return PointLocator(self.unit_of_work, self.unit_of_work, nearest_within_m=settings().nearest_grid_m)


def settings(**changes):
    """Return settings for a server on loopback; any can be changed."""
    defaults = {"secret_key": "for tests only"}
    return replace(read_settings({}), **(defaults | changes))


def report_body(**changes) -> dict:
    """Return the JSON body of a report in the middle of the first governance grid's half of the town."""
    lon, lat = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
    body = {
        "report_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11",
        "occurred_at": "2026-03-05T09:30:00+08:00",
        "lon": lon - 0.002,
        "lat": lat,
        "datum": "wgs84",
        "accuracy_m": 8,
        "category_code": "E06001",
        "description": "道路积水",
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}
