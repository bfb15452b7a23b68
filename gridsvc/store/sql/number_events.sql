-- Give committed events the next numbers; the caller holds the lock on the counter, taken by a statement before this one,
-- so that this one sees what the last holder has done.
WITH taken AS (
    DELETE FROM events_unnumbered
    WHERE event_id IN (SELECT event_id FROM events_unnumbered ORDER BY event_id LIMIT :most)
    RETURNING event_id, at, kind, division_code, subject, payload
),
numbered AS (
    INSERT INTO events (seq, at, kind, division_code, subject, payload)
    SELECT :last_seq + row_number() OVER (ORDER BY event_id), at, kind, division_code, subject, payload
    FROM taken
    RETURNING seq
)
UPDATE event_counter SET last_seq = found.last_seq
FROM (SELECT max(seq) AS last_seq, count(*) AS n FROM numbered) AS found
WHERE found.n > 0
RETURNING found.n
