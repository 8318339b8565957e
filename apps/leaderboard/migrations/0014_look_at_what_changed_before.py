"""Boards look once more at the votes that were there before changes were counted.

The counters of 0011 began at 0 on both sides, as if the last try had seen every earlier change.
"""

from django.db import migrations

UNSEEN = "UPDATE leaderboard_refresh SET n_changes = n_changes + 1;"


class Migration(migrations.Migration):
    dependencies = [
        ("leaderboard", "0013_imported_contestants_await"),
    ]

    operations = [
        migrations.RunSQL(UNSEEN, migrations.RunSQL.noop),
    ]
