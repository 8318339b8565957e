import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import CharField, F, Value
from django.db.models.functions import Cast, Concat


def say_whose(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    openings = apps.get_model("moderation", "Opening").objects
    for kind, column in (("account", "owner_id"), ("visitor", "visitor_public_id")):
        number = Cast(F(column), CharField())
        openings.filter(**{f"{column}__isnull": False}).update(whose=Concat(Value(f"{kind} "), number))


class Migration(migrations.Migration):

    dependencies = [
        ("moderation", "0006_keep_openings"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="opening",
            name="whose",
            field=models.CharField(default="", max_length=60),
            preserve_default=False,
        ),
        migrations.RunPython(say_whose, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="opening",
            name="owner",
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL),
        ),
    ]
