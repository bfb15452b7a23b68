-- What the gazetteer is made of notes its changes, whoever writes; a build takes the notes away in its own transaction.
-- Notes are rows, not a counter, so that two imports never wait for one another.
CREATE OR REPLACE FUNCTION gridsvc_note_gazetteer_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO gazetteer_changes (source) VALUES (TG_TABLE_NAME);
  RETURN NULL;
END
$$;
CREATE TRIGGER note_gazetteer_change AFTER INSERT OR UPDATE OR DELETE ON divisions
  FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_note_gazetteer_change();
CREATE TRIGGER note_gazetteer_change AFTER INSERT OR UPDATE OR DELETE ON streets
  FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_note_gazetteer_change();
CREATE TRIGGER note_gazetteer_change AFTER INSERT OR UPDATE OR DELETE ON residences
  FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_note_gazetteer_change();
CREATE TRIGGER note_gazetteer_change AFTER INSERT OR UPDATE OR DELETE ON facilities
  FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_note_gazetteer_change();
CREATE TRIGGER note_gazetteer_change AFTER INSERT OR UPDATE OR DELETE ON addresses
  FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_note_gazetteer_change()
