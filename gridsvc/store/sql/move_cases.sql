-- one network at a time: the cases that get another grid, and the record that says so
WITH moved AS (
    UPDATE cases AS c SET {grid} = s.{grid}
    FROM {stage} AS s, cases AS before
    WHERE c.district_code = s.district_code AND c.opened_at = s.opened_at AND c.case_id = s.case_id
      AND before.district_code = s.district_code AND before.opened_at = s.opened_at AND before.case_id = s.case_id
      AND c.stage = ANY(:open_stages)
      AND c.{grid} IS DISTINCT FROM s.{grid}
    RETURNING c.district_code, c.case_id, c.case_code, before.{grid} AS from_grid, c.{grid} AS to_grid
)
INSERT INTO case_grid_moves (redraw_id, district_code, case_id, case_code, network, from_grid, to_grid, moved_at)
SELECT CAST(:redraw_id AS uuid), district_code, case_id, case_code, :network, from_grid, to_grid, :moved_at
FROM moved ORDER BY case_code
