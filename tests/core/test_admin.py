"""Every admin page opens for a superuser, for nobody else, and shows no secret."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts import ledger, settlement
from apps.accounts.actors import Actor
from apps.accounts.ledger import CallOpening
from apps.accounts.models import CallState, LedgerEntry, Limit, Metric, User, Visitor
from apps.accounts.quota import Usage
from apps.accounts.services import api_key_create
from apps.appeals.models import Appeal
from apps.arena.models import Arena, Battle, Contestant, Integrity, Position, Side, Verdict, Vote
from apps.conversations.models import Conversation, Feedback, Generation, GenerationState, Message, Role, Share
from apps.core.middleware import request_id_var
from apps.datasets.formats.writing import Written
from apps.datasets.models import Dataset, DatasetRow, DatasetVersion, Origin
from apps.datasets.release_models import DatasetRelease, Takedown
from apps.datasets.report import StepReport
from apps.datasets.services.versions import Draft, SetDraft, version_store
from apps.gateway.models import WebBackend
from apps.holds.models import HeldKind, LegalHold
from apps.leaderboard.models import ImportedFile, Refresh, Snapshot
from apps.moderation.models import Ban, Classifier, Incident, Opening, Policy, Rule
from apps.openai_api.models import ApiFile, Batch, StoredResponse
from apps.openai_api.services.batches import batch_create
from apps.openai_api.services.files import file_upload
from apps.privacy.models import ErasureRequest, ForgottenCount, Kept, RetentionPeriod
from apps.training.models import TrainingRun
from apps.workers.models import EnrolmentToken, HostedModel, PoolRequest, Provider, Worker
from apps.workers.services import providers
from apps.workers.services.enrolment import token_create
from tests.accounts.support import limit
from tests.workers.leases import lease_body, loaded, put_lease

pytestmark = pytest.mark.django_db

OURS = [model for model in admin.site._registry if model.__module__.startswith(("apps.", "django.contrib.auth"))]


@pytest.fixture
def rows(client: Client, alice: User) -> dict[type, object]:
    """One row of each kind."""
    put_lease(client, uuid.UUID(int=1), lease_body(loaded("tiny")))
    hosted = HostedModel.objects.get()
    conversation = Conversation.objects.create(user=alice, title="Hello", updated_at=timezone.now())
    asked = Message.objects.create(conversation=conversation, role=Role.USER, content="a private question")
    answer = Message.objects.create(
        conversation=conversation, role=Role.ASSISTANT, content="a private answer", parent=asked, model=hosted.model
    )
    generation = Generation.objects.create(
        conversation=conversation,
        message=answer,
        state=GenerationState.COMPLETE,
        worker=hosted.worker,
        tokens_per_s=12.345,
    )
    classifier = Classifier(name="judge", base_url="http://127.0.0.1:9/v1")
    classifier.key = "a-classifier-is-let-in-by-worker-secret"
    classifier.save()
    provider = providers.provider_create(label="lab", kind="openai", key="a-provider-is-let-in-by-worker-secret")
    key = api_key_create(name="laptop", user=alice).key
    entry = LedgerEntry.objects.create(
        user=alice,
        api_key=key,
        model_name="tiny",
        endpoint="/v1/chat/completions",
        request_id="r",
        started_at=timezone.now(),
        ended_at=timezone.now(),
        requests=1,
        prompt_tokens=1,
        cached_tokens=0,
        completion_tokens=1,
        cost=0,
        state=CallState.COMPLETE,
        is_estimated=False,
    )
    actor = Actor(user_id=alice.pk, api_key_id=key.pk)
    file = file_upload(actor=actor, name="in.jsonl", purpose="batch", pieces=[b"a private request"])
    batch = batch_create(actor=actor, endpoint="/v1/completions", input_file=file, metadata={"of": "private"})
    return {type(row): row for row in (hosted.worker, hosted.model, conversation, generation, key, entry)} | {
        ApiFile: file,
        Batch: batch,
        StoredResponse: StoredResponse.objects.create(
            user=alice,
            api_key=key,
            model_name="tiny",
            repeated={"instructions": "private"},
            items=[{"content": "private"}],
            output=[{"content": "private"}],
            error={"code": "server_error", "message": "private"},
            state="failed",
            expires_at=timezone.now(),
        ),
        Feedback: Feedback.objects.create(message=answer, is_good=False, comment="a private comment"),
        Share: Share.objects.create(
            conversation=conversation, token="t", title="private", messages=[{"content": "private"}]
        ),
        **_battle(alice),
        **_of_privacy(alice),
        **_of_datasets(),
        WebBackend: WebBackend.objects.create(name="web-1", host="10.0.0.1", port=8000),
        Limit: limit(1000, Metric.TOKENS, user=alice),
        User: alice,
        Visitor: Visitor.objects.create(),
        Group: Group.objects.create(name="team"),
        EnrolmentToken: token_create(label="gpu7").token,
        Provider: Provider.objects.get(pk=provider.pk),
        Rule: Rule.objects.create(name="words", category="rude", kind="words", pattern="bother"),
        Classifier: classifier,
        Policy: Policy.objects.create(surface="chat", action="flag"),
        Incident: Incident.objects.create(surface="chat", action="flag", categories=["rude"], found_by=["words"]),
        Opening: Opening.objects.create(owner=alice, reader_name="mod", what="Conversation 12", why="a rule found it"),
        PoolRequest: PoolRequest.objects.create(trace_id="r", model=hosted.model, party="u", renewed_at=timezone.now()),
    }


def _battle(alice: User) -> dict[type, object]:
    arena = Arena.objects.get()
    battle = Battle.objects.create(arena=arena, user=alice, n_turns=1)
    for position in Position:
        Side.objects.create(battle=battle, position=position, contestant=arena.contestants.get())
    vote = Vote.objects.create(battle=battle, verdict=Verdict.TIE, n_turns=1)
    board = Snapshot.objects.create(arena=arena, config={}, votes=b"", n_votes=1, board={}, pairs={}, contestants={})
    return {
        Arena: arena,
        Contestant: arena.contestants.get(),
        Battle: battle,
        Vote: vote,
        Snapshot: board,
        ImportedFile: ImportedFile.objects.create(
            arena=arena, name="clean_battle.json", sha256="", n_rows=2, n_battles=1, dropped={"bad_json": 1}
        ),
        Refresh: Refresh.objects.create(
            arena=arena, refusal_code="leaderboard.too_few", refusal="There are two votes."
        ),
    }


def _of_datasets() -> dict[type, object]:
    lines = [b'{"id": "a", "messages": [{"role": "user", "content": "private"}], "source": {}}']
    told = {**Written().as_dict(), "steps": [StepReport("merge").as_dict()]}
    version, _ = version_store(Draft("tea", Origin.MERGE, {}, []), {"all": SetDraft(lines, told)})
    return {
        Dataset: version.dataset,
        DatasetVersion: version,
        DatasetRow: DatasetRow.objects.get(version=version),
        DatasetRelease: DatasetRelease.objects.create(version=version, sets=["all"]),
        Takedown: Takedown.objects.create(dataset=version.dataset, record_id="a", reason="asked", why="A letter."),
    }


def _of_privacy(alice: User) -> dict[type, object]:
    ban = Ban.objects.create(user=alice, reason="Insults.", by_name="mod")
    kind, subject = HeldKind.VISITOR, uuid.uuid4()
    return {
        Ban: ban,
        Appeal: Appeal.objects.create(ban=ban, text="a private plea"),
        LegalHold: LegalHold.objects.create(kind=kind, subject=subject, covers=[subject], reason="Case 12"),
        ErasureRequest: ErasureRequest.objects.create(visitor_public_id=uuid.uuid4()),
        RetentionPeriod: RetentionPeriod.objects.create(kind=Kept.VISITOR_CHATS, days=30),
        ForgottenCount: ForgottenCount.objects.create(day=timezone.now().date(), kind=Kept.LINKS, n_rows=3),
    }


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", "root@example.org", "open sesame")


def pages(model: type, row: object | None) -> list[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"  # type: ignore[attr-defined]
    return [reverse(f"{name}_changelist")] + ([reverse(f"{name}_change", args=[row.pk])] if row else [])  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.__name__)
def test_the_pages_of_every_model_open_for_a_superuser_alone(
    client: Client, root: User, charlie: User, rows: dict[type, object], model: type
) -> None:
    assert model in rows or model is TrainingRun, "a row for the new model is missing here"
    for url in pages(model, rows.get(model)):
        client.force_login(charlie)
        assert client.get(url).status_code == 302
        client.force_login(root)
        reply = client.get(url)
        assert reply.status_code == 200
        assert "worker-secret" not in reply.content.decode()


def test_lists_of_conversations_and_generations_show_no_text(
    client: Client, root: User, rows: dict[type, object]
) -> None:
    client.force_login(root)
    for model in (Conversation, Generation, DatasetRow):
        text = client.get(pages(model, None)[0]).content.decode()
        assert "private" not in text
    generations = client.get(pages(Generation, None)[0]).content.decode()
    assert "tiny" in generations
    assert "12.3" in generations


@pytest.mark.parametrize(("action", "state"), [("drain", "drained"), ("remove", "removed")])
def test_a_worker_is_drained_and_removed_from_its_list(
    client: Client, root: User, rows: dict[type, object], action: str, state: str
) -> None:
    client.force_login(root)
    worker = Worker.objects.get(kind="")
    reply = client.post(pages(Worker, None)[0], {"action": action, "_selected_action": [worker.pk]}, follow=True)
    assert state in reply.content.decode()
    worker.refresh_from_db()
    assert (worker.is_drained, worker.removed_at is not None) == (action == "drain", action == "remove")


def test_an_admin_makes_a_limit_and_later_changes_its_amount_alone(client: Client, root: User, alice: User) -> None:
    client.force_login(root)
    add = reverse("admin:accounts_limit_add")
    made = {"audience": "user", "user": alice.pk, "metric": "tokens", "period": "day", "amount": "1000"}

    assert "Choose the group" in client.post(add, made | {"user": ""}).content.decode()
    assert client.post(add, made).status_code == 302
    row = Limit.objects.get()
    change = reverse("admin:accounts_limit_change", args=[row.pk])
    assert client.post(change, {"amount": "5", "metric": "requests", "period": "month"}).status_code == 302
    row.refresh_from_db()
    assert (str(row), row.user) == ("5 tokens a day", alice)
    assert "5 tokens a day for the user alice" in client.get(pages(Limit, None)[0]).content.decode()


def test_nobody_changes_the_ledger_in_the_admin(client: Client, root: User, rows: dict[type, object]) -> None:
    client.force_login(root)
    entry = LedgerEntry.objects.get()
    change, delete = (reverse(f"admin:accounts_ledgerentry_{verb}", args=[entry.pk]) for verb in ("change", "delete"))

    assert client.post(change, {"cost": "0"}).status_code == 403
    assert client.post(delete, {"post": "yes"}).status_code == 403
    assert client.get(reverse("admin:accounts_ledgerentry_add")).status_code == 403


def test_the_ledgers_list_counts_no_more_rows_than_it_shows(
    client: Client, root: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.accounts.admin.usage.COUNTED_ROWS", 3)
    for number in range(5):
        request_id_var.set(f"request-{number}")
        settlement.call_settle(
            ledger.call_reserve(CallOpening(Actor(user_id=alice.pk), "tiny", "/v1/chat/completions"), [], None).pk,
            Usage(1, 1),
            CallState.COMPLETE,
        )
    client.force_login(root)

    assert client.get(pages(LedgerEntry, None)[0]).context["cl"].result_count == 3
    found = client.get(pages(LedgerEntry, None)[0], {"q": "request-2"}).context["cl"]
    assert [entry.request_id for entry in found.result_list] == ["request-2"]
    assert client.get(pages(LedgerEntry, None)[0], {"q": "request-"}).context["cl"].result_count == 0


@pytest.mark.parametrize("model", [LedgerEntry, PoolRequest, Generation])
def test_the_filters_of_lists_that_only_grow_look_through_no_rows(
    client: Client, root: User, rows: dict[type, object], model: type, django_assert_max_num_queries: Any
) -> None:
    client.force_login(root)
    with django_assert_max_num_queries(50) as queries:
        client.get(pages(model, None)[0])
    assert [query["sql"] for query in queries if "DISTINCT" in query["sql"]] == []


@pytest.mark.parametrize(
    ("model", "found", "missed"),
    [
        (LedgerEntry, {"model_name": "tiny", "endpoint": "/v1/chat/completions"}, {"model_name": "tin"}),
        (LedgerEntry, {"endpoint": "/v1/chat/completions"}, {"endpoint": "/v1/embeddings"}),
        (PoolRequest, {"outcome": "\0"}, {"outcome": "workers.died"}),
        (Generation, {"error_code": " "}, {"error_code": "workers.died"}),
    ],
)
def test_a_filter_takes_a_whole_value(
    client: Client, root: User, rows: dict[type, object], model: type, found: dict[str, str], missed: dict[str, str]
) -> None:
    client.force_login(root)
    page = pages(model, None)[0]
    assert [client.get(page, wanted).context["cl"].result_count for wanted in (found, missed)] == [1, 0]


def test_a_month_of_the_ledger_is_chosen(client: Client, root: User, rows: dict[type, object]) -> None:
    client.force_login(root)
    began = LedgerEntry.objects.get().started_at
    before = began.replace(day=1) - timedelta(days=1)
    page = pages(LedgerEntry, None)[0]
    months = [f"{began:%Y-%m}", f"{before:%Y-%m}", "nonsense"]
    assert [client.get(page, {"month": month}).context["cl"].result_count for month in months] == [1, 0, 1]


def test_an_admin_decides_whether_a_vote_counts_and_says_why(
    client: Client, root: User, rows: dict[type, object]
) -> None:
    client.force_login(root)
    vote = Vote.objects.get()
    change = reverse("admin:arena_vote_change", args=[vote.pk])

    refused = client.post(change, {"overruled": "not_counted", "overruled_why": " "})
    assert "Say why" in refused.content.decode()
    assert (
        client.post(change, {"overruled": "not_counted", "overruled_why": "a test", "verdict": "a"}).status_code == 302
    )
    vote.refresh_from_db()
    assert (vote.overruled, vote.overruled_by, vote.verdict) == (Integrity.NOT_COUNTED, root, Verdict.TIE)
    assert not vote.counts


@pytest.mark.parametrize("model", [Arena, Contestant, Battle, Vote])
def test_nothing_of_the_arena_is_deleted_in_the_admin(
    client: Client, root: User, rows: dict[type, object], model: type
) -> None:
    client.force_login(root)
    delete = reverse(f"admin:arena_{model.__name__.lower()}_delete", args=[rows[model].pk])  # type: ignore[attr-defined]
    assert client.post(delete, {"post": "yes"}).status_code == 403


def test_a_contestant_that_has_fought_keeps_its_model_and_instructions(
    client: Client, root: User, rows: dict[type, object]
) -> None:
    client.force_login(root)
    contestant = Contestant.objects.get()
    change = reverse("admin:arena_contestant_change", args=[contestant.pk])
    form = {"name": "tiny", "weight": "2", "boost": "1", "is_available": "on", "system_prompt": "Say you are better."}
    assert client.post(change, form).status_code == 302
    contestant.refresh_from_db()
    assert (contestant.weight, contestant.system_prompt) == (2.0, "")
    assert "would meet nobody" in client.post(change, form | {"has_strict_targets": "on"}).content.decode()


def test_a_contestant_is_retired_from_its_list(client: Client, root: User, rows: dict[type, object]) -> None:
    client.force_login(root)
    contestant = Contestant.objects.get()
    action = {"action": "retire", "_selected_action": [contestant.pk]}
    assert "1 contestant(s) retired" in client.post(pages(Contestant, None)[0], action, follow=True).content.decode()
    contestant.refresh_from_db()
    assert contestant.retired_at is not None
