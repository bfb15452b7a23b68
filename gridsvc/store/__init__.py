"""PostGIS: tables, repositories, the unit of work, the embedded server.

WKB and SQL stay in this room; what leaves it is arrays, geopandas frames and plain dataclasses.
Every query is cut to the caller's scope (a division-code prefix) here, not in the page.
"""
