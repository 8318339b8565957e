from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('arena', '0002_battles_of_programs'),
        ('holds', '0002_refuse_to_delete_what_is_held'),
    ]

    operations = [
        migrations.RunSQL(
            'CREATE TRIGGER held_is_kept BEFORE DELETE ON arena_battle FOR EACH ROW EXECUTE FUNCTION holds_keep_of_anybody()',
            'DROP TRIGGER held_is_kept ON arena_battle',
        ),
    ]
