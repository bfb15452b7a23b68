-- Far away, reports are counted in squares of 1/32 of a tile, one point each at the mean position; near, one point each.
-- Every report is in one tile only (half-open squares, no buffer), so that counts of neighbouring tiles add up.
WITH tile AS (
  SELECT ST_TileEnvelope(:z, :x, :y) AS box,
         ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y), 4326), 4490) AS around
),
inside AS (
  SELECT r.report_id, r.network, r.category_code, r.edition, r.reported_at,
         ST_Transform(ST_SetSRID(r.geom, 4326), 3857) AS geom
  FROM reports r, tile
  WHERE r.geom && tile.around
    AND r.reported_at <= :at
    AND (CAST(:since AS timestamptz) IS NULL OR r.reported_at >= :since)
    AND (:scope = '%' OR coalesce(r.community_code, r.district_code) LIKE :scope)
),
placed AS (
  SELECT inside.*,
         floor((ST_X(geom) - ST_XMin(tile.box)) / (ST_XMax(tile.box) - ST_XMin(tile.box)) * 32)::int AS square_x,
         floor((ST_Y(geom) - ST_YMin(tile.box)) / (ST_YMax(tile.box) - ST_YMin(tile.box)) * 32)::int AS square_y
  FROM inside, tile
),
gathered AS (
  SELECT CASE WHEN :detailed THEN report_id::text END AS report_id,
         network,
         CASE WHEN :detailed THEN min(category_code) END AS category_code,
         CASE WHEN :detailed THEN min(edition) END AS edition,
         CASE WHEN :detailed THEN to_char(min(reported_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS reported_at,
         count(*) AS reports,
         min(report_id::text) AS key,
         -- summed in a fixed order: floating-point sums depend on it, and tiles must be the same bytes every time
         ST_AsMVTGeom(
           ST_SetSRID(ST_MakePoint(sum(ST_X(geom) ORDER BY report_id) / count(*), sum(ST_Y(geom) ORDER BY report_id) / count(*)), 3857),
           (SELECT box FROM tile), :extent, 0) AS geom
  FROM placed
  WHERE square_x BETWEEN 0 AND 31 AND square_y BETWEEN 0 AND 31
  GROUP BY network, CASE WHEN :detailed THEN report_id::text ELSE square_x || ':' || square_y END,
           CASE WHEN :detailed THEN report_id::text END
)
SELECT ST_AsMVT(feature, :layer, :extent, 'geom' ORDER BY gathered.network, gathered.key)
FROM gathered, LATERAL (SELECT report_id, network, category_code, edition, reported_at, reports, geom) AS feature
WHERE gathered.geom IS NOT NULL
