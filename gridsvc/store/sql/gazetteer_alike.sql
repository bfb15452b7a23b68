-- Places whose names share the given pairs of characters, by the weight of what is shared (rare pairs weigh more).
-- Each pair reads its own posting list of the GIN index; the caller leaves common pairs out.
SELECT p.place_id
FROM (
  SELECT hit.place_id, sum(wanted.weight) AS shared
  FROM unnest(CAST(:grams AS text[]), CAST(:weights AS float8[])) AS wanted (gram, weight)
  JOIN gazetteer_places hit ON hit.grams @> ARRAY[wanted.gram]
  WHERE hit.kind = ANY(CAST(:kinds AS text[]))
    AND (CAST(:within AS text) = '' OR hit.division_code LIKE CAST(:within AS text) || '%')
    AND hit.valid_from <= :at AND (hit.valid_to IS NULL OR hit.valid_to > :at)
  GROUP BY hit.place_id
  ORDER BY shared DESC, hit.place_id
  LIMIT :limit
) AS p
