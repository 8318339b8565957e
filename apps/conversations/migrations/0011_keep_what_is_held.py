from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('conversations', '0010_answers_side_by_side'),
        ('holds', '0002_refuse_to_delete_what_is_held'),
    ]

    operations = [
        migrations.RunSQL(
            'CREATE TRIGGER held_is_kept BEFORE DELETE ON conversations_conversation FOR EACH ROW EXECUTE FUNCTION holds_keep_of_anybody()',
            'DROP TRIGGER held_is_kept ON conversations_conversation',
        ),
    ]
