-- One report and its case. The case code is district, day in Beijing time, running number (see store/reports.py).
WITH added AS (
    INSERT INTO reports (
        report_id, district_code, reported_at, edition, category_code, network, source, description, reporter, device,
        original_lon, original_lat, original_datum, accuracy_m, geom,
        community_code, urban_grid, social_grid, security_grid, unified_grid, located_at, received_at
    )
    VALUES (
        CAST(:report_id AS uuid), :district_code, :reported_at, :edition, :category_code, :network, :source, :description, :reporter, :device,
        :original_lon, :original_lat, :original_datum, CAST(:accuracy_m AS double precision),
        ST_SetSRID(ST_MakePoint(:lon, :lat), 4490),
        :community_code, :urban_grid, :social_grid, :security_grid, :unified_grid, CAST(:located_at AS timestamptz),
        coalesce(CAST(:received_at AS timestamptz), now())
    )
    RETURNING *
)
INSERT INTO cases (
    case_id, case_code, report_id, district_code, opened_at, edition, category_code, network, stage, geom,
    community_code, urban_grid, social_grid, security_grid, unified_grid
)
SELECT
    gen_random_uuid(),
    district_code || to_char(reported_at AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD')
        || lpad(report_no::text, greatest(8, length(report_no::text)), '0'),
    report_id, district_code, reported_at, edition, category_code, network, 'reported', geom,
    community_code, urban_grid, social_grid, security_grid, unified_grid
FROM added
