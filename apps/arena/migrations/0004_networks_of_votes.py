"""Votes of visitors keep a keyed digest of the network that they came from."""

import django.db.models
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0003_keep_what_is_held"),
    ]

    operations = [
        migrations.CreateModel(
            name="NetworkKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("secret", models.BinaryField()),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("pk", 1)), name="network_key_is_one")],
            },
        ),
        migrations.AddField(
            model_name="vote",
            name="network",
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.AddIndex(
            model_name="vote",
            index=models.Index(
                condition=models.Q(("network", ""), _negated=True), fields=["network", "-id"], name="vote_of_network"
            ),
        ),
    ]
