-- Divisions first, wide before narrow; then grids. A code typed in full comes before all that begin with it.
SELECT found.kind, found.code, found.name, found.network, found.level,
       ST_XMin(found.geom) AS min_lon, ST_YMin(found.geom) AS min_lat, ST_XMax(found.geom) AS max_lon, ST_YMax(found.geom) AS max_lat
FROM (
  (SELECT 'division' AS kind, d.code, d.name, NULL::text AS network, d.level, d.geom, length(d.code) AS rank
   FROM divisions d
   WHERE d.code LIKE :scope AND (d.code LIKE :begins OR d.name LIKE :contains) AND d.geom IS NOT NULL
     AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
   ORDER BY length(d.code), d.code
   LIMIT :limit)
  UNION ALL
  (SELECT 'grid', g.code, g.name, g.network, NULL, g.geom, 15 + (SELECT n.sort_order FROM networks n WHERE n.network = g.network)
   FROM grids g
   WHERE g.code LIKE :scope AND (g.code LIKE :begins OR g.name LIKE :contains)
     AND g.valid_from <= :at AND (g.valid_to IS NULL OR g.valid_to > :at)
   ORDER BY g.code, g.network
   LIMIT :limit)
) AS found
ORDER BY found.code <> :exact, found.rank, found.code, found.network
LIMIT :limit
