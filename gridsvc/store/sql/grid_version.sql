-- The version of everything that says where a grid is: grids and divisions. One row; whoever changes either gives it a
-- new value in the same transaction, by trigger, so that no writer can forget to. The value is a random UUID: it names
-- what was stored, in whatever database, and a change that was rolled back leaves nothing behind that could be taken for another.
CREATE TABLE grid_version (
    only_row boolean NOT NULL DEFAULT true,
    version uuid NOT NULL DEFAULT gen_random_uuid(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_grid_version PRIMARY KEY (only_row),
    CONSTRAINT ck_grid_version_one_row CHECK (only_row)
);
INSERT INTO grid_version DEFAULT VALUES;

-- The lock: writers of grids hold it until they commit, intake shares it from locating a report to storing it. So no report
-- is committed with the grids of before a change that was committed before it.
CREATE FUNCTION gridsvc_grid_version_lock() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT 4490201540::bigint $$;

CREATE FUNCTION gridsvc_lock_grid_version() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(gridsvc_grid_version_lock());
    RETURN NULL;
END
$$;

CREATE FUNCTION gridsvc_renew_grid_version() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE grid_version SET version = gen_random_uuid(), changed_at = clock_timestamp();
    ELSIF EXISTS (SELECT FROM changed_rows) THEN
        UPDATE grid_version SET version = gen_random_uuid(), changed_at = clock_timestamp();
    END IF;
    RETURN NULL;
END
$$;

-- Wait for writers of grids, keep new ones waiting until the transaction ends, and return the version. VOLATILE: what it
-- reads is as of after the wait.
CREATE FUNCTION gridsvc_hold_grid_version() RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(gridsvc_grid_version_lock());
    RETURN (SELECT version FROM grid_version);
END
$$;
