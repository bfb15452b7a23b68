-- a grid that has not held before :at simply has the vertices
UPDATE grids AS g SET geom = s.geom
FROM {stage} AS s WHERE s.grid_id = g.grid_id AND g.valid_from >= :at;

-- the others end at :at and go on with them
CREATE TEMPORARY TABLE renewed_{stage} ON COMMIT DROP AS
SELECT g.*, s.geom AS noded FROM grids AS g JOIN {stage} AS s USING (grid_id) WHERE g.valid_from < :at;

UPDATE grids AS g SET valid_to = :at FROM renewed_{stage} AS s WHERE s.grid_id = g.grid_id;

INSERT INTO grids (network, kind, code, name, community_code, parent_code, households, population, area_m2, responsible,
                   geom, redraw_id, valid_from, valid_to)
SELECT network, kind, code, name, community_code, parent_code, households, population, area_m2, responsible,
       noded, :redraw_id, :at, valid_to
FROM renewed_{stage} ORDER BY grid_id;

DROP TABLE renewed_{stage}
