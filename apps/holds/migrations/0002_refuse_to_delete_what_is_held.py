from django.db import migrations

# The last line of defence: services look first, and say it in words. `who` is the column that names the owner.
REFUSE = """
CREATE FUNCTION holds_refuse(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM holds_legalhold WHERE lifted_at IS NULL AND covers && array_remove(ids, NULL)) THEN
        RAISE EXCEPTION 'a legal hold keeps this row' USING ERRCODE = 'restrict_violation';
    END IF;
END $$;
CREATE FUNCTION holds_keep_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM holds_refuse(ARRAY[OLD.public_id]);
    RETURN OLD;
END $$;
CREATE FUNCTION holds_keep_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM holds_refuse(ARRAY[OLD.public_id, (SELECT public_id FROM accounts_user WHERE id = OLD.user_id)]);
    RETURN OLD;
END $$;
CREATE FUNCTION holds_keep_of_anybody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM holds_refuse(ARRAY[
        OLD.public_id,
        (SELECT public_id FROM accounts_user WHERE id = OLD.user_id),
        (SELECT public_id FROM accounts_visitor WHERE id = OLD.visitor_id)
    ]);
    RETURN OLD;
END $$;
CREATE TRIGGER held_is_kept BEFORE DELETE ON accounts_user FOR EACH ROW EXECUTE FUNCTION holds_keep_person();
CREATE TRIGGER held_is_kept BEFORE DELETE ON accounts_visitor FOR EACH ROW EXECUTE FUNCTION holds_keep_person();
"""

ALLOW = """
DROP TRIGGER held_is_kept ON accounts_user;
DROP TRIGGER held_is_kept ON accounts_visitor;
DROP FUNCTION holds_keep_of_anybody();
DROP FUNCTION holds_keep_of_user();
DROP FUNCTION holds_keep_person();
DROP FUNCTION holds_refuse(uuid[]);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('holds', '0001_initial'),
        ('accounts', '0009_erase_persons_from_the_ledger'),
    ]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
