-- What a division of :under at :at reads: communities, buildings, and the lines and water around them, as one row of
-- counts and sums of content hashes. Sums do not depend on the order of rows; any row changed, gone or added shows.
WITH communities AS MATERIALIZED (
    SELECT code, name, geom
    FROM divisions
    WHERE level = 'community' AND code LIKE :under AND valid_from <= :at AND (valid_to IS NULL OR valid_to > :at)
),
around AS (
    SELECT ST_Expand(ST_SetSRID(ST_Extent(geom)::geometry, 4490), :margin_deg) AS box FROM communities
),
read AS (
    SELECT 1 AS layer, code || ' ' || name AS attributes, geom FROM communities
    UNION ALL
    SELECT 2, concat_ws(' ', residence_code, community_code, households, population), r.geom
    FROM residences AS r, around WHERE r.geom && box
    UNION ALL
    SELECT 3, concat_ws(' ', street_code, street_class, layer), s.geom FROM streets AS s, around WHERE s.geom && box
    UNION ALL
    SELECT 4, barrier_code, b.geom FROM barriers AS b, around WHERE b.geom && box
    UNION ALL
    SELECT 5, water_code, w.geom FROM water_areas AS w, around WHERE w.geom && box
)
SELECT
    layer,
    count(*) AS rows,
    sum(('x' || left(md5(convert_to(attributes, 'UTF8') || coalesce(ST_AsBinary(geom), '')), 15))::bit(60)::bigint) AS content
FROM read
GROUP BY layer
ORDER BY layer
