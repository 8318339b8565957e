"""The admin shows runs and changes none."""

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from apps.training import services
from apps.training.models import TrainingRun
from gpu_worker.training.messages import StepDone
from tests.training.tiny import parsed

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    run = services.training_run_open(parsed(tmp_path), resume=False, overwrite=False)
    services.training_steps_record(run, [StepDone(n, 5.0 - n / 100, 0.001, 1000.0 + n) for n in range(1, 31)])
    return run


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root", "root@example.org", "x"))
    return client


def test_the_list_and_the_page_show_progress_and_the_last_steps_only(admin: Client, run: TrainingRun) -> None:
    listed = admin.get("/admin/training/trainingrun/").content.decode()
    assert "30/40" in listed

    page = admin.get(f"/admin/training/trainingrun/{run.pk}/change/").content.decode()
    assert run.config_hash in page
    assert "1030.0" in page
    assert "1011.0" in page
    assert "1010.0" not in page


def test_runs_are_neither_added_nor_written_by_hand(admin: Client, run: TrainingRun) -> None:
    assert admin.get("/admin/training/trainingrun/add/").status_code == 403
    admin.post(f"/admin/training/trainingrun/{run.pk}/change/", {"name": "other"})
    assert TrainingRun.objects.get().name == "tiny"


def test_a_stranger_does_not_get_in(client: Client, run: TrainingRun) -> None:
    assert client.get(f"/admin/training/trainingrun/{run.pk}/change/").status_code == 302
