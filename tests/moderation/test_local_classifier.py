"""The classifier that this project brings, as a process beside the site: what an operator starts, and what it does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client

from apps.accounts.services import NewKey
from apps.moderation import selectors
from apps.moderation.models import Classifier, Incident, Policy
from tests.fake_worker import FakeWorker
from tests.gpu_worker.tiny_classifiers import make_tiny_classifier
from tests.live import ROOT
from tests.moderation.conftest import MODEL, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@contextmanager
def classify(*options: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gpu_worker", "classify", "--device", "cpu", "--port", "0", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_the_site_asks_it_about_every_text(tmp_path: Path, client: Client, key: NewKey, worker: FakeWorker) -> None:
    folder = make_tiny_classifier(tmp_path / "judge")
    options = ["--model", str(folder), "--harmless", "neutral", "--threshold", "0.000001"]
    with classify(*options, FASTCHAT_CLASSIFIER_TOKEN="secret") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("listening on ")
        row = Classifier(name="Ours", base_url=address, model_name="judge", timeout_s=30)
        row.key = "secret"
        row.save()
        for category, action in (("self-harm", "flag"), ("hate", "refuse")):
            Policy.objects.create(surface="api", category=category, action=action)
        selectors.forget()
        said = [{"role": "user", "content": "Hi"}] * 70  # more than one request may have
        reply = post(client, key, "/v1/chat/completions", model=MODEL, messages=said)
        assert "Ours (hate)" in reply.json()["error"]["message"]
        assert Incident.objects.get().categories == ["hate", "self-harm"]
        headers = {"Authorization": f"Bearer {key.secret}"}
        told = client.post("/v1/moderations", {"input": "Hi"}, content_type="application/json", headers=headers).json()
        assert told["results"][0]["categories"] == {"hate": True, "self-harm": True}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "/nowhere"], "there is no folder"),
        (["--model", "/nowhere", "--host", "::"], "set FASTCHAT_CLASSIFIER_TOKEN"),
        (["--model", "/nowhere", "--threshold", "2"], "between 0 and 1"),
    ],
)
def test_what_cannot_be_started_says_why(options: list[str], words: str) -> None:
    with classify(*options) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (1, 2)
    assert words in errors
