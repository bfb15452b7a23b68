-- Shapes of {table} kept for a zoom and in force, as path data of SVG: whole units of :unit pixels from :left, :top. None where ground
-- is noted that is not drawn yet: the map itself draws it from what is stored. ST_AsSVG turns y round, so it is given upside down.
SELECT r.code, r.name, ST_AsSVG(placed.shape, 1, 0) AS path,
       (s.label_x - :left) / :unit AS label_x, (s.label_y - :top) / :unit AS label_y
FROM tile_shapes AS s JOIN {table} AS r ON r.{key} = s.row_id,
     LATERAL (SELECT ST_SnapToGrid(ST_Affine(
       s.shape, 1 / :unit, 0, 0, -1 / :unit, -:left / :unit, :top / :unit), 1) AS shape OFFSET 0) AS placed
WHERE s.layer = :layer AND s.z = CAST(:z AS smallint)
  AND r.code LIKE :scope
  AND r.valid_from <= :at AND (r.valid_to IS NULL OR r.valid_to > :at)
  AND NOT ST_IsEmpty(placed.shape)
  AND NOT EXISTS (SELECT FROM tile_ground AS t WHERE t.layer = :layer)
ORDER BY r.code
LIMIT :most
