"""A site with one worker that writes and makes vectors, and the official SDK against it."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import openai
import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import NewKey, api_key_create
from apps.catalog.models import LanguageModel
from apps.workers.models import HostedModel, HostedState, Worker
from tests.gpu_worker.live_worker import TOKEN, LiveWorker, live_worker
from tests.gpu_worker.tiny_embedders import make_tiny_embedder
from tests.gpu_worker.tiny_models import TOOLS_CHAT_TEMPLATE, Shape, make_tiny_model
from tests.live import LiveSite, running_site

FILE_MAX_BYTES = 10 * 1024 * 1024


@pytest.fixture(scope="package")
def api_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """The models `tiny` (twice in the arena) and `vectors`, a rule without consequences. Shared: leave it as it is."""
    folder = tmp_path_factory.mktemp("api")
    model = make_tiny_model(folder / "tiny", shape=Shape(context=2048), chat_template=TOOLS_CHAT_TEMPLATE)
    embedder = make_tiny_embedder(folder / "vectors")
    with running_site(folder, env={"API_FILE_MAX_BYTES": str(FILE_MAX_BYTES)}) as site:
        site.start_jobs()
        site.start_worker(model, "tiny", "--model", f"{embedder}=vectors")
        site.wait_for_model("vectors")
        site.query(
            "INSERT INTO moderation_rule (name, category, kind, pattern, is_active)"
            " VALUES ('House words', 'rude', 'words', 'bother', true) RETURNING id"
        )
        # Else token ids would be refused.
        site.query(
            "INSERT INTO moderation_policy (surface, direction, category, action)"
            " VALUES ('api', 'in', '', 'allow') RETURNING id"
        )
        # A second contestant, so that there are battles; these models do not stop by themselves.
        site.query(
            "INSERT INTO arena_contestant (public_id, arena_id, model_id, name, system_prompt, weight, boost,"
            " is_available, is_anonymous_only, has_strict_targets, is_automatic, awaits_model, created_at)"
            " SELECT gen_random_uuid(), arena_id, model_id, 'tiny again', '', 1, 1,"
            " true, false, false, false, false, now()"
            " FROM arena_contestant WHERE name = 'tiny' RETURNING id"
        )
        site.query("UPDATE arena_contestant SET max_tokens = 24 RETURNING id")
        yield site


@pytest.fixture(scope="package")
def api_key(api_site: LiveSite) -> str:
    return api_site.api_key()


@pytest.fixture
def sdk(api_site: LiveSite, api_key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api_site.url}/v1", api_key=api_key, max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture(scope="package")
def tiny_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    with live_worker({"tiny": make_tiny_model(tmp_path_factory.mktemp("batch") / "tiny")}) as worker:
        yield worker


@pytest.fixture
def enrolled(tiny_worker: LiveWorker, db: None) -> Worker:
    worker = Worker(
        public_id=uuid.uuid4(),
        base_url=tiny_worker.url,
        device="cpu",
        lease_expires_at=timezone.now() + timedelta(hours=1),
    )
    worker.access_token = TOKEN
    worker.save()
    model = LanguageModel.objects.create(name="tiny", context_length=1024)
    HostedModel.objects.create(worker=worker, model=model, state=HostedState.LOADED)
    return worker


@pytest.fixture
def key(alice: User) -> NewKey:
    return api_key_create(name="alices", user=alice)
