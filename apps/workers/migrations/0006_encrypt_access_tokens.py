from django.db import migrations, models

from apps.core.sealing import seal, unseal


def encrypt(apps, schema_editor):
    worker_model = apps.get_model("workers", "Worker")
    for worker in worker_model.objects.exclude(access_token="").iterator():
        worker.sealed_token = seal(worker.access_token, use=worker.base_url)
        worker.save(update_fields=["sealed_token"])


def decrypt(apps, schema_editor):
    worker_model = apps.get_model("workers", "Worker")
    for worker in worker_model.objects.exclude(sealed_token="").iterator():
        worker.access_token = unseal(worker.sealed_token, use=worker.base_url)
        worker.save(update_fields=["access_token"])


class Migration(migrations.Migration):

    dependencies = [
        ("workers", "0005_find_answers_of_a_model"),
    ]

    operations = [
        migrations.AddField(
            model_name="worker",
            name="sealed_token",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.RunPython(encrypt, decrypt),
        migrations.RemoveField(model_name="worker", name="access_token"),
    ]
