"""Contestants that are known by battles of files alone say so, and take part when a model of their name comes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0004_networks_of_votes"),
    ]

    operations = [
        migrations.AddField(
            model_name="contestant",
            name="awaits_model",
            field=models.BooleanField(default=False, editable=False),
        ),
    ]
