"""Several models answer side by side: a chat shows several branches, each of which has one unfinished answer at most."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0009_whole_messages_and_ends")]
    operations = [
        migrations.AddField(
            "conversation",
            "columns",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField("generation", "column", models.PositiveSmallIntegerField(default=0)),
        migrations.RemoveConstraint("generation", "generation_one_unfinished_per_conversation"),
        migrations.AddConstraint(
            "generation",
            models.UniqueConstraint(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=("conversation", "column"),
                name="generation_one_unfinished_per_column",
            ),
        ),
    ]
