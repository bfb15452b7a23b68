-- grids of other communities, in force at :at or later, whose boxes meet those of a redraw's grids
SELECT DISTINCT near.grid_id
FROM redraw_grids AS drafted
JOIN redraws AS r ON r.redraw_id = drafted.redraw_id
JOIN grids AS near ON near.geom && ST_Expand(drafted.geom, CAST(:margin AS float8))
WHERE drafted.redraw_id = CAST(:redraw_id AS uuid)
  AND near.network = ANY(:networks)
  AND (near.valid_to IS NULL OR near.valid_to > :at)
  AND near.community_code <> ALL(r.community_codes)
