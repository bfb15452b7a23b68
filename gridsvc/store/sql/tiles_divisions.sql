WITH {placed},
drawn AS (
  SELECT p.code, p.name, CAST(p.code AS bigint) AS feature_id,
         CASE WHEN :detailed THEN p.parent_code END AS parent_code,
         p.pixels AS geom
  FROM placed AS p
  WHERE NOT ST_IsEmpty(p.pixels)
),
-- a polygon cut by tiles would carry its name once in each; its label point lies in one tile only
labels AS (
  SELECT p.code, p.name, CAST(p.code AS bigint) AS feature_id, ST_MakePoint(p.label_x, p.label_y) AS geom
  FROM placed AS p
  WHERE p.label_x >= 0 AND p.label_x < :extent AND p.label_y >= 0 AND p.label_y < :extent
)
-- layers of a tile are simply one after another
SELECT coalesce((SELECT ST_AsMVT(drawn, :layer, :extent, 'geom', 'feature_id' ORDER BY drawn.code) FROM drawn HAVING count(*) > 0), '')
    || coalesce((SELECT ST_AsMVT(labels, :layer || '_labels', :extent, 'geom', 'feature_id' ORDER BY labels.code)
                 FROM labels HAVING count(*) > 0), '')
