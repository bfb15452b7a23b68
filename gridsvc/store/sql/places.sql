-- The one-grid rule for points of one instant each, in all networks and in the levels of divisions that reports carry: one
-- statement, hence one state of the grids, whose version comes with it. Rows: version, place (1, 2, ...), layer, code; place
-- is NULL in the one row that comes when nothing holds any of the points.
SELECT v.version::text AS version, f.place, f.layer, f.code
FROM grid_version AS v
LEFT JOIN (
    SELECT p.place, held.layer, held.code
    FROM unnest(CAST(:lon AS double precision[]), CAST(:lat AS double precision[]), CAST(:at AS timestamptz[]))
         WITH ORDINALITY AS p (lon, lat, at, place)
    CROSS JOIN LATERAL (
        SELECT located.network AS layer, located.code FROM gridsvc_locate(p.lon, p.lat, p.at) AS located
        UNION ALL SELECT 'community', gridsvc_division_at(p.lon, p.lat, p.at, 'community')
        UNION ALL SELECT 'district', gridsvc_division_at(p.lon, p.lat, p.at, 'district')
    ) AS held
    WHERE held.code IS NOT NULL
) AS f ON true
ORDER BY f.place
