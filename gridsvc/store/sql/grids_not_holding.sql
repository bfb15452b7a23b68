-- Of points and the grids they are said to be in: those that the grid does not hold, with its shape, which is NULL where there is
-- no such grid at the point's time. Distances in degrees, by arithmetic of PostGIS's own: within 1e-16 of an edge either answer
-- means no distance.
SELECT p.number, ST_AsBinary(g.geom) AS shape
FROM unnest(
    CAST(:number AS integer[]), CAST(:network AS text[]), CAST(:code AS text[]), CAST(:at AS timestamptz[]),
    CAST(:lon AS double precision[]), CAST(:lat AS double precision[])
) AS p (number, network, code, at, lon, lat)
LEFT JOIN grids AS g ON g.network = p.network AND g.code = p.code AND g.valid_from <= p.at
    AND (g.valid_to IS NULL OR p.at < g.valid_to)
WHERE g.geom IS NULL OR ST_Distance(g.geom, ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4490)) > 0
ORDER BY p.number
