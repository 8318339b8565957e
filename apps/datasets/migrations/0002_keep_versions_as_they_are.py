from django.db import migrations

# Rows come while their version is being written, go with it alone, and are never changed. What an erasure may do is to
# empty them; it names whose they were no more.
KEEP = """
ALTER TABLE datasets_datasetrow ADD CONSTRAINT dataset_row_of_version
    FOREIGN KEY (version_id) REFERENCES datasets_datasetversion (id) ON DELETE CASCADE;
ALTER TABLE datasets_sourcerecord ADD CONSTRAINT source_record_of_version
    FOREIGN KEY (version_id) REFERENCES datasets_datasetversion (id) ON DELETE CASCADE;

CREATE FUNCTION datasets_version_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.is_sealed THEN
        RAISE EXCEPTION 'a version of a dataset is never changed: make the next one'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_stays BEFORE UPDATE ON datasets_datasetversion
    FOR EACH ROW EXECUTE FUNCTION datasets_version_stays();

CREATE FUNCTION datasets_nothing_is_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM (SELECT DISTINCT version_id FROM added) AS its
        JOIN datasets_datasetversion AS version ON version.id = its.version_id WHERE version.is_sealed
    ) THEN
        RAISE EXCEPTION 'nothing is added to a version of a dataset that is whole: make the next one'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER nothing_is_added AFTER INSERT ON datasets_datasetrow
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION datasets_nothing_is_added();
CREATE TRIGGER nothing_is_added AFTER INSERT ON datasets_sourcerecord
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION datasets_nothing_is_added();

CREATE FUNCTION datasets_rows_go_with_their_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        RAISE EXCEPTION 'no row is deleted alone: delete the version' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rows_go_with_their_version BEFORE DELETE ON datasets_datasetrow
    FOR EACH STATEMENT EXECUTE FUNCTION datasets_rows_go_with_their_version();
CREATE TRIGGER rows_go_with_their_version BEFORE DELETE ON datasets_sourcerecord
    FOR EACH STATEMENT EXECUTE FUNCTION datasets_rows_go_with_their_version();

CREATE FUNCTION datasets_row_is_emptied_or_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased CONSTANT text[] := ARRAY['line', 'record_id'];
BEGIN
    IF to_jsonb(NEW) - erased = to_jsonb(OLD) - erased AND NEW.line IS NULL AND NEW.record_id = '' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a row of a dataset is never changed: make the next version'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER row_is_emptied_or_stays BEFORE UPDATE ON datasets_datasetrow
    FOR EACH ROW EXECUTE FUNCTION datasets_row_is_emptied_or_stays();

CREATE FUNCTION datasets_refuse_if_held(of_conversation uuid, of_user bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM holds_refuse(ARRAY[of_conversation, (SELECT public_id FROM accounts_user WHERE id = of_user)]);
END $$;
CREATE FUNCTION datasets_source_is_emptied_or_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased CONSTANT text[] := ARRAY['value', 'user_id', 'conversation'];
BEGIN
    IF to_jsonb(NEW) - erased = to_jsonb(OLD) - erased
        AND NEW.value IS NULL AND NEW.user_id IS NULL AND NEW.conversation IS NULL
    THEN
        PERFORM datasets_refuse_if_held(OLD.conversation, OLD.user_id);
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a source of a dataset is never changed: make the next version'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER source_is_emptied_or_stays BEFORE UPDATE ON datasets_sourcerecord
    FOR EACH ROW EXECUTE FUNCTION datasets_source_is_emptied_or_stays();

CREATE FUNCTION datasets_held_source_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM datasets_refuse_if_held(OLD.conversation, OLD.user_id);
    RETURN OLD;
END $$;
CREATE TRIGGER held_is_kept BEFORE DELETE ON datasets_sourcerecord
    FOR EACH ROW WHEN (OLD.user_id IS NOT NULL) EXECUTE FUNCTION datasets_held_source_is_kept();
"""

RELEASE = """
DROP TRIGGER held_is_kept ON datasets_sourcerecord;
DROP FUNCTION datasets_held_source_is_kept();
DROP TRIGGER source_is_emptied_or_stays ON datasets_sourcerecord;
DROP FUNCTION datasets_source_is_emptied_or_stays();
DROP FUNCTION datasets_refuse_if_held(uuid, bigint);
DROP TRIGGER row_is_emptied_or_stays ON datasets_datasetrow;
DROP FUNCTION datasets_row_is_emptied_or_stays();
DROP TRIGGER rows_go_with_their_version ON datasets_sourcerecord;
DROP TRIGGER rows_go_with_their_version ON datasets_datasetrow;
DROP FUNCTION datasets_rows_go_with_their_version();
DROP TRIGGER nothing_is_added ON datasets_sourcerecord;
DROP TRIGGER nothing_is_added ON datasets_datasetrow;
DROP FUNCTION datasets_nothing_is_added();
DROP TRIGGER version_stays ON datasets_datasetversion;
DROP FUNCTION datasets_version_stays();
ALTER TABLE datasets_sourcerecord DROP CONSTRAINT source_record_of_version;
ALTER TABLE datasets_datasetrow DROP CONSTRAINT dataset_row_of_version;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0001_versions'),
        ('holds', '0002_refuse_to_delete_what_is_held'),
    ]

    operations = [migrations.RunSQL(KEEP, RELEASE)]
