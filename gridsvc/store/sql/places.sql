-- The one-grid rule for points of one instant each, in all networks and in the levels of divisions that reports carry: one
-- statement, hence one state of the grids, whose version comes with it. Rows: place (1, 2, ...), layer, code.
SELECT p.place, f.layer, f.code, (SELECT v.version::text FROM grid_version AS v) AS version
FROM unnest(CAST(:lon AS double precision[]), CAST(:lat AS double precision[]), CAST(:at AS timestamptz[]))
     WITH ORDINALITY AS p (lon, lat, at, place)
CROSS JOIN LATERAL (
    SELECT located.network AS layer, located.code FROM gridsvc_locate(p.lon, p.lat, p.at) AS located
    UNION ALL SELECT 'community', gridsvc_division_at(p.lon, p.lat, p.at, 'community')
    UNION ALL SELECT 'district', gridsvc_division_at(p.lon, p.lat, p.at, 'district')
) AS f
WHERE f.code IS NOT NULL
ORDER BY p.place
