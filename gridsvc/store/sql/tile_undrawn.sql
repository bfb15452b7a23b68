-- The polygons of a layer that touch noted ground, which are drawn anew, and those that touch them, which say where borders end.
-- Of whatever time: a border ends wherever one of any time leaves it, so that shapes need not change with the instant.
-- About a centimetre around boxes; the keys of the ground come as rows of their own.
WITH ground AS MATERIALIZED (
  SELECT t.ground_id, ST_Expand(t.geom, 1e-7) AS box FROM tile_ground AS t WHERE t.layer = :layer
),
candidates AS ({rows}),
drawn AS MATERIALIZED (
  SELECT c.row_id, ST_Expand(ST_Envelope(c.geom), 1e-7) AS box
  FROM candidates AS c
  WHERE EXISTS (SELECT FROM ground WHERE c.geom && ground.box)
),
around AS MATERIALIZED (
  SELECT DISTINCT c.row_id FROM drawn JOIN candidates AS c ON c.geom && drawn.box
)
SELECT NULL::bigint AS ground_id, c.row_id, ST_AsBinary(c.geom) AS geom,
       c.row_id IN (SELECT drawn.row_id FROM drawn) AS is_drawn
FROM candidates AS c WHERE c.row_id IN (SELECT around.row_id FROM around)
UNION ALL
SELECT ground.ground_id, NULL, NULL, NULL FROM ground
ORDER BY row_id
