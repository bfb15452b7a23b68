WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT f.facility_code, f.kind_code,
         CASE WHEN :detailed THEN k.name_zh END AS kind_zh,
         CASE WHEN :detailed THEN k.name_en END AS kind_en,
         CASE WHEN :detailed THEN NULLIF(f.name, '') END AS name,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(f.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM tile, facilities f
  JOIN facility_kinds k ON k.kind_code = f.kind_code
  WHERE f.geom && tile.around
    AND f.valid_from <= :at AND (f.valid_to IS NULL OR f.valid_to > :at)
    AND (:scope = '%' OR EXISTS (
          SELECT FROM divisions d
          WHERE d.code || '%' = :scope AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
            AND ST_Intersects(d.geom, f.geom)))
)
SELECT ST_AsMVT(drawn, :layer, :extent, 'geom' ORDER BY drawn.facility_code)
FROM drawn
WHERE geom IS NOT NULL
