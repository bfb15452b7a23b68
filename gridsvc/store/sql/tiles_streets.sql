-- wide streets first; paths inside compounds only when near
WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
drawn AS (
  SELECT s.street_class,
         s.street_code AS key,
         CASE WHEN :detailed THEN s.name END AS name,
         s.layer,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(s.geom, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM streets s, tile
  WHERE s.geom && tile.around
    AND (:z >= 15
         OR (:z >= 13 AND s.street_class NOT IN ('footway', 'path', 'steps', 'pedestrian', 'service', 'cycleway', 'corridor', 'elevator', 'platform'))
         OR (:z >= 11 AND s.street_class IN ('motorway', 'trunk', 'primary', 'secondary', 'tertiary', 'motorway_link', 'trunk_link', 'primary_link'))
         OR s.street_class IN ('motorway', 'trunk', 'primary'))
)
SELECT ST_AsMVT(feature, :layer, :extent, 'geom' ORDER BY drawn.key)
FROM drawn, LATERAL (SELECT street_class, NULLIF(name, '') AS name, NULLIF(layer, 0) AS layer, geom) AS feature
WHERE drawn.geom IS NOT NULL
