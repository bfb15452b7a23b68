-- Take reports in, each once: receipt, report and case, in one statement of the caller and so in one transaction.
--
-- items: a JSON array of distinct reports, located by the caller (see store/report_intake.py); without lon and lat a
-- report waits in unplaced_reports. The caller is checked here once more, in the transaction that stores: who was signed
-- in by a remembered token, and is no longer, stores nothing.
--
-- posters: who posts, numbered; items name theirs. Answers a row per item, in order: created (with the case code); known: its
-- id has a receipt, which a later statement can read; category-unknown; network-differs (category_network says which is
-- right); unauthenticated: the poster's token does not stand for that login, role and scope any more. Or one row
-- "grids-changed" when the grids are not of the version located_by (NULL: not asked) any more, and nothing is stored; where they
-- are, they stay so until the transaction ends.
CREATE OR REPLACE FUNCTION gridsvc_take_reports(items json, posters json, taken_at timestamptz, located_by uuid)
RETURNS TABLE (place integer, outcome text, used_edition text, category_network text, case_code text)
LANGUAGE plpgsql VOLATILE
-- planning takes longer than the rest of a small call, and no plan would be better for its values
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    default_edition CONSTANT text := (SELECT edition FROM category_editions WHERE is_default ORDER BY edition LIMIT 1);
    classes integer[];
    months timestamp[];
    class integer;
    month timestamp;
