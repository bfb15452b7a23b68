SELECT g.network, g.code, g.name, g.kind, g.community_code, g.parent_code, g.households, g.population, g.area_m2,
       g.responsible, g.valid_from, g.valid_to,
       CASE WHEN :with_geometry THEN ST_AsGeoJSON(g.geom, 9, 0) END AS geometry
FROM grids g
WHERE g.network = :network
  AND g.code LIKE :scope
  AND g.code LIKE :prefix
  AND g.valid_from <= :at
  AND (g.valid_to IS NULL OR g.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL OR g.geom && ST_MakeEnvelope(:min_x, :min_y, :max_x, :max_y, 4490))
  AND g.code > :cursor
ORDER BY g.code
LIMIT :limit
