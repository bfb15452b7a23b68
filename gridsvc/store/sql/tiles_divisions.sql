WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT d.code, d.name, CAST(d.code AS bigint) AS feature_id,
         CASE WHEN :detailed THEN d.parent_code END AS parent_code,
         -- CGCS2000 and WGS 84 are the same numbers here, which spares a datum step
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(d.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM divisions d, tile
  WHERE d.level = :level
    AND d.code LIKE :scope
    AND d.geom && tile.around
    AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
),
-- a polygon cut by tiles would carry its name once in each; its label point lies in one tile only
labels AS (
  SELECT d.code, d.name, CAST(d.code AS bigint) AS feature_id,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(ST_PointOnSurface(d.geom), 4326), 3857), tile.box, :extent, 0) AS geom
  FROM divisions d, tile
  WHERE d.level = :level
    AND d.code LIKE :scope
    AND d.geom && tile.around
    AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
)
-- layers of a tile are simply one after another
SELECT coalesce((SELECT ST_AsMVT(drawn, :layer, :extent, 'geom', 'feature_id' ORDER BY drawn.code) FROM drawn WHERE geom IS NOT NULL), '')
    || coalesce((SELECT ST_AsMVT(labels, :layer || '_labels', :extent, 'geom', 'feature_id' ORDER BY labels.code)
                 FROM labels WHERE geom IS NOT NULL HAVING count(*) > 0), '')
