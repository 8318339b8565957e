"""Shared chats keep their pages as HTML, and messages out of files are known as such."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from apps.conversations.markdown import render, render_user


def _render(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for share in apps.get_model("conversations", "Share").objects.filter(revoked_at=None).iterator(chunk_size=10):
        for message in share.messages:
            is_answer = message["role"] == "assistant"
            message["html"] = render(message["content"]) if is_answer else render_user(message["content"])
            message["is_imported"] = False
        share.save(update_fields=["messages"])


class Migration(migrations.Migration):
    dependencies = [("conversations", "0007_sides_of_programs")]
    operations = [
        migrations.AddField("message", "is_imported", models.BooleanField(default=False)),
        migrations.RunPython(_render, migrations.RunPython.noop),
    ]
