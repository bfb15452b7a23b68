-- no home position, no whole phone number: neither is needed to know who answers
SELECT w.worker_code, w.name, w.kind_code, k.name_zh AS kind_name_zh, k.name_en AS kind_name_en, w.division_code,
       CASE WHEN length(w.phone) >= 7 THEN left(w.phone, 3) || '****' || right(w.phone, 4)
            WHEN w.phone IS NOT NULL THEN '****' END AS phone_masked,
       w.capacity_grids, w.valid_from, w.valid_to
FROM workers w
JOIN worker_kinds k ON k.kind_code = w.kind_code
WHERE w.division_code LIKE :scope
  AND w.division_code LIKE :prefix
  AND (CAST(:kind_code AS text) IS NULL OR w.kind_code = :kind_code)
  AND w.valid_from <= :at
  AND (w.valid_to IS NULL OR w.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL)
  AND w.worker_code > :cursor
ORDER BY w.worker_code
LIMIT :limit
