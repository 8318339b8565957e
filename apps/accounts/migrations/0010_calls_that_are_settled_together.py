"""Calls that are reserved together are settled together."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_erase_persons_from_the_ledger"),
    ]

    operations = [
        migrations.AddField(
            model_name="reservation",
            name="ending",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="reservation",
            name="group",
            field=models.UUIDField(db_index=True, null=True),
        ),
    ]
