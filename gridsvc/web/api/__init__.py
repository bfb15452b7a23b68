"""JSON and GeoJSON under /api/v1."""
