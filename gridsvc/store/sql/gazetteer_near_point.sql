-- What has a name around a point: the nearest places with a position, and the nearest streets; plates of both.
(SELECT 'place' AS what, p.place_id, p.kind, p.label, NULL::int AS number, '' AS suffix, p.radius_m,
        ST_X(p.geom) AS lon, ST_Y(p.geom) AS lat
 FROM gazetteer_places p
 WHERE p.kind IN ('poi', 'compound', 'building') AND p.geom && ST_Expand(CAST(:point AS geometry), :reach)
   AND p.valid_from <= :at AND (p.valid_to IS NULL OR p.valid_to > :at)
 ORDER BY p.geom <-> CAST(:point AS geometry), p.place_id LIMIT 12)
UNION ALL
(SELECT 'street', p.place_id, p.kind, p.label, NULL, '', 0,
        ST_X(ST_ClosestPoint(p.line, CAST(:point AS geometry))), ST_Y(ST_ClosestPoint(p.line, CAST(:point AS geometry)))
 FROM gazetteer_places p
 WHERE p.kind = 'street' AND p.line && ST_Expand(CAST(:point AS geometry), :reach)
   AND p.valid_from <= :at AND (p.valid_to IS NULL OR p.valid_to > :at)
 ORDER BY p.line <-> CAST(:point AS geometry), p.place_id LIMIT 4)
UNION ALL
(SELECT 'plate', q.place_id, s.kind, s.label, q.number, q.suffix, q.accuracy_m, ST_X(q.geom), ST_Y(q.geom)
 FROM (SELECT * FROM gazetteer_plates n
       WHERE n.geom && ST_Expand(CAST(:point AS geometry), :reach / 4)
         AND n.valid_from <= :at AND (n.valid_to IS NULL OR n.valid_to > :at)
       ORDER BY n.geom <-> CAST(:point AS geometry), n.place_id, n.number LIMIT 6) AS q
 JOIN gazetteer_places s USING (place_id))
