-- a facility carries no division code, so the scope and the prefix cut by the boundary of their division
SELECT f.facility_code, f.kind_code, k.name_zh AS kind_name_zh, k.name_en AS kind_name_en, f.name, f.address,
       f.valid_from, f.valid_to,
       CASE WHEN :with_geometry THEN ST_AsGeoJSON(f.geom, 9, 0) END AS geometry
FROM facilities f
JOIN facility_kinds k ON k.kind_code = f.kind_code
WHERE (CAST(:kind_code AS text) IS NULL OR f.kind_code = :kind_code)
  AND (:scope = '%' OR EXISTS (
        SELECT FROM divisions d
        WHERE d.code || '%' = :scope AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
          AND ST_Intersects(d.geom, f.geom)))
  AND (:prefix = '%' OR EXISTS (
        SELECT FROM divisions d
        WHERE d.code || '%' = :prefix AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
          AND ST_Intersects(d.geom, f.geom)))
  AND f.valid_from <= :at
  AND (f.valid_to IS NULL OR f.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL OR f.geom && ST_MakeEnvelope(:min_x, :min_y, :max_x, :max_y, 4490))
  AND f.facility_code > :cursor
ORDER BY f.facility_code
LIMIT :limit
