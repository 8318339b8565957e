from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0003_moderate_the_arena"),
    ]

    operations = [
        migrations.AlterField(
            model_name="rule",
            name="kind",
            field=models.CharField(
                choices=[
                    ("words", "Words"),
                    ("regex", "Regular expression"),
                    ("personal", "Personal data"),
                    ("length", "Longest text"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="rule",
            name="pattern",
            field=models.TextField(
                help_text="Words: one on each line, found as whole words in any case. Regular expression: of Python's 'regex'; (?i) at its beginning ignores the case. Personal data: which of email, phone, card, iban and ip, one on each line. Longest text: a number of characters."
            ),
        ),
    ]
