WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT g.code, CAST(g.code AS bigint) AS feature_id, g.community_code,
         CASE WHEN :detailed THEN g.name END AS name,
         CASE WHEN :detailed THEN g.parent_code END AS parent_code,
         g.households,
         CASE WHEN :detailed THEN round(g.area_m2)::bigint END AS area_m2,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(g.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM grids g, tile
  WHERE g.network = :network
    AND g.code LIKE :scope
    AND g.geom && tile.around
    AND g.valid_from <= :at AND (g.valid_to IS NULL OR g.valid_to > :at)
)
SELECT ST_AsMVT(drawn, :layer, :extent, 'geom', 'feature_id' ORDER BY drawn.code)
FROM drawn
WHERE geom IS NOT NULL
