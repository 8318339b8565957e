from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('moderation', '0011_find_incidents_by_request'),
    ]

    operations = [
        migrations.AlterField(
            model_name='incident',
            name='review',
            field=models.CharField(choices=[('open', 'Open'), ('approved', 'Approved'), ('redacted', 'Taken out'), ('blocked', 'Author blocked'), ('banned', 'Author banned')], default='open', max_length=10),
        ),
    ]
