-- The layer of tiles that a level of divisions or a network of grids is drawn in; NULL where it is in none.
CREATE FUNCTION gridsvc_tile_layer(about text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE about WHEN 'district' THEN 'districts' WHEN 'street' THEN 'street_offices' WHEN 'community' THEN 'communities'
                      WHEN 'province' THEN NULL WHEN 'city' THEN NULL ELSE 'grids_' || about END
$$;
