-- Where streets of the first list meet streets of the second: their nearest points, when they come within :reach degrees.
SELECT a.place_id AS first_id, b.place_id AS second_id, ST_X(m.point) AS lon, ST_Y(m.point) AS lat,
       ST_DistanceSphere(m.point, ST_ClosestPoint(b.line, m.point)) AS apart_m
FROM gazetteer_places a
JOIN gazetteer_places b ON b.place_id = ANY(CAST(:second AS bigint[])) AND ST_DWithin(a.line, b.line, :reach)
CROSS JOIN LATERAL (
  SELECT CASE WHEN ST_Intersects(a.line, b.line)
    THEN ST_GeometryN(ST_Points(ST_Intersection(a.line, b.line)), 1)
    ELSE ST_ClosestPoint(a.line, b.line) END AS point
) AS m
WHERE a.place_id = ANY(CAST(:first AS bigint[])) AND a.place_id <> b.place_id AND m.point IS NOT NULL
ORDER BY apart_m, a.place_id, b.place_id
LIMIT :limit
