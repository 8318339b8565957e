"""Answers may go on with what another one began; times of imported messages are their own."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0002_mark_the_sides_of_battles")]

    operations = [
        migrations.AddField(
            model_name="generation",
            name="n_given_chars",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="message",
            name="created_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
    ]
