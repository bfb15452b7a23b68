-- The version of who is on duty: assignments and workers. One row; whoever changes either gives it a new value in the same
-- transaction, by trigger, as grid_version has it for grids.
CREATE TABLE duty_version (
    only_row boolean NOT NULL DEFAULT true,
    version uuid NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT pk_duty_version PRIMARY KEY (only_row),
    CONSTRAINT ck_duty_version_one_row CHECK (only_row)
);
INSERT INTO duty_version DEFAULT VALUES;

CREATE FUNCTION gridsvc_renew_duty_version() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE duty_version SET version = gen_random_uuid();
    ELSIF EXISTS (SELECT FROM changed_rows) THEN
        UPDATE duty_version SET version = gen_random_uuid();
    END IF;
    RETURN NULL;
END
$$;
