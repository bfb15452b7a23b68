-- The topmost divisions in scope that have a boundary, together: with no city above them, the districts.
WITH drawn AS (
  SELECT d.code, d.name, d.level, d.geom, length(d.code) = min(length(d.code)) OVER () AS is_top
  FROM divisions d
  WHERE d.code LIKE :scope AND d.geom IS NOT NULL
    AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
)
SELECT CASE count(*) WHEN 1 THEN min(code) END AS code, CASE count(*) WHEN 1 THEN min(name) END AS name, min(level) AS level,
       min(ST_XMin(geom)) AS min_lon, min(ST_YMin(geom)) AS min_lat, max(ST_XMax(geom)) AS max_lon, max(ST_YMax(geom)) AS max_lat
FROM drawn
WHERE is_top
HAVING count(*) > 0
