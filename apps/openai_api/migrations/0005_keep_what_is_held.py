from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('openai_api', '0004_note_lines_that_passed'),
        ('holds', '0002_refuse_to_delete_what_is_held'),
    ]

    operations = [
        migrations.RunSQL(
            'CREATE TRIGGER held_is_kept BEFORE DELETE ON openai_api_apifile FOR EACH ROW EXECUTE FUNCTION holds_keep_of_user()',
            'DROP TRIGGER held_is_kept ON openai_api_apifile',
        ),
        migrations.RunSQL(
            'CREATE TRIGGER held_is_kept BEFORE DELETE ON openai_api_batch FOR EACH ROW EXECUTE FUNCTION holds_keep_of_user()',
            'DROP TRIGGER held_is_kept ON openai_api_batch',
        ),
        migrations.RunSQL(
            'CREATE TRIGGER held_is_kept BEFORE DELETE ON openai_api_storedresponse FOR EACH ROW EXECUTE FUNCTION holds_keep_of_user()',
            'DROP TRIGGER held_is_kept ON openai_api_storedresponse',
        ),
    ]
