from django.db import migrations

# What was in force at a time can be told later. Only whose an answer is may change, once: a visitor signs in.
KEEP = """
CREATE FUNCTION consents_answer_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whose CONSTANT text[] := ARRAY['user_id', 'visitor_id'];
BEGIN
    IF to_jsonb(NEW) - whose = to_jsonb(OLD) - whose
        AND OLD.visitor_id IS NOT NULL AND NEW.visitor_id IS NULL AND NEW.user_id IS NOT NULL
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an answer is never changed: add another one' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER answer_stays BEFORE UPDATE ON consents_consent
    FOR EACH ROW EXECUTE FUNCTION consents_answer_stays();
"""

LET_GO = """
DROP TRIGGER answer_stays ON consents_consent;
DROP FUNCTION consents_answer_stays();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('consents', '0001_answers'),
    ]

    operations = [migrations.RunSQL(KEEP, LET_GO)]
