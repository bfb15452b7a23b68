"""What new grids of communities are measured to be, as stored; nothing is taken on trust from the division."""

from __future__ import annotations

from dataclasses import dataclass

from gridsvc.division.checks import buildings_cut
from gridsvc.division.obstacles import within_community
from gridsvc.geo.partitions import check_partition
from gridsvc.services.community_inputs import Area
from gridsvc.services.joined_grids import JoinedGrids, together


@dataclass(frozen=True, slots=True)
class CommunityCheck:
    """What was found in one community's grids. Areas in m2."""

    code: str
    gap_area_m2: float
    overlap_area_m2: float
    outside_area_m2: float
    buildings_cut: int


def check_communities(area: Area, grids: JoinedGrids) -> list[CommunityCheck]:
    """Return the check of each community that was divided, in input order.

    Where the edges of grids and boundary cancel, gaps and overlaps are exactly zero (`unmatched_boundaries`); areas are
    measured by overlay only where they do not.
    """
    finest, community = grids.finest
    members = together(community)
    unmatched = set(grids.unmatched)
    checks = []
    for c in area.inputs:
        if c.code not in members:
            continue
        here = finest[members[c.code]]
        cut = buildings_cut(here, within_community(c.buildings, c.boundary)[0])
        gap = overlap = outside = 0.0
        if c.code in unmatched:
            report = check_partition(c.boundary, here)
            gap, overlap, outside = report.gap_area_m2, report.overlap_area_m2, report.outside_area_m2
        checks.append(CommunityCheck(c.code, gap, overlap, outside, len(cut)))
    return checks
