-- Nobody is assigned to a grid that is not there: assignments to codes no longer in force at :at end then,
-- those that would begin at :at or later are removed.
WITH gone AS (
    SELECT a.assignment_id, a.valid_from
    FROM assignments AS a
    WHERE a.network = :network AND left(a.grid_code, 12) = ANY(:communities)
      AND (a.valid_to IS NULL OR a.valid_to > :at)
      AND NOT EXISTS (
          SELECT FROM grids AS g
          WHERE g.network = a.network AND g.code = a.grid_code
            AND g.valid_from <= :at AND (g.valid_to IS NULL OR g.valid_to > :at)
      )
),
removed AS (
    DELETE FROM assignments AS a USING gone WHERE a.assignment_id = gone.assignment_id AND gone.valid_from >= :at
)
UPDATE assignments AS a SET valid_to = :at
FROM gone WHERE a.assignment_id = gone.assignment_id AND gone.valid_from < :at
