-- household counts of single buildings are not published in tiles; use and floors are what a map needs
WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT r.residence_code AS key, r.use,
         CASE WHEN :detailed THEN NULLIF(r.name, '') END AS name,
         CASE WHEN :detailed THEN r.floors END AS floors,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(r.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM residences r, tile
  WHERE r.geom && tile.around
    AND (:scope = '%' OR r.community_code LIKE :scope)
)
SELECT ST_AsMVT(feature, :layer, :extent, 'geom' ORDER BY drawn.key)
FROM drawn, LATERAL (SELECT use, name, floors, geom) AS feature
WHERE drawn.geom IS NOT NULL
