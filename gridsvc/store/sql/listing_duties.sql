-- about ground in the scope, or around it
SELECT d.duty_code, d.department_code, d.network, d.ground_code, d.edition, d.category_code, d.source, d.valid_from, d.valid_to
FROM duties d
WHERE (d.ground_code LIKE :scope OR rtrim(:scope, '%') LIKE d.ground_code || '%')
  AND d.ground_code LIKE :prefix
  AND (CAST(:department_code AS text) IS NULL OR d.department_code = :department_code)
  AND (CAST(:network AS text) IS NULL OR d.network IS NULL OR d.network = :network)
  AND d.valid_from <= :at
  AND (d.valid_to IS NULL OR d.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL)
  AND d.duty_code COLLATE "C" > :cursor
ORDER BY d.duty_code COLLATE "C"
LIMIT :limit
