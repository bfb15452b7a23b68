"""JSON and GeoJSON under /api/v1. One module per subject: pydantic models, then endpoints that parse, call one service, answer."""

from gridsvc.web.api import (
    circle,
    components,
    divisions,
    facilities,
    geocode,
    grids,
    locate,
    photos,
    quality,
    redraw_edits,
    redraws,
    reference,
    reports,
    stream,
    uploads,
    workforce,
)

BLUEPRINTS = [
    (reports.reports, reports.endpoints),
    (photos.photos, photos.endpoints),
    (uploads.uploads, uploads.endpoints),
    (locate.locate, locate.endpoints),
    (geocode.geocode, geocode.endpoints),
    (divisions.divisions, divisions.endpoints),
    (grids.grids, grids.endpoints),
    (redraws.redraws, redraws.endpoints),
    (redraw_edits.redraw_edits, redraw_edits.endpoints),
    (quality.quality, quality.endpoints),
    (workforce.workforce, workforce.endpoints),
    (facilities.facilities, facilities.endpoints),
    (components.components, components.endpoints),
    (circle.circle, circle.endpoints),
    (reference.reference, reference.endpoints),
    (stream.stream, stream.endpoints),
]
