"""Checks of providers: what they find, what they leave alone, and that they end."""

import threading

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.workers.breaker import Fault
from apps.workers.models import Worker
from apps.workers.providers import calls
from apps.workers.services import checks, providers
from apps.workers.services.assignments import fault_record
from apps.workers.tasks import providers_check_task
from tests.workers.providers.support import KEY, error
from tests.workers.stand_in import Reply, StandIn, whole


def test_a_check_finds_what_is_broken_before_somebody_asks(server: StandIn, provider: Worker) -> None:
    server.replies.append(whole({"data": []}))
    assert checks.providers_check() == 1
    provider.refresh_from_db()
    assert provider.checked_at is not None
    assert (server.asked[0].path, server.asked[0].headers["authorization"]) == ("/v1/models", f"Bearer {KEY}")

    server.replies.append(error(401, f"Incorrect API key provided: {KEY}"))
    assert checks.providers_check() == 0
    provider.refresh_from_db()
    assert "does not accept the site's key" in provider.check_problem
    server.replies.append(error(500, "broken"))
    assert checks.provider_check(provider) == "broken"


@pytest.mark.parametrize("reply", [error(401, "no"), error(500, "broken"), Reply([b"{}"]), Reply([], breaks_off=True)])
def test_what_a_check_finds_stands_beside_what_requests_met_last(
    server: StandIn, provider: Worker, reply: Reply
) -> None:
    fault_record(provider.pk, Fault.INTERNAL, "it ran out of paper")
    server.replies.extend([reply, whole({"data": []})])
    found = checks.provider_check(provider)
    provider.refresh_from_db()
    assert found
    assert (provider.last_error, provider.check_problem) == ("it ran out of paper", found)
    assert checks.provider_check(provider) == ""
    provider.refresh_from_db()
    assert (provider.last_error, provider.check_problem) == ("it ran out of paper", "")


NO_LISTS = [
    error(401, "Missing scopes: api.model.read"),
    error(403, "Missing scopes: api.model.read"),
    error(404, "no such page"),
    error(405, "no"),
    error(400, "no"),
    error(429, "slow down", Retry_After="300"),
    Reply([], 302, {"Location": "http://127.0.0.1:9/"}),
    Reply([b"<html>It works!</html>"]),
    whole({"object": "list"}),
    whole({"data": "none"}),
    whole("models"),
]


@pytest.mark.parametrize("reply", NO_LISTS, ids=lambda reply: str(reply.status))
def test_a_provider_that_does_not_tell_its_models_is_not_well_and_goes_on_serving(
    server: StandIn, provider: Worker, reply: Reply
) -> None:
    """Restricted keys of OpenAI's may complete and not list, which it refuses with 401 or 403."""
    server.replies.append(reply)
    assert checks.provider_check(provider) != ""
    provider.refresh_from_db()
    assert (provider.checked_at, provider.recent_faults) == (None, {})
    assert provider.state(timezone.now()) == "serving"


@pytest.mark.parametrize("told", [{"data": []}, [{"id": "theirs"}], {"models": [], "data": []}], ids=str)
def test_a_list_of_models_has_one_of_the_forms_that_servers_send(
    server: StandIn, provider: Worker, told: object
) -> None:
    server.replies.append(whole(told))
    assert checks.provider_check(provider) == ""


def test_a_check_ends_though_the_list_does_not(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LIST_WITHIN_S", 0.3)
    monkeypatch.setattr(calls, "MAX_LIST_BYTES", 1000)
    server.replies.append(Reply([b'{"data": [', threading.Event()]))
    assert checks.provider_check(provider) == "no whole list of models within 0.3 s"
    server.replies.append(Reply([b"[" * 600, b"[" * 600]))
    assert checks.provider_check(provider) == "the provider's answer has more than 1000 bytes"


def test_a_provider_that_cannot_be_checked_keeps_no_other_from_it(
    server: StandIn, provider: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    providers.provider_create(label="odd", kind="vllm", base_url="http://xn--a/v1")
    server.replies.append(whole({"data": []}))
    assert checks.providers_check() == 1
    assert "odd could not be checked" in caplog.text
    provider.refresh_from_db()
    assert provider.checked_at is not None


def test_a_provider_whose_kind_has_no_list_is_not_asked_for_one_and_that_is_no_failure(
    transactional_db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1"
    worker = providers.provider_create(label="b", kind="bedrock", base_url=address, key=KEY)
    call_command("providers", "check", "b")
    assert "b tells no list of models: only a request shows whether it serves" in capsys.readouterr().out
    assert checks.providers_check() == 0
    worker.refresh_from_db()
    assert (worker.check_problem, worker.last_error, worker.cooling_until) == ("", "", None)


def test_a_check_sets_right_what_a_process_that_died_left(server: StandIn, provider: Worker) -> None:
    Worker.objects.filter(pk=provider.pk).update(assigned_since_report=7)
    server.replies.append(whole({"data": []}))
    assert providers_check_task() == 1
    provider.refresh_from_db()
    assert provider.queue == 0
