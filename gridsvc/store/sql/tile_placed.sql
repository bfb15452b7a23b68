-- Rows of {table} in force, with their shape in pixels of the tile: as drawn for the zoom, or, where ground is noted in the tile, or
-- nearer than shapes are drawn, with every vertex. Neighbours share their borders either way: each vertex is rounded by itself, and
-- nothing is left out polygon by polygon, as ST_AsMVTGeom does. Clipped a little past the buffer and at a fraction of a pixel
-- that no crossing of whole pixels falls on half-way, so that both neighbours' crossings are rounded alike.
tile AS (
  SELECT ST_SetSRID(ST_Transform(ST_TileEnvelope(:z, :x, :y, margin => (:buffer + 1.0) / :extent), 4326), 4490) AS around,
         ST_MakeEnvelope(:left - :clip, :top - :clip, :left + :extent + :clip, :top + :extent + :clip) AS pixels,
         ST_MakeEnvelope(-:clip, -:clip, :extent + :clip, :extent + :clip) AS clip
),
exactly AS MATERIALIZED (
  SELECT :z > :shaped_zoom OR EXISTS (
    SELECT FROM tile, LATERAL (
      SELECT FROM tile_ground AS t WHERE t.layer = :layer AND t.geom && tile.around OFFSET 0
    ) AS noted
  ) AS wanted
),
placed AS (
  SELECT r.*, s.label_x - :left AS label_x, s.label_y - :top AS label_y,
         -- boxes are kept with 24 bits: only in a tile's own pixels are they exact
         CASE WHEN moved.shape @ tile.clip THEN moved.shape
              ELSE ST_ForcePolygonCCW(ST_CollectionExtract(ST_SnapToGrid(
                ST_ClipByBox2D(moved.shape, tile.clip), 1), 3)) END AS pixels
  FROM tile, tile_shapes AS s JOIN {table} AS r ON r.{key} = s.row_id,
       LATERAL (SELECT ST_Translate(s.shape, -:left, -:top) AS shape OFFSET 0) AS moved
  WHERE NOT (SELECT wanted FROM exactly)
    AND s.layer = :layer AND s.z = CAST(:z AS smallint) AND s.shape && tile.pixels
    AND r.code LIKE :scope
    AND r.valid_from <= :at AND (r.valid_to IS NULL OR r.valid_to > :at)
  UNION ALL
  SELECT r.*, {label_x}, {label_y},
         -- CGCS2000 and WGS 84 are the same numbers here, which spares a datum step
         ST_ForcePolygonCCW(ST_CollectionExtract(ST_SnapToGrid(ST_ClipByBox2D(ST_SetSRID(ST_Affine(
           ST_Transform(ST_SetSRID(r.geom, 4326), 3857), 1 / :pixel, 0, 0, -1 / :pixel, :half_world / :pixel - :left, :half_world / :pixel - :top
         ), 0), tile.clip), 1), 3))
  FROM tile, {table} AS r
  WHERE (SELECT wanted FROM exactly)
    -- by the index of places, not that of codes, also where nothing has statistics yet
    AND r.{about} || '' = :about AND r.geom && tile.around
    AND r.code LIKE :scope
    AND r.valid_from <= :at AND (r.valid_to IS NULL OR r.valid_to > :at)
)
