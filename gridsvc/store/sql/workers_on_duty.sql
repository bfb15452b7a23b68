-- Who is on duty in grids, each at its instant, without phone numbers; one statement with the version of the grids, so that the caller knows
-- whether the grids asked about are those of this state. Rows: version, place (NULL in the one row that is always there) ...
SELECT v.version::text AS version, d.place, d.worker_code, d.name, d.role, d.is_primary, d.kind_code
FROM grid_version AS v
LEFT JOIN LATERAL (
    SELECT q.place, w.worker_code, w.name, a.role, a.is_primary, w.kind_code
    FROM unnest(CAST(%(place)s AS int[]), CAST(%(network)s AS text[]), CAST(%(code)s AS text[]), CAST(%(only_primary)s AS boolean[]),
                CAST(%(at)s AS timestamptz[])) AS q (place, network, code, only_primary, at)
    JOIN assignments AS a ON a.network = q.network AND a.grid_code = q.code AND (a.is_primary OR NOT q.only_primary)
     AND a.valid_from <= q.at AND (a.valid_to IS NULL OR q.at < a.valid_to)
    JOIN workers AS w ON w.worker_code = a.worker_code
     AND w.valid_from <= q.at AND (w.valid_to IS NULL OR q.at < w.valid_to)
) AS d ON true
ORDER BY d.place, d.is_primary DESC, d.role, d.worker_code
