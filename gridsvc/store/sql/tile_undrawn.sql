-- The polygons of a layer that touch noted ground, which are drawn anew, and those that touch them, which say where borders end.
-- Of whatever time: a border ends wherever one of any time leaves it, so that shapes need not change with the instant.
-- About a centimetre around boxes; the keys of the ground come as rows of their own.
WITH ground AS MATERIALIZED (
  SELECT t.ground_id, ST_Expand(t.geom, 1e-7) AS box FROM tile_ground AS t WHERE t.layer = :layer
),
drawn AS MATERIALIZED (
  SELECT DISTINCT ON (r.{key}) r.{key} AS row_id, ST_Expand(ST_Envelope(r.geom), 1e-7) AS box
  FROM ground JOIN {table} AS r ON r.geom && ground.box
  WHERE r.{about} = :about
),
around AS MATERIALIZED (
  SELECT DISTINCT r.{key} AS row_id FROM drawn JOIN {table} AS r ON r.geom && drawn.box WHERE r.{about} = :about
)
SELECT NULL::bigint AS ground_id, r.{key} AS row_id, ST_AsBinary(r.geom) AS geom, drawn.row_id IS NOT NULL AS is_drawn
FROM around JOIN {table} AS r ON r.{key} = around.row_id LEFT JOIN drawn ON drawn.row_id = around.row_id
UNION ALL
SELECT ground.ground_id, NULL, NULL, NULL FROM ground
ORDER BY row_id
