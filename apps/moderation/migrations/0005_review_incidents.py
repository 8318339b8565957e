import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0004_find_personal_data"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="incident",
            options={
                "ordering": ["-pk"],
                "permissions": [
                    ("review_incident", "Can decide about incidents, and open what is kept of their texts")
                ],
            },
        ),
        migrations.AddField(
            model_name="incident",
            name="review",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("approved", "Approved"),
                    ("redacted", "Text taken out"),
                    ("blocked", "Author blocked"),
                ],
                default="open",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="reviewed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="reviewed_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("review", "open")), fields=["-id"], name="incident_open"
            ),
        ),
    ]
