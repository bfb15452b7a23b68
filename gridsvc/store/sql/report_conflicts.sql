-- The first report of {stage} whose id is known for another category, place, time or text. Receipts of the same
-- content hash settle most rows; only the others are compared with the report itself (it may have come one by one).
WITH differing AS MATERIALIZED (
    SELECT s.report_id, k.district_code, k.reported_at
    FROM {stage} AS s
    JOIN report_receipts AS k ON k.report_id = s.report_id
    WHERE NOT s.fresh
      AND (k.reported_at <> s.reported_at OR k.body_sha256 <> sha256(convert_to(
            concat_ws('|', s.report_id, s.edition, s.category_code, s.original_lon, s.original_lat, s.original_datum, s.description),
            'UTF8'
        )))
)
SELECT s.report_id
FROM differing AS d
JOIN {stage} AS s ON s.report_id = d.report_id
LEFT JOIN reports AS r
    ON r.district_code = d.district_code AND r.reported_at = d.reported_at AND r.report_id = d.report_id
WHERE (r.reported_at, r.edition, r.category_code, r.original_lon, r.original_lat, r.original_datum, r.description)
      IS DISTINCT FROM
      (s.reported_at, s.edition, s.category_code, s.original_lon, s.original_lat, s.original_datum, s.description)
ORDER BY s.report_id
LIMIT 1
