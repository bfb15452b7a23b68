SELECT g.network, g.code, g.name, g.kind, g.community_code, g.parent_code, g.households, g.population, g.area_m2,
       g.responsible, g.valid_from, g.valid_to,
       ST_AsGeoJSON(g.geom, 9, 0) AS geometry,
       c.name AS community_name, s.code AS street_code, s.name AS street_name, x.code AS district_code, x.name AS district_name,
       coalesce(staff.workers, '[]'::jsonb) AS workers,
       (SELECT count(*) FROM reports r
        WHERE r.reported_at <= :at AND r.community_code = g.community_code
          AND CASE g.network WHEN 'urban' THEN r.urban_grid WHEN 'social' THEN r.social_grid
                             WHEN 'security' THEN r.security_grid ELSE r.unified_grid END = g.code) AS reports
FROM grids g
LEFT JOIN divisions c ON c.code = g.community_code AND c.valid_from <= :at AND (c.valid_to IS NULL OR c.valid_to > :at)
LEFT JOIN divisions s ON s.code = left(g.community_code, 9) AND s.valid_from <= :at AND (s.valid_to IS NULL OR s.valid_to > :at)
LEFT JOIN divisions x ON x.code = left(g.community_code, 6) AND x.valid_from <= :at AND (x.valid_to IS NULL OR x.valid_to > :at)
LEFT JOIN LATERAL (
  -- who answers in a unit grid is who answers in the governance grid it lies in; in a merged grid, the worker responsible
  -- for the governance grid that answers for it
  SELECT jsonb_agg(jsonb_build_object(
           'worker_code', w.worker_code, 'name', w.name, 'role', a.role, 'is_primary', a.is_primary,
           'kind_code', w.kind_code,
           'phone_masked', CASE WHEN length(w.phone) >= 7 THEN left(w.phone, 3) || '****' || right(w.phone, 4) END)
         ORDER BY a.is_primary DESC, a.role, w.worker_code) AS workers
  FROM assignments a
  JOIN workers w ON w.worker_code = a.worker_code AND w.valid_from <= :at AND (w.valid_to IS NULL OR w.valid_to > :at)
  WHERE ((a.network = g.network AND a.grid_code = g.code)
         OR (g.network = 'urban' AND a.network = 'social' AND a.grid_code = g.parent_code)
         OR (g.network = 'unified' AND a.network = 'social' AND a.is_primary
             AND a.grid_code = g.responsible -> 'social' ->> 'code'))
    AND a.valid_from <= :at AND (a.valid_to IS NULL OR a.valid_to > :at)
) AS staff ON true
WHERE g.network = :network AND g.code = :code AND g.code LIKE :scope
  AND g.valid_from <= :at AND (g.valid_to IS NULL OR g.valid_to > :at)
