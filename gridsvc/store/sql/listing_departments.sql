-- whose division lies in the scope, or the scope in it: who answers here may be of the whole city
SELECT d.department_code, d.name, d.kind_code, k.name_zh AS kind_name_zh, k.name_en AS kind_name_en, d.division_code, d.source,
       d.valid_from, d.valid_to
FROM departments d
JOIN department_kinds k ON k.kind_code = d.kind_code
WHERE (d.division_code LIKE :scope OR rtrim(:scope, '%') LIKE d.division_code || '%')
  AND d.division_code LIKE :prefix
  AND (CAST(:kind_code AS text) IS NULL OR d.kind_code = :kind_code)
  AND d.valid_from <= :at
  AND (d.valid_to IS NULL OR d.valid_to > :at)
  AND (CAST(:min_x AS float8) IS NULL)
  AND d.department_code COLLATE "C" > :cursor
ORDER BY d.department_code COLLATE "C"
LIMIT :limit
