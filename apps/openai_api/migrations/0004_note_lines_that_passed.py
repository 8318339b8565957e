from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openai_api", "0003_keep_responses"),
    ]

    operations = [
        migrations.AddField(
            model_name="batchline",
            name="is_passed",
            field=models.BooleanField(default=False),
        ),
    ]