BEGIN
    taken_at := coalesce(taken_at, now());
    SELECT
        array_agg(DISTINCT hashtext(i.report_id) & 63 ORDER BY hashtext(i.report_id) & 63),
        array_agg(DISTINCT date_trunc('month', i.reported_at AT TIME ZONE 'UTC'))
    INTO classes, months
    FROM json_to_recordset(items) AS i (report_id text, reported_at timestamptz);
    -- a photo or an update that finds no report waits for who may be storing it, and is seen by who comes later (store/report_intake.py);
    -- in 64 classes, since a lock for each report of large batches would fill the server's table of locks. First of all, while
    -- nothing else is held
    FOREACH class IN ARRAY coalesce(classes, '{}') LOOP
        PERFORM pg_advisory_xact_lock_shared(4490203, class);
    END LOOP;
    FOREACH month IN ARRAY coalesce(months, '{}') LOOP
        IF to_regclass('cases' || to_char(month, '"_y"YYYY"m"MM')) IS NULL THEN
            PERFORM gridsvc_ensure_months(month AT TIME ZONE 'UTC', month AT TIME ZONE 'UTC');
        END IF;
    END LOOP;

    IF located_by IS NOT NULL THEN
        IF located_by <> gridsvc_hold_grid_version() THEN
            RETURN QUERY SELECT NULL::integer, 'grids-changed', NULL, NULL, NULL;
            RETURN;
        END IF;
    END IF;

    RETURN QUERY
    WITH poster AS MATERIALIZED (
        SELECT p.poster, p.login, p.scope, p.token IS NULL OR (
            SELECT u.is_active AND u.login = p.login AND u.role = p.role AND u.scope_prefix = p.scope
            FROM tokens AS t JOIN users AS u ON u.user_id = t.user_id
            WHERE t.token_sha256 = decode(p.token, 'hex')
              AND (t.expires_at IS NULL OR t.expires_at > taken_at) AND (t.withdrawn_at IS NULL OR t.withdrawn_at > taken_at)
        ) IS TRUE AS is_known
        FROM json_to_recordset(posters) AS p (poster integer, login text, role text, scope text, token text)
    ),
    item AS MATERIALIZED (
        SELECT i.*, p.login, p.scope, p.is_known, c.edition AS used_edition, c.network AS category_network,
            p.is_known AND c.network IS NOT NULL AND (i.network IS NULL OR i.network = c.network) AS is_sound
        FROM json_to_recordset(items) AS i (
            place integer, poster integer, report_id uuid, reported_at timestamptz, edition text, category_code text,
            network text, source text, description text, reporter text, device text, address text,
            original_lon double precision, original_lat double precision, original_datum text,
            accuracy_m double precision, altitude_m double precision, heading_deg double precision,
            lon double precision, lat double precision, district_code text, community_code text,
            urban_grid text, social_grid text, security_grid text, unified_grid text, located_at timestamptz,
            content_sha256 text
        )
        JOIN poster AS p ON p.poster = i.poster
        -- OFFSET: by the index, one for each, never all categories for one
        CROSS JOIN LATERAL (
            SELECT e.edition, (
                SELECT k.network FROM categories AS k WHERE k.edition = e.edition AND k.code = i.category_code
            ) AS network
            FROM (SELECT coalesce(i.edition, default_edition) AS edition OFFSET 0) AS e
        ) AS c
    ),
    receipt AS (
        INSERT INTO report_receipts (report_id, district_code, reported_at, body_sha256, posted_by, device, recorded_at)
        SELECT report_id, district_code, reported_at, decode(content_sha256, 'hex'), login, device, taken_at
        FROM item WHERE is_sound
        -- always in one order, so that two batches with the same reports wait for each other and do not lock up
        ORDER BY report_id
        ON CONFLICT DO NOTHING
        RETURNING report_id
    ),
    waiting AS (
        INSERT INTO unplaced_reports (
            report_id, reported_at, edition, category_code, network, source, description, reporter, device, address,
            scope_prefix, received_at
        )
        SELECT
            report_id, reported_at, used_edition, category_code, category_network, source, description, reporter, device,
            address, scope, taken_at
        FROM item JOIN receipt USING (report_id) WHERE lon IS NULL
    ),
    report AS (
        INSERT INTO reports (
            report_id, district_code, reported_at, edition, category_code, network, source, description, reporter, device,
            address, original_lon, original_lat, original_datum, accuracy_m, altitude_m, heading_deg, geom,
            community_code, urban_grid, social_grid, security_grid, unified_grid, located_at, received_at
        )
        SELECT
            report_id, district_code, reported_at, used_edition, category_code, category_network, source, description,
            reporter, device, address, original_lon, original_lat, original_datum, accuracy_m, altitude_m, heading_deg,
            ST_SetSRID(ST_MakePoint(lon, lat), 4490),
            community_code, urban_grid, social_grid, security_grid, unified_grid, located_at, taken_at
        FROM item JOIN receipt USING (report_id) WHERE lon IS NOT NULL
        ORDER BY place
        RETURNING *
    ),
    opened AS (
        INSERT INTO cases (
            case_id, case_code, report_id, district_code, opened_at, edition, category_code, network, stage, geom,
            community_code, urban_grid, social_grid, security_grid, unified_grid
        )
        SELECT
            gen_random_uuid(),
            -- district, day in Beijing time, running number (see store/reports.py)
            district_code || to_char(reported_at AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD')
                || lpad(report_no::text, greatest(8, length(report_no::text)), '0'),
            report_id, district_code, reported_at, edition, category_code, network, 'reported', geom,
            community_code, urban_grid, social_grid, security_grid, unified_grid
        FROM report
        RETURNING report_id, case_code
    ),
    told AS (
        -- what store/events.py lets each kind say; numbered after the commit, so nobody waits for it
        INSERT INTO events_unnumbered (kind, division_code, subject, payload)
        SELECT kind, coalesce(community_code, district_code), report_id::text, payload
        FROM (
            SELECT
                report_no, report_id, community_code, district_code, 'report.received' AS kind,
                NULL::timestamptz AS came_at, '' AS key,
                jsonb_build_object(
                    'case_code', case_code, 'occurred_at', reported_at, 'received_at', received_at, 'edition', edition,
                    'category_code', category_code, 'network', network, 'source', source,
                    'lon', ST_X(geom), 'lat', ST_Y(geom), 'urban_grid', urban_grid, 'social_grid', social_grid,
                    'security_grid', security_grid, 'unified_grid', unified_grid
                ) AS payload
            FROM report JOIN opened USING (report_id)
            UNION ALL
            -- what was held until its report came
            SELECT report_no, report_id, community_code, district_code, held.* FROM report CROSS JOIN LATERAL (
                SELECT 'photo.joined', p.received_at, encode(p.sha256, 'hex'),
                    jsonb_build_object('sha256', encode(p.sha256, 'hex'), 'width', p.width, 'height', p.height)
                FROM photos AS p WHERE p.report_id = report.report_id
                UNION ALL
                SELECT 'report.updated', u.received_at, u.update_id::text,
                    jsonb_build_object('update_id', u.update_id, 'occurred_at', u.occurred_at)
                FROM report_updates AS u WHERE u.report_id = report.report_id
            ) AS held
        ) AS event
        ORDER BY report_no, came_at NULLS FIRST, key
    )
    SELECT
        item.place,
        CASE
            WHEN receipt.report_id IS NOT NULL THEN 'created'
            WHEN item.is_sound THEN 'known'
            WHEN NOT item.is_known THEN 'unauthenticated'
            WHEN item.category_network IS NULL THEN 'category-unknown'
            ELSE 'network-differs'
        END,
        item.used_edition, item.category_network, opened.case_code
    FROM item
    LEFT JOIN receipt ON receipt.report_id = item.report_id
    LEFT JOIN opened ON opened.report_id = item.report_id
    ORDER BY item.place;
END
$$;
