SELECT d.code, d.name, d.level,
       ST_XMin(d.geom) AS min_lon, ST_YMin(d.geom) AS min_lat, ST_XMax(d.geom) AS max_lon, ST_YMax(d.geom) AS max_lat
FROM divisions d
WHERE d.code LIKE :scope AND d.geom IS NOT NULL
  AND d.valid_from <= :at AND (d.valid_to IS NULL OR d.valid_to > :at)
ORDER BY length(d.code), d.code
LIMIT 1
