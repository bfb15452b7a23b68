-- one network at a time: the cases that get another grid, the record that says so, and the event that tells it
WITH moved AS (
    UPDATE cases AS c SET {grid} = s.{grid}
    FROM {stage} AS s, cases AS before
    WHERE c.district_code = s.district_code AND c.opened_at = s.opened_at AND c.case_id = s.case_id
      AND before.district_code = s.district_code AND before.opened_at = s.opened_at AND before.case_id = s.case_id
      AND c.stage = ANY(:open_stages)
      AND c.{grid} IS DISTINCT FROM s.{grid}
    RETURNING
        c.district_code, c.community_code, c.case_id, c.case_code, before.{grid} AS from_grid, c.{grid} AS to_grid
),
told AS (
    INSERT INTO events_unnumbered (kind, division_code, subject, payload)
    SELECT
        'case.moved', coalesce(community_code, district_code), case_code,
        jsonb_build_object(
            'redraw_id', CAST(:redraw_id AS text), 'network', CAST(:network AS text), 'from_grid', from_grid, 'to_grid', to_grid
        )
    FROM moved ORDER BY case_code
)
INSERT INTO case_grid_moves (redraw_id, district_code, case_id, case_code, network, from_grid, to_grid, moved_at)
SELECT CAST(:redraw_id AS uuid), district_code, case_id, case_code, :network, from_grid, to_grid, :moved_at
FROM moved ORDER BY case_code
