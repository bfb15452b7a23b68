-- Many reports and their cases, as report_add.sql; {stage} holds the reports, {columns} are those it has.
WITH added AS (
    INSERT INTO reports ({columns})
    SELECT {columns} FROM {stage} WHERE fresh ORDER BY reported_at, report_id
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
