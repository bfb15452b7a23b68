-- Components of some classes near a place, all that can be among the :limit nearest, in no order.
--
-- <-> orders by degrees, which are no metres. So: walk the index (class, geom) to the :limit nearest in degrees; the
-- farthest of them in metres bounds the true ones; take all within that reach. Both steps read the same index.
WITH nearest AS (
    SELECT ST_Distance(CAST(found.geom AS geography), CAST(ST_SetSRID(ST_MakePoint(:lon, :lat), 4490) AS geography)) AS away_m
    FROM unnest(CAST(:codes AS text[])) AS wanted (code)
    CROSS JOIN LATERAL (
        SELECT c.geom
        FROM components c
        WHERE c.category_code = wanted.code
          AND c.geom && ST_Expand(ST_SetSRID(ST_MakePoint(:lon, :lat), 4490),
                                  CAST(:radius_m AS float8) / :degree_lon_m, CAST(:radius_m AS float8) / :degree_lat_m)
          AND c.valid_from <= :at AND (c.valid_to IS NULL OR c.valid_to > :at)
          AND c.state <> 'removed'
          AND c.division_code LIKE :scope
        ORDER BY c.geom <-> ST_SetSRID(ST_MakePoint(:lon, :lat), 4490)
        LIMIT :limit
    ) AS found
),
reach AS MATERIALIZED (
    -- a centimetre more, for what PostGIS and PROJ may differ
    SELECT least(CAST(:radius_m AS float8),
                 coalesce((SELECT away_m FROM nearest ORDER BY away_m OFFSET :limit - 1 LIMIT 1), :radius_m) + 0.01) AS m
)
SELECT c.component_id, c.edition, c.category_code, c.name, c.state, c.accuracy_class,
       c.department_code, c.department_name, c.owner_code, c.owner_name, c.maintainer_code, c.maintainer_name,
       ST_X(c.geom) AS lon, ST_Y(c.geom) AS lat
FROM unnest(CAST(:codes AS text[])) AS wanted (code)
JOIN components c ON c.category_code = wanted.code  -- an index of GiST takes no = ANY
WHERE c.geom && ST_Expand(ST_SetSRID(ST_MakePoint(:lon, :lat), 4490),
                          (SELECT m FROM reach) / :degree_lon_m, (SELECT m FROM reach) / :degree_lat_m)
  AND c.valid_from <= :at AND (c.valid_to IS NULL OR c.valid_to > :at)
  AND c.state <> 'removed'
  AND c.division_code LIKE :scope
