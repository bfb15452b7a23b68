"""Vector tiles from PostGIS."""
