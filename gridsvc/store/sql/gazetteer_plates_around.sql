-- For each place the plates of a number, and the two nearest plates below and above it on the same (odd or even) side.
SELECT p.place_id, p.number, p.suffix, p.division_code, p.accuracy_m, ST_X(p.geom) AS lon, ST_Y(p.geom) AS lat, p.what
FROM unnest(CAST(:places AS bigint[])) AS wanted (place_id)
CROSS JOIN LATERAL (
  (SELECT q.*, 'same' AS what FROM gazetteer_plates q
   WHERE q.place_id = wanted.place_id AND q.number = :number
     AND q.valid_from <= :at AND (q.valid_to IS NULL OR q.valid_to > :at)
   ORDER BY q.suffix LIMIT 50)
  UNION ALL
  (SELECT q.*, 'below' FROM gazetteer_plates q
   WHERE q.place_id = wanted.place_id AND q.number < :number AND q.number % 2 = :number % 2
     AND q.valid_from <= :at AND (q.valid_to IS NULL OR q.valid_to > :at)
   ORDER BY q.number DESC, q.suffix LIMIT 2)
  UNION ALL
  (SELECT q.*, 'above' FROM gazetteer_plates q
   WHERE q.place_id = wanted.place_id AND q.number > :number AND q.number % 2 = :number % 2
     AND q.valid_from <= :at AND (q.valid_to IS NULL OR q.valid_to > :at)
   ORDER BY q.number, q.suffix LIMIT 2)
) AS p
ORDER BY p.place_id, p.number, p.suffix
