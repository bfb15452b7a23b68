"""The tables, one module per subject. Migrations build them; a test holds the two together.

Rules that hold in every table: geometry is EPSG:4490 (CGCS2000, lon lat), valid and not empty, by constraint;
what changes with time has ``[valid_from, valid_to)``; codes are text; instants are timezone-aware.
"""

from gridsvc.store.tables.access import audit_log, tokens, users
from gridsvc.store.tables.base import STORAGE_SRID, metadata
from gridsvc.store.tables.basemap import barriers, streets, water_areas
from gridsvc.store.tables.cases import (
    case_grid_moves,
    cases,
    report_receipts,
    report_updates,
    reports,
    unplaced_reports,
)
from gridsvc.store.tables.categories import categories, category_editions, category_limits
from gridsvc.store.tables.circles import (
    circle_runs,
    residence_times,
    walk_compounds,
    walk_edges,
    walk_gates,
    walk_networks,
)
from gridsvc.store.tables.components import component_serials, components
from gridsvc.store.tables.compounds import compounds, gates
from gridsvc.store.tables.crosswalks import crosswalk_rows, crosswalks, network_comparisons, network_conflicts
from gridsvc.store.tables.departments import department_kinds, departments, duties
from gridsvc.store.tables.division_runs import division_run_parts, division_runs
from gridsvc.store.tables.divisions import divisions
from gridsvc.store.tables.duty_version import duty_version
from gridsvc.store.tables.events import event_counter, events, events_unnumbered
from gridsvc.store.tables.facilities import facilities, facility_corrections, facility_kinds
from gridsvc.store.tables.gazetteer import (
    addresses,
    gazetteer_builds,
    gazetteer_changes,
    gazetteer_grams,
    gazetteer_places,
    gazetteer_plates,
)
from gridsvc.store.tables.grid_version import grid_version
from gridsvc.store.tables.grids import grid_lineage, grids, networks, redraw_grids, redraws
from gridsvc.store.tables.imports import imports
from gridsvc.store.tables.photos import photo_uploads, photos
from gridsvc.store.tables.redraw_steps import redraw_steps
from gridsvc.store.tables.relocations import relocations
from gridsvc.store.tables.residences import residences
from gridsvc.store.tables.tile_shapes import tile_ground, tile_shapes, tile_version
from gridsvc.store.tables.workforce import assignments, worker_kinds, workers

__all__ = [
    "STORAGE_SRID",
    "addresses",
    "assignments",
    "audit_log",
    "barriers",
    "case_grid_moves",
    "cases",
    "categories",
    "category_editions",
    "category_limits",
    "circle_runs",
    "component_serials",
    "components",
    "compounds",
    "crosswalk_rows",
    "crosswalks",
    "department_kinds",
    "departments",
    "division_run_parts",
    "division_runs",
    "divisions",
    "duties",
    "duty_version",
    "event_counter",
    "events",
    "events_unnumbered",
    "facilities",
    "facility_corrections",
    "facility_kinds",
    "gates",
    "gazetteer_builds",
    "gazetteer_changes",
    "gazetteer_grams",
    "gazetteer_places",
    "gazetteer_plates",
    "grid_lineage",
    "grid_version",
    "grids",
    "imports",
    "metadata",
    "network_comparisons",
    "network_conflicts",
    "networks",
    "photo_uploads",
    "photos",
    "redraw_grids",
    "redraw_steps",
    "redraws",
    "relocations",
    "report_receipts",
    "report_updates",
    "reports",
    "residence_times",
    "residences",
    "streets",
    "tile_ground",
    "tile_shapes",
    "tile_version",
    "tokens",
    "unplaced_reports",
    "users",
    "walk_compounds",
    "walk_edges",
    "walk_gates",
    "walk_networks",
    "water_areas",
    "worker_kinds",
    "workers",
]
