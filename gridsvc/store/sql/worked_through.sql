-- The governance grids through which others are worked: that of a unit grid by its parent, that of a merged grid by who is responsible.
SELECT g.network, g.code,
       CASE g.network WHEN 'urban' THEN g.parent_code WHEN 'unified' THEN g.responsible -> 'social' ->> 'code' END AS through
FROM unnest(CAST(:network AS text[]), CAST(:code AS text[])) AS q (network, code)
JOIN grids AS g ON g.network = q.network AND g.code = q.code
WHERE g.valid_from <= :at AND (g.valid_to IS NULL OR :at < g.valid_to) AND g.code LIKE :scope
