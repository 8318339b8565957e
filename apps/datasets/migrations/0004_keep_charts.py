from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0003_share_cleaning'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetversion',
            name='charts',
            field=models.JSONField(default=dict),
        ),
    ]
