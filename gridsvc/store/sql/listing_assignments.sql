-- the key of a page is grid and worker: one grid has several workers
SELECT a.network, a.grid_code, a.worker_code, a.role, a.is_primary, a.deputy_of, a.valid_from, a.valid_to,
       a.grid_code || ':' || a.worker_code AS key
FROM assignments a
WHERE a.network = :network
  AND a.grid_code LIKE :scope
  AND a.grid_code LIKE :prefix
  AND (CAST(:worker_code AS text) IS NULL OR a.worker_code = :worker_code)
  AND a.valid_from <= :at
  AND (a.valid_to IS NULL OR a.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL)
  AND (a.grid_code, a.worker_code) > (split_part(:cursor, ':', 1), split_part(:cursor, ':', 2))
ORDER BY a.grid_code, a.worker_code
LIMIT :limit
