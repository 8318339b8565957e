from django.db import migrations, models

COUNTED = """
CREATE OR REPLACE FUNCTION leaderboard_tally_void(of_arena bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Who reads votes for a tally holds the arena: either they see the change, or their tally is void.
    PERFORM 1 FROM arena_arena WHERE id = of_arena FOR NO KEY UPDATE;
    DELETE FROM leaderboard_votetally WHERE arena_id = of_arena;
    UPDATE leaderboard_refresh SET n_changes = n_changes + 1 WHERE arena_id = of_arena;
END $$;
"""

UNCOUNTED = """
CREATE OR REPLACE FUNCTION leaderboard_tally_void(of_arena bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Who reads votes for a tally holds the arena: either they see the change, or their tally is void.
    PERFORM 1 FROM arena_arena WHERE id = of_arena FOR NO KEY UPDATE;
    DELETE FROM leaderboard_votetally WHERE arena_id = of_arena;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('leaderboard', '0010_imported_battles'),
    ]

    operations = [
        migrations.AddField(
            model_name='refresh',
            name='n_changes',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='refresh',
            name='seen_changes',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.RemoveField(
            model_name='importedfile',
            name='changed_at',
        ),
        migrations.RunSQL(COUNTED, UNCOUNTED),
    ]
