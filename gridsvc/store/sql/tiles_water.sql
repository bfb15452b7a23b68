WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT w.water_code AS key, w.kind,
         CASE WHEN :detailed THEN NULLIF(w.name, '') END AS name,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(w.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM water_areas w, tile
  WHERE w.geom && tile.around
)
SELECT ST_AsMVT(feature, :layer, :extent, 'geom' ORDER BY drawn.key)
FROM drawn, LATERAL (SELECT kind, name, geom) AS feature
WHERE drawn.geom IS NOT NULL
