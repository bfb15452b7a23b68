-- All who are or will be on duty from an instant on, without phone numbers, each with its place in the order in which the workers of a
-- grid are named (workers_on_duty.sql); one statement with the version of who is on duty.
SELECT v.version::text, a.network, a.grid_code, greatest(a.valid_from, w.valid_from) AS valid_from,
    least(a.valid_to, w.valid_to) AS valid_to,
    row_number() OVER (ORDER BY a.is_primary DESC, a.role, w.worker_code) AS place,
    w.worker_code, w.name, a.role, a.is_primary, w.kind_code
FROM duty_version AS v
LEFT JOIN (assignments AS a JOIN workers AS w ON w.worker_code = a.worker_code
    AND tstzrange(a.valid_from, a.valid_to) && tstzrange(w.valid_from, w.valid_to))
ON (a.valid_to IS NULL OR a.valid_to > %(since)s) AND (w.valid_to IS NULL OR w.valid_to > %(since)s)
