-- Everything that says where a grid is at one instant: grids of all networks and divisions of all levels, within a box where
-- one is given. One statement, hence one state; the first row is its version.
SELECT 'version' AS layer, v.version::text AS code, '' AS name, '' AS kind, '' AS community_code, NULL AS parent_code,
       NULL AS responsible, NULL::bytea AS geometry
FROM grid_version AS v
UNION ALL
SELECT g.network, g.code, g.name, g.kind, g.community_code, g.parent_code,
       g.responsible -> 'social' ->> 'code', ST_AsBinary(g.geom)
FROM grids AS g
WHERE g.valid_from <= :at AND (g.valid_to IS NULL OR :at < g.valid_to)
  AND (CAST(:min_x AS double precision) IS NULL
       OR g.geom && ST_MakeEnvelope(:min_x, :min_y, :max_x, :max_y, 4490))
UNION ALL
SELECT d.level, d.code, d.name, '', '', d.parent_code, NULL, ST_AsBinary(d.geom)
FROM divisions AS d
WHERE d.geom IS NOT NULL AND d.level <> 'province'
  AND d.valid_from <= :at AND (d.valid_to IS NULL OR :at < d.valid_to)
  AND (CAST(:min_x AS double precision) IS NULL
       OR d.geom && ST_MakeEnvelope(:min_x, :min_y, :max_x, :max_y, 4490))
