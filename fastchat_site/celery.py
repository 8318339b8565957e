"""The Celery application. Tasks live in each app's `tasks.py` and keep their state in Postgres."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fastchat_site.settings.dev")

app = Celery("fastchat_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
