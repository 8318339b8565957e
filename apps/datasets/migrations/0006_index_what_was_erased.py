from django.db import migrations, models

# Steps that changed rows were counted at each look at a version; now when its rows are stored, which are never changed.
COUNT = """
ALTER TABLE datasets_datasetversion DISABLE TRIGGER version_stays;
UPDATE datasets_datasetversion AS version SET sets = (
    SELECT jsonb_object_agg(name, told || jsonb_build_object('changed', (
        SELECT coalesce(jsonb_object_agg(step, n), '{}') FROM (
            SELECT step, count(DISTINCT line.id) AS n FROM datasets_datasetrow AS line, unnest(line.steps) AS step
            WHERE line.version_id = version.id AND line.set_name = name GROUP BY step
        ) AS counted
    ))) FROM jsonb_each(version.sets) AS its (name, told)
) WHERE version.sets <> '{}';
ALTER TABLE datasets_datasetversion ENABLE TRIGGER version_stays;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0005_count_tokens'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='datasetrow',
            index=models.Index(condition=models.Q(('line', None)), fields=['version'], name='dataset_row_erased'),
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
