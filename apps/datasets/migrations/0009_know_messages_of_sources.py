import django.contrib.postgres.fields
from django.db import migrations, models

# An erasure empties this too.
WITH_MESSAGES = """
CREATE OR REPLACE FUNCTION datasets_source_is_emptied_or_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased CONSTANT text[] := ARRAY['value', 'user_id', 'visitor_public_id', 'conversation', 'messages'];
    whose CONSTANT text[] := ARRAY['user_id', 'visitor_public_id'];
BEGIN
    IF to_jsonb(NEW) - erased = to_jsonb(OLD) - erased AND NEW.value IS NULL
        AND NEW.user_id IS NULL AND NEW.visitor_public_id IS NULL AND NEW.conversation IS NULL
        AND NEW.messages IS NULL
    THEN
        PERFORM datasets_refuse_if_held(OLD.conversation, OLD.user_id, OLD.visitor_public_id);
        RETURN NEW;
    END IF;
    IF to_jsonb(NEW) - whose = to_jsonb(OLD) - whose
        AND OLD.visitor_public_id IS NOT NULL AND NEW.visitor_public_id IS NULL AND NEW.user_id IS NOT NULL
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a source of a dataset is never changed: make the next version'
        USING ERRCODE = 'restrict_violation';
END $$;
"""

WITHOUT_THEM = """
CREATE OR REPLACE FUNCTION datasets_source_is_emptied_or_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased CONSTANT text[] := ARRAY['value', 'user_id', 'visitor_public_id', 'conversation'];
    whose CONSTANT text[] := ARRAY['user_id', 'visitor_public_id'];
BEGIN
    IF to_jsonb(NEW) - erased = to_jsonb(OLD) - erased AND NEW.value IS NULL
        AND NEW.user_id IS NULL AND NEW.visitor_public_id IS NULL AND NEW.conversation IS NULL
    THEN
        PERFORM datasets_refuse_if_held(OLD.conversation, OLD.user_id, OLD.visitor_public_id);
        RETURN NEW;
    END IF;
    IF to_jsonb(NEW) - whose = to_jsonb(OLD) - whose
        AND OLD.visitor_public_id IS NOT NULL AND NEW.visitor_public_id IS NULL AND NEW.user_id IS NOT NULL
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a source of a dataset is never changed: make the next version'
        USING ERRCODE = 'restrict_violation';
END $$;
"""

# Of sources that there are it is not known which of the messages were taken: all that there are in the conversation, and
# in the other one of a battle.
FILL = """
ALTER TABLE datasets_sourcerecord DISABLE TRIGGER source_is_emptied_or_stays;
UPDATE datasets_sourcerecord AS source SET messages = ARRAY(
    SELECT message.id FROM conversations_message AS message WHERE message.conversation_id IN (
        SELECT talk.id FROM conversations_conversation AS talk WHERE talk.public_id = source.conversation
        UNION
        SELECT other.conversation_id FROM conversations_conversation AS talk
        JOIN arena_side AS one ON one.conversation_id = talk.id
        JOIN arena_side AS other ON other.battle_id = one.battle_id
        WHERE talk.public_id = source.conversation
    )
) WHERE conversation IS NOT NULL;
ALTER TABLE datasets_sourcerecord ENABLE TRIGGER source_is_emptied_or_stays;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('arena', '0004_networks_of_votes'),
        ('conversations', '0012_keep_images'),
        ('datasets', '0008_release_versions'),
    ]

    operations = [
        migrations.AddField(
            model_name='sourcerecord',
            name='messages',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), null=True, size=None),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(WITH_MESSAGES, WITHOUT_THEM),
    ]
