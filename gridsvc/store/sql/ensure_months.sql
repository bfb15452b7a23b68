-- Make the monthly partitions of reports and cases from the month of first_at to that of last_at (UTC) that are missing;
-- return how many were made. Months are named as in store/months.py, which also refuses times that make no sense.
--
-- A partition is made beside the table and attached: readers and writers of other months are not held up.
CREATE OR REPLACE FUNCTION gridsvc_ensure_months(first_at timestamptz, last_at timestamptz)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    month timestamp := date_trunc('month', first_at AT TIME ZONE 'UTC');
    last_month CONSTANT timestamp := date_trunc('month', last_at AT TIME ZONE 'UTC');
    parent text;
    child text;
    locked boolean := false;
    made integer := 0;
BEGIN
    WHILE month <= last_month LOOP
        FOREACH parent IN ARRAY ARRAY['reports', 'cases'] LOOP
            child := parent || to_char(month, '"_y"YYYY"m"MM');
            -- pg_class and not to_regclass(): the latter may answer from what this session remembers from before its wait
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_class WHERE relname = child AND relnamespace = current_schema()::regnamespace
            );
            IF NOT locked THEN
                PERFORM pg_advisory_xact_lock(4490201512);
                locked := true;
                -- somebody else may have made it while we waited
                CONTINUE WHEN EXISTS (
                    SELECT FROM pg_class WHERE relname = child AND relnamespace = current_schema()::regnamespace
                );
            END IF;
            EXECUTE 'CREATE TABLE ' || quote_ident(child) || ' (LIKE ' || parent || ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS)';
            EXECUTE 'ALTER TABLE ' || parent || ' ATTACH PARTITION ' || quote_ident(child) || ' FOR VALUES FROM ('
                || quote_literal(month AT TIME ZONE 'UTC') || ') TO ('
                || quote_literal((month + interval '1 month') AT TIME ZONE 'UTC') || ')';
            made := made + 1;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END
$$;
