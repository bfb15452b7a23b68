-- Receipts for what {stage} holds; rows that got one are fresh, the others were received before.
WITH received AS (
    INSERT INTO report_receipts (report_id, district_code, reported_at, body_sha256)
    SELECT
        report_id, district_code, reported_at,
        sha256(convert_to(
            concat_ws('|', report_id, edition, category_code, original_lon, original_lat, original_datum, description), 'UTF8'
        ))
    FROM {stage}
    ORDER BY report_id
    ON CONFLICT DO NOTHING
    RETURNING report_id
)
UPDATE {stage} AS s SET fresh = true FROM received WHERE s.report_id = received.report_id
