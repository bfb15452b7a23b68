WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT c.component_id, c.category_code, c.state,
         CASE WHEN :detailed THEN k.name_zh END AS class_zh,
         CASE WHEN :detailed THEN k.name_en END AS class_en,
         CASE WHEN :detailed THEN NULLIF(c.name, '') END AS name,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(c.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM tile, components c
  JOIN categories k ON k.edition = c.edition AND k.code = c.category_code
  WHERE c.geom && tile.around
    AND c.valid_from <= :at AND (c.valid_to IS NULL OR c.valid_to > :at)
    AND c.state <> 'removed'
    AND c.division_code LIKE :scope
)
SELECT ST_AsMVT(drawn, :layer, :extent, 'geom' ORDER BY drawn.component_id)
FROM drawn
WHERE geom IS NOT NULL
