-- The divisions of one level under a code, each with what is in it. One pass over each table, grouped by code prefix.
WITH grid_counts AS (
  SELECT left(g.code, :digits) AS code, g.network, count(*) AS grids, sum(g.households) AS households, sum(g.area_m2) AS area_m2
  FROM grids g
  WHERE g.code LIKE :scope AND g.code LIKE :prefix
    AND g.valid_from <= :at AND (g.valid_to IS NULL OR g.valid_to > :at)
  GROUP BY 1, 2
),
grids_by_network AS (
  SELECT code, jsonb_object_agg(network, grids) AS grids, max(households) AS households, max(area_m2) AS area_m2
  FROM grid_counts
  GROUP BY code
),
worker_counts AS (
  SELECT left(w.division_code, :digits) AS code, count(*) AS workers
  FROM workers w
  WHERE w.division_code LIKE :scope AND w.division_code LIKE :prefix
    AND w.valid_from <= :at AND (w.valid_to IS NULL OR w.valid_to > :at)
  GROUP BY 1
),
report_counts AS (
  SELECT left(r.community_code, :digits) AS code, count(*) AS reports
  FROM reports r
  WHERE r.community_code LIKE :scope AND r.community_code LIKE :prefix AND r.reported_at <= :at
    AND (CAST(:since AS timestamptz) IS NULL OR r.reported_at >= :since)
  GROUP BY 1
)
SELECT d.code, d.name, d.level, d.parent_code,
       ST_XMin(d.geom) AS min_lon, ST_YMin(d.geom) AS min_lat, ST_XMax(d.geom) AS max_lon, ST_YMax(d.geom) AS max_lat,
       coalesce(g.grids, '{}'::jsonb) AS grids,
       coalesce(g.households, 0) AS households,
       coalesce(g.area_m2, 0) AS area_m2,
       coalesce(w.workers, 0) AS workers,
       coalesce(r.reports, 0) AS reports
FROM divisions d
LEFT JOIN grids_by_network g ON g.code = d.code
LEFT JOIN worker_counts w ON w.code = d.code
LEFT JOIN report_counts r ON r.code = d.code
WHERE d.code LIKE :scope AND d.code LIKE :prefix AND length(d.code) = :digits
  AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
ORDER BY d.code
