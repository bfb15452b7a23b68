WITH {placed},
drawn AS (
  SELECT p.code, CAST(p.code AS bigint) AS feature_id, p.community_code,
         CASE WHEN :detailed THEN p.name END AS name,
         CASE WHEN :detailed THEN p.parent_code END AS parent_code,
         p.households,
         CASE WHEN :detailed THEN round(p.area_m2)::bigint END AS area_m2,
         p.pixels AS geom
  FROM placed AS p
  WHERE NOT ST_IsEmpty(p.pixels)
)
SELECT ST_AsMVT(drawn, :layer, :extent, 'geom', 'feature_id' ORDER BY drawn.code)
FROM drawn
