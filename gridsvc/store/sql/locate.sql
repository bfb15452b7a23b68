-- The one-grid rule: a point belongs to the grids that intersect it (closed polygons); where several of a network do
-- (shared edge or vertex), to the one with the smallest code. gridsvc.geo.location answers the same in Python.
--
-- NOT ST_Relate(..., disjoint) and not ST_Intersects: ST_Intersects answers point-in-polygon with arithmetic of
-- PostGIS's own, which disagrees with GEOS on edges; ST_Relate is GEOS itself, as shapely is.
CREATE OR REPLACE FUNCTION gridsvc_locate(lon double precision, lat double precision, at timestamptz)
RETURNS TABLE (network text, code text)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT DISTINCT ON (g.network) g.network, g.code
    FROM grids AS g, (SELECT ST_SetSRID(ST_MakePoint($1, $2), 4490) AS geom) AS p
    WHERE g.geom && p.geom
      AND g.valid_from <= $3 AND (g.valid_to IS NULL OR $3 < g.valid_to)
      AND NOT ST_Relate(g.geom, p.geom, 'FF*FF****')
    ORDER BY g.network, g.code COLLATE "C"
$$;

-- The same rule for administrative divisions of one level.
CREATE OR REPLACE FUNCTION gridsvc_division_at(lon double precision, lat double precision, at timestamptz, wanted_level text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT d.code
    FROM divisions AS d, (SELECT ST_SetSRID(ST_MakePoint($1, $2), 4490) AS geom) AS p
    WHERE d.geom && p.geom
      AND d.level = $4
      AND d.valid_from <= $3 AND (d.valid_to IS NULL OR $3 < d.valid_to)
      AND NOT ST_Relate(d.geom, p.geom, 'FF*FF****')
    ORDER BY d.code COLLATE "C"
    LIMIT 1
$$;
