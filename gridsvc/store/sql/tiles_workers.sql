-- One point per grid that has workers, inside the grid: where somebody answers, never where somebody lives.
WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => CAST(:buffer AS float8) / :extent), 4326), 4490) AS around
),
staff AS (
  SELECT g.network, g.code AS grid_code, ST_PointOnSurface(g.geom) AS place,
         max(w.worker_code) FILTER (WHERE a.is_primary) AS worker_code,
         max(w.name) FILTER (WHERE a.is_primary) AS name,
         max(a.role) FILTER (WHERE a.is_primary) AS role,
         count(*) FILTER (WHERE a.role = 'full_time') AS full_time,
         count(*) FILTER (WHERE a.role = 'part_time') AS part_time
  FROM tile, grids g
  JOIN assignments a ON a.network = g.network AND a.grid_code = g.code
   AND a.valid_from <= :at AND (a.valid_to IS NULL OR a.valid_to > :at)
  JOIN workers w ON w.worker_code = a.worker_code AND w.valid_from <= :at AND (w.valid_to IS NULL OR w.valid_to > :at)
  WHERE g.geom && tile.around
    AND g.code LIKE :scope
    AND g.valid_from <= :at AND (g.valid_to IS NULL OR g.valid_to > :at)
  GROUP BY g.network, g.code, g.geom
),
drawn AS (
  SELECT s.grid_code, s.network,
         CASE WHEN :detailed THEN s.worker_code END AS worker_code,
         CASE WHEN :detailed THEN s.name END AS name,
         CASE WHEN :detailed THEN s.role END AS role,
         s.full_time, s.part_time,
         ST_AsMVTGeom(ST_Transform(ST_SetSRID(s.place, 4326), 3857), tile.box, :extent, :buffer) AS geom
  FROM staff s, tile
)
SELECT ST_AsMVT(drawn, :layer, :extent, 'geom' ORDER BY drawn.network, drawn.grid_code)
FROM drawn
WHERE geom IS NOT NULL
