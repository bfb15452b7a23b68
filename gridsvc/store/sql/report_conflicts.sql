-- The first report of {stage} whose id is known for another category, place, time or text.
SELECT s.report_id
FROM {stage} AS s
JOIN report_receipts AS k ON k.report_id = s.report_id
LEFT JOIN reports AS r
    ON r.district_code = k.district_code AND r.reported_at = k.reported_at AND r.report_id = k.report_id
WHERE NOT s.fresh
  AND (r.reported_at, r.edition, r.category_code, r.original_lon, r.original_lat, r.original_datum, r.description)
      IS DISTINCT FROM
      (s.reported_at, s.edition, s.category_code, s.original_lon, s.original_lat, s.original_datum, s.description)
ORDER BY s.report_id
LIMIT 1
