-- Notes the ground of every shape of {table} that a statement adds, takes away or changes. Its key is {key}; {about} says what it is.
CREATE FUNCTION gridsvc_note_tiles_of_{table}() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tile_ground (layer, geom)
        SELECT gridsvc_tile_layer(n.{about}), ST_Envelope(n.geom) FROM new_rows AS n
        WHERE n.geom IS NOT NULL AND gridsvc_tile_layer(n.{about}) IS NOT NULL;
    ELSIF TG_OP = 'UPDATE' THEN
        -- that one ends changes no shape
        INSERT INTO tile_ground (layer, geom)
        SELECT gridsvc_tile_layer(o.{about}), ST_Envelope(o.geom) FROM old_rows AS o
        WHERE o.geom IS NOT NULL AND gridsvc_tile_layer(o.{about}) IS NOT NULL AND NOT EXISTS (
            SELECT FROM new_rows AS n WHERE n.{key} = o.{key} AND n.{about} = o.{about} AND n.geom = o.geom);
        INSERT INTO tile_ground (layer, geom)
        SELECT gridsvc_tile_layer(n.{about}), ST_Envelope(n.geom) FROM new_rows AS n
        WHERE n.geom IS NOT NULL AND gridsvc_tile_layer(n.{about}) IS NOT NULL AND NOT EXISTS (
            SELECT FROM old_rows AS o WHERE o.{key} = n.{key} AND o.{about} = n.{about} AND o.geom = n.geom);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tile_ground (layer, geom)
        SELECT gridsvc_tile_layer(o.{about}), ST_Envelope(o.geom) FROM old_rows AS o
        WHERE o.geom IS NOT NULL AND gridsvc_tile_layer(o.{about}) IS NOT NULL;
        DELETE FROM tile_shapes AS s USING old_rows AS o
        WHERE s.layer = gridsvc_tile_layer(o.{about}) AND s.row_id = o.{key};
    ELSE
        DELETE FROM tile_shapes WHERE starts_with(layer, 'grids_') = (TG_TABLE_NAME = 'grids');
        DELETE FROM tile_ground WHERE starts_with(layer, 'grids_') = (TG_TABLE_NAME = 'grids');
    END IF;
    RETURN NULL;
END
$$;
