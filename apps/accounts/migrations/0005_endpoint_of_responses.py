import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_endpoints_of_files_and_batches'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='endpoints',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('/v1/chat/completions', 'Chat'), ('/v1/completions', 'Text completions'), ('/v1/embeddings', 'Embeddings'), ('/v1/tokenize', 'Counting tokens'), ('/v1/responses', 'Responses'), ('/v1/files', 'Files'), ('/v1/batches', 'Batches')], max_length=40), blank=True, default=list, help_text='None: all.', size=None),
        ),
    ]
