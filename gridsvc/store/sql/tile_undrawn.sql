-- The polygons of a layer that touch noted ground, which are drawn anew, and those that touch them, which say where borders end.
-- Of whatever time: a border ends wherever one of any time leaves it, so that shapes need not change with the instant.
-- About a centimetre around boxes; the keys of the ground come as rows of their own. After an import nothing has statistics yet:
-- LATERAL ... OFFSET 0 asks the index of places box by box, whatever the planner expects, and || '' keeps it from that of codes.
WITH ground AS MATERIALIZED (
  SELECT t.ground_id, ST_Expand(t.geom, 1e-7) AS box FROM tile_ground AS t WHERE t.layer = :layer
),
drawn AS MATERIALIZED (
  SELECT DISTINCT ON (found.row_id) found.row_id, found.box
  FROM ground, LATERAL (
    SELECT r.{key} AS row_id, ST_Expand(ST_Envelope(r.geom), 1e-7) AS box
    FROM {table} AS r WHERE r.{about} || '' = :about AND r.geom && ground.box OFFSET 0
  ) AS found
),
around AS MATERIALIZED (
  SELECT each.row_id, bool_or(each.is_drawn) AS is_drawn
  FROM (
    SELECT drawn.row_id, true AS is_drawn FROM drawn
    UNION ALL
    SELECT found.row_id, false FROM drawn, LATERAL (
      SELECT r.{key} AS row_id FROM {table} AS r WHERE r.{about} || '' = :about AND r.geom && drawn.box OFFSET 0
    ) AS found
  ) AS each
  GROUP BY each.row_id
)
SELECT NULL::bigint AS ground_id, r.{key} AS row_id, ST_AsBinary(r.geom) AS geom, around.is_drawn
FROM around JOIN {table} AS r ON r.{key} = around.row_id
UNION ALL
SELECT ground.ground_id, NULL, NULL, NULL FROM ground
ORDER BY row_id
