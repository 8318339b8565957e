"""Contestants that imports have made await a model of their name, unless an admin ever let them fight."""

from django.db import migrations

AWAIT = """
UPDATE arena_contestant SET awaits_model = true
WHERE model_id IS NULL AND NOT is_automatic AND NOT is_available
    AND EXISTS (SELECT 1 FROM leaderboard_importedbattle WHERE arena_contestant.id IN (model_a_id, model_b_id))
    AND NOT EXISTS (
        SELECT 1 FROM leaderboard_samplingchange log WHERE log.contestant_id = arena_contestant.id AND log.is_available
    );
"""


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0005_contestants_await_models"),
        ("leaderboard", "0012_judged_prompts"),
    ]

    operations = [
        migrations.RunSQL(AWAIT, migrations.RunSQL.noop),
    ]
