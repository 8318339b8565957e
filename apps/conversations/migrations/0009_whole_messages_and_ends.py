"""Words are indexed once a message is whole; copies know how an answer broke off; no message is its own ancestor."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.functions.text
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

WORDS = django.contrib.postgres.search.SearchVector(
    django.db.models.functions.text.Left("content", 100000), config="simple"
)


def _mark_unfinished(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    messages = apps.get_model("conversations", "Message").objects
    messages.filter(generation__state__in=["queued", "running"]).update(is_whole=False)


class Migration(migrations.Migration):
    dependencies = [("conversations", "0008_shared_pages_are_kept")]
    operations = [
        migrations.AddField("message", "is_whole", models.BooleanField(default=True)),
        migrations.AddField(
            "message",
            "copied_end",
            models.CharField(
                blank=True,
                choices=[("stopped", "Stopped"), ("length", "Cut at its longest length"), ("failed", "Failed")],
                max_length=10,
            ),
        ),
        migrations.RunPython(_mark_unfinished, migrations.RunPython.noop),
        migrations.RemoveIndex("message", "message_words"),
        migrations.AddIndex(
            "message",
            django.contrib.postgres.indexes.GinIndex(
                WORDS, name="message_words", condition=models.Q(("is_whole", True))
            ),
        ),
        migrations.AddConstraint(
            "message",
            models.CheckConstraint(
                condition=models.Q(("parent", None), ("parent__lt", models.F("id")), _connector="OR"),
                name="message_after_its_parent",
            ),
        ),
    ]
