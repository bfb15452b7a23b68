-- the unit grid follows from the place, so it is found when read and never goes stale after a redraw
SELECT c.component_id, c.edition, c.category_code, k.name_zh AS category_name_zh, k.name_en AS category_name_en,
       c.name, c.state, c.department_code, c.department_name, c.owner_code, c.owner_name, c.maintainer_code,
       c.maintainer_name, CAST(c.began_on AS text) AS began_on, c.data_source, c.accuracy_class, c.note, c.division_code,
       (SELECT g.code FROM gridsvc_locate(ST_X(c.geom), ST_Y(c.geom), :at) AS g WHERE g.network = 'urban') AS unit_grid,
       c.original_x, c.original_y, c.original_datum, c.valid_from, c.valid_to,
       CASE WHEN :with_geometry THEN ST_AsGeoJSON(c.geom, 9, 0) END AS geometry
FROM components c
JOIN categories k ON k.edition = c.edition AND k.code = c.category_code
WHERE c.division_code LIKE :scope AND c.division_code LIKE :prefix
  AND (CAST(:component_id AS text) IS NULL OR c.component_id = :component_id)
  AND (CAST(:category_code AS text) IS NULL OR c.category_code = :category_code)
  AND (CAST(:state AS text) IS NULL OR c.state = :state)
  AND c.valid_from <= :at AND (c.valid_to IS NULL OR c.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL OR c.geom && ST_MakeEnvelope(:min_x, :min_y, :max_x, :max_y, 4490))
  AND c.component_id > :cursor
ORDER BY c.component_id
LIMIT :limit
