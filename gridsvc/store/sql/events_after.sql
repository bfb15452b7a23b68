-- One statement, so that what is kept and what is read belong to the same moment: a row for the counter alone when nothing follows.
SELECT c.first_seq, c.last_seq, e.seq, e.at, e.kind, e.division_code, e.subject, e.payload
FROM event_counter AS c
LEFT JOIN LATERAL (
    SELECT * FROM events
    WHERE seq > :after
      AND division_code LIKE :pattern
      AND (CAST(:kinds AS text[]) IS NULL OR kind = ANY(CAST(:kinds AS text[])))
    ORDER BY seq
    LIMIT :most
) AS e ON true
ORDER BY e.seq
