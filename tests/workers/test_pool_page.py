"""The admin's page of the pool: what it shows, what its buttons do, who may, and what it costs."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.workers.breaker import Fault
from apps.workers.call import Call
from apps.workers.models import PoolRequest, Worker
from apps.workers.pool_state import REMEMBERED, pool_now
from apps.workers.services import admission, assignments, enrolment, providers
from tests.workers.leases import SECRET, lease_body, loaded, loading, put_lease

pytestmark = pytest.mark.django_db

PAGE = "/admin/workers/worker/pool/"
CALL = Call(Actor(user_id=1), "tiny", {"messages": [{"role": "user", "content": "Hi"}]})


@pytest.fixture
def root(client: Client) -> User:
    root = User.objects.create_superuser("root", "root@example.org", "open sesame")
    client.force_login(root)
    return root


@pytest.fixture
def worker(client: Client) -> Worker:
    put_lease(client, uuid.UUID(int=1), lease_body(loaded("tiny"), loading("big", 0.4)))
    Worker.objects.update(slots=1)
    return Worker.objects.get()


def enter() -> int:
    return admission.request_enter(CALL, trace_id="t", generation_id=None).request_id


def part(client: Client) -> str:
    reply = client.get(PAGE, {"part": ""})
    assert reply.status_code == 200
    return " ".join(reply.content.decode().split())


def test_the_page_shows_what_runs_what_waits_and_how_each_worker_does(
    client: Client, root: User, worker: Worker
) -> None:
    enter()
    enter()
    text = part(client)
    assert "<strong>1</strong> of 1 workers serving · <strong>1</strong> running · <strong>1</strong> waiting" in text
    for words in ("http://127.0.0.1:9", "serving", "cpu", "version 0.1.0", "loaded", "40 % loaded", "1 of 2 places"):
        assert words in text
    assert "breaker</dt><dd>closed" in text
    assert "worker-secret" not in text


def test_faults_the_breaker_and_the_last_error_are_shown_escaped(client: Client, root: User, worker: Worker) -> None:
    assignments.fault_record(worker.pk, Fault.UNREACHABLE, "<script>alert(1)</script>")
    text = part(client)
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>" not in text
    assert "cooling" in text
    assert "open for 10 s, 1 unreachable" in text


def test_times_are_those_of_the_last_answers(client: Client, worker: Worker) -> None:
    now = timezone.now()
    for age in (timedelta(0), timedelta(hours=1)):
        PoolRequest.objects.create(
            trace_id="t",
            model=worker.hosted.get(model__name="tiny").model,
            party="u",
            path="p",
            worker=worker,
            state="ended",
            outcome="answered",
            renewed_at=now,
            created_at=now - age,
            admitted_at=now,
            first_event_at=now + timedelta(seconds=1),
            ended_at=now + timedelta(seconds=4),
        )
    [shown] = pool_now(now).workers
    assert (shown.recently.n_answers, shown.recently.first_text_s, shown.recently.answer_s) == (1, 1.0, 4.0)


def test_the_buttons_act_at_once_and_are_written_down(client: Client, root: User, worker: Worker) -> None:
    for verb, state in [("drain", "drained"), ("undrain", "serving"), ("remove", "removed"), ("restore", "serving")]:
        url = f"{PAGE}{worker.pk}/{verb}/"
        assert url in part(client)
        text = client.post(url, follow=True).content.decode()
        assert f"pool__state--{state}" in text
    assert LogEntry.objects.count() == 4
    assert client.get(f"{PAGE}{worker.pk}/drain/").status_code == 405
    assert client.post(f"{PAGE}{worker.pk}/explode/").status_code == 404
    assert client.post(f"{PAGE}99/drain/").status_code == 404


def test_only_admins_see_it_and_only_those_who_may_change_workers_act(
    client: Client, charlie: User, worker: Worker
) -> None:
    url = f"{PAGE}{worker.pk}/drain/"
    client.force_login(charlie)
    assert [client.get(PAGE).status_code, client.post(url).status_code] == [302, 302]
    charlie.is_staff = True
    charlie.save()
    assert [client.get(PAGE).status_code, client.post(url).status_code] == [403, 403]
    charlie.user_permissions.add(Permission.objects.get(codename="view_worker"))
    assert client.get(PAGE).status_code == 200
    assert url not in part(client)
    assert client.post(url).status_code == 403
    assert not Worker.objects.get().is_drained


def test_a_button_wants_the_token_of_the_page(worker: Worker, root: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(root)
    assert strict.post(f"{PAGE}{worker.pk}/drain/").status_code == 403


def test_it_costs_the_same_number_of_queries_for_any_number_of_workers(
    client: Client, root: User, worker: Worker, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(6):
        assert len(pool_now(timezone.now()).workers) == 1
    for number in range(2, 12):
        put_lease(client, uuid.UUID(int=number), lease_body(loaded("tiny"), loaded(f"m{number}")))
    with django_assert_num_queries(6):
        assert len(pool_now(timezone.now()).workers) == 11


def test_a_worker_that_was_not_heard_of_for_long_is_only_counted(client: Client, root: User, worker: Worker) -> None:
    Worker.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=5))
    assert "gone" in part(client)
    Worker.objects.update(lease_expires_at=timezone.now() - REMEMBERED)
    text = part(client)
    assert "http://127.0.0.1:9" not in text
    assert "1 more, not heard of for a day" in text


def test_a_worker_that_was_let_in_and_did_not_come_is_only_counted(client: Client, root: User) -> None:
    enrolment.worker_register(worker_id=uuid.UUID(int=9), secret=SECRET, allowed="")
    text = part(client)
    assert "1 more was let in and did not come yet" in text
    assert "of 0 workers serving" in text


def test_workers_that_are_here_come_first(client: Client, worker: Worker) -> None:
    for number in (2, 3):
        put_lease(client, uuid.UUID(int=number), lease_body(loaded("tiny")))
    Worker.objects.filter(pk=worker.pk).update(removed_at=timezone.now())
    Worker.objects.filter(public_id=uuid.UUID(int=2)).update(lease_expires_at=timezone.now())
    assert [shown.state for shown in pool_now(timezone.now()).workers] == ["serving", "gone", "removed"]


def test_a_provider_is_shown_by_its_name_with_its_limits(client: Client, root: User) -> None:
    acme = providers.provider_create(label="Acme", kind="openai", base_url="https://10.0.0.5:8000/v1", key="sk-secret")
    providers.model_map(acme, name="their-model", upstream_name="m")
    Worker.objects.update(max_running=3, rests_until=timezone.now() + timedelta(seconds=30))
    text = part(client)
    for words in (
        "Acme",
        "their-model",
        "resting",
        "0 of 3 places",
        "rests for 30 s",
        "provider, https://10.0.0.5:8000/v1",
    ):
        assert words in text
    assert f"/admin/workers/provider/{acme.pk}/change/" in text
    assert "sk-secret" not in text


def test_the_sidebar_leads_to_it_for_those_who_may_look(client: Client, root: User, charlie: User) -> None:
    assert PAGE in client.get("/admin/").content.decode()
    charlie.is_staff = True
    charlie.save()
    charlie.user_permissions.add(Permission.objects.get(codename="view_languagemodel"))
    client.force_login(charlie)
    text = client.get("/admin/").content.decode()
    assert "/admin/catalog/languagemodel/" in text
    assert PAGE not in text
