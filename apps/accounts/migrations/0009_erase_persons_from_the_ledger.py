from django.db import migrations, models

# An entry may lose whose it was, and nothing else of it may ever change.
ERASABLE = """
CREATE OR REPLACE FUNCTION accounts_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whose CONSTANT text[] := ARRAY['user_id', 'api_key_id', 'visitor_public_id', 'request_id'];
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - whose = to_jsonb(OLD) - whose
        AND NEW.user_id IS NULL AND NEW.api_key_id IS NULL AND NEW.visitor_public_id IS NULL AND NEW.request_id = ''
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: add an entry instead of changing one';
END $$;
"""

APPEND_ONLY = """
CREATE OR REPLACE FUNCTION accounts_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: add an entry instead of changing one';
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_endpoint_of_chats'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(condition=models.Q(('visitor_public_id__isnull', False)), fields=['visitor_public_id'], name='ledger_visitor'),
        ),
        migrations.RunSQL(ERASABLE, APPEND_ONLY),
    ]
