-- Reports in the boxes of a ground, in a span of time: by the spatial index of each month. Those that were never located
-- are left out: they get the grids in force when they are.
SELECT DISTINCT ON (r.reported_at, r.report_id)
    r.district_code, r.reported_at, r.report_id, ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat, r.{grid} AS grid,
    r.community_code
FROM unnest(
    CAST(:min_x AS double precision[]), CAST(:min_y AS double precision[]),
    CAST(:max_x AS double precision[]), CAST(:max_y AS double precision[])
) AS b (min_x, min_y, max_x, max_y)
JOIN reports AS r ON r.geom && ST_MakeEnvelope(b.min_x, b.min_y, b.max_x, b.max_y, 4490)
WHERE r.reported_at >= :since AND r.reported_at < :until AND r.located_at IS NOT NULL
ORDER BY r.reported_at, r.report_id
LIMIT CAST(:at_most AS bigint)
