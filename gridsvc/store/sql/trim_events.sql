-- Forget the oldest events beyond the number kept, at most :most at a time.
WITH bounds AS (
    UPDATE event_counter SET first_seq = least(first_seq + :most, last_seq + 1 - :kept)
    WHERE last_seq + 1 - first_seq > :kept
    RETURNING first_seq
)
DELETE FROM events USING bounds WHERE events.seq < bounds.first_seq
