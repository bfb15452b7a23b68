SELECT d.code, d.name, d.level, d.parent_code, d.urban_rural_class, d.valid_from, d.valid_to,
       CASE WHEN :with_geometry THEN ST_AsGeoJSON(d.geom, 9, 0) END AS geometry
FROM divisions d
WHERE d.code LIKE :scope
  AND d.code LIKE :prefix
  AND (CAST(:level AS text) IS NULL OR d.level = :level)
  AND (CAST(:parent AS text) IS NULL OR d.parent_code = :parent)
  AND d.valid_from <= :at
  AND (d.valid_to IS NULL OR d.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL OR d.geom && ST_MakeEnvelope(:min_x, :min_y, :max_x, :max_y, 4490))
  AND d.code > :cursor
ORDER BY d.code
LIMIT :limit
