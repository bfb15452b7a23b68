-- Points well inside several grids of one network; a point on a border of two is in one of them, by the one-grid rule, and no claim of both.
SELECT p.place, g.network, array_agg(g.code ORDER BY g.code COLLATE "C") AS codes
FROM unnest(CAST(:lon AS double precision[]), CAST(:lat AS double precision[])) WITH ORDINALITY AS p (lon, lat, place)
JOIN grids AS g ON g.geom && ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4490)
 AND ST_Contains(g.geom, ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4490))
WHERE g.valid_from <= :at AND (g.valid_to IS NULL OR :at < g.valid_to) AND g.code LIKE :scope
GROUP BY p.place, g.network
HAVING count(*) > 1
ORDER BY p.place, g.network
