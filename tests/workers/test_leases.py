"""Workers enrol, renew, report and leave at one endpoint; only with the token."""

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.catalog.errors import ModelWrongKind
from apps.catalog.models import Kind, LanguageModel, Visibility
from apps.workers import selectors
from apps.workers.errors import ModelFailed, ModelLoading, NoWorker
from apps.workers.models import Worker
from apps.workers.services import administration, assignments
from gpu_worker.protocol import ModelKind, ModelReport, ModelState

from .leases import failed, lease_body, loaded, loading, put_lease

pytestmark = pytest.mark.django_db
WORKER = uuid.UUID(int=1)
VISITOR = Actor()


def states(actor: Actor = VISITOR) -> dict[str, str]:
    return {model.name: str(model.state) for model in selectors.models_offered(actor)}


def test_a_first_lease_enrols_the_worker_and_offers_its_model(client: Client) -> None:
    reply = put_lease(client, WORKER, lease_body(loaded("tiny")))

    assert reply.status_code == 200
    assert reply.json() == {"expires_in_s": 45, "renew_in_s": 15, "drain": False}
    assert states() == {"tiny": "ready"}
    assert LanguageModel.objects.get().context_length == 1024


def test_a_model_that_makes_vectors_is_offered_for_that_and_not_for_chats(client: Client) -> None:
    owl = ModelReport(name="owl", state=ModelState.LOADED, context_length=64, kind=ModelKind.EMBEDDING)
    assert put_lease(client, WORKER, lease_body(loaded("tiny"), owl)).status_code == 200

    assert states() == {"tiny": "ready"}
    assert [m.name for m in selectors.models_offered(VISITOR, None)] == ["owl", "tiny"]
    assert selectors.model_get_offered(VISITOR, "owl", Kind.EMBEDDING).context_length == 64
    with pytest.raises(ModelWrongKind, match="cannot write"):
        selectors.model_get_offered(VISITOR, "owl")
    with pytest.raises(ModelWrongKind, match="makes no vectors"):
        selectors.model_get_offered(VISITOR, "tiny", Kind.EMBEDDING)


def test_whether_a_model_sees_follows_its_worker_once_it_is_loaded(client: Client) -> None:
    eyes = ModelReport(name="owl", state=ModelState.LOADED, context_length=64, sees_images=True)
    put_lease(client, WORKER, lease_body(eyes))
    assert [model.sees_images for model in selectors.models_offered(VISITOR)] == [True]
    put_lease(client, WORKER, lease_body(loading("owl", 0.5)))
    assert LanguageModel.objects.get().sees_images
    put_lease(client, WORKER, lease_body(loaded("owl")))
    assert not LanguageModel.objects.get().sees_images


def test_a_models_kind_follows_its_worker(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("owl")))
    owl = ModelReport(name="owl", state=ModelState.LOADED, context_length=64, kind=ModelKind.EMBEDDING)
    put_lease(client, WORKER, lease_body(owl))
    assert LanguageModel.objects.get().kind == Kind.EMBEDDING
    assert LanguageModel.objects.get().context_length == 64


def test_a_worker_that_knows_no_kinds_of_model_is_understood(client: Client) -> None:
    body = lease_body(loaded("tiny"))
    del body["models"][0]["kind"]
    assert put_lease(client, WORKER, body).status_code == 200
    assert states() == {"tiny": "ready"}


def test_the_lease_ends_by_itself(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("tiny")))
    Worker.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    assert states() == {"tiny": "unavailable"}
    with pytest.raises(NoWorker):
        selectors.hosts_serving("tiny")


def test_a_renewal_replaces_the_report(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loading("tiny", 0.4), loaded("other")))
    assert states() == {"other": "ready", "tiny": "loading"}
    with pytest.raises(ModelLoading, match="40 %"):
        selectors.hosts_serving("tiny")

    put_lease(client, WORKER, lease_body(loaded("tiny")))
    assert states() == {"other": "unavailable", "tiny": "ready"}


def test_a_model_that_cannot_load_says_why(client: Client) -> None:
    put_lease(client, WORKER, lease_body(failed("tiny", "the folder has no safetensors")))
    with pytest.raises(ModelFailed, match="no safetensors"):
        selectors.hosts_serving("tiny")


def test_a_worker_that_leaves_gets_nothing_more(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("tiny")))
    reply = client.delete(f"/internal/workers/{WORKER}/lease", headers={"Authorization": "Bearer wrong"})
    assert reply.status_code == 401
    assert states() == {"tiny": "ready"}

    put_lease(client, WORKER, lease_body(loaded("tiny"), draining=True))
    with pytest.raises(NoWorker):
        selectors.hosts_serving("tiny")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], "JSON object"),
        ({"protocol": 1}, "missing"),
        (lease_body(protocol=2), "same release"),
        (lease_body(speed=float("1e99")), "speed"),
        (lease_body(speed=True), "speed"),
        (lease_body(surprise=1), "surprise"),
        (lease_body(models=[{"name": "x", "state": "flying"}]), "flying"),
        (lease_body(device="cpu\0"), "device: a NUL"),
        (lease_body(models=[{"name": "x\0", "state": "loaded"}]), "name: a NUL"),
        (lease_body(models=[{"name": "x", "state": "failed", "error": "\0"}]), "error: a NUL"),
        (lease_body(models=[{"name": "x", "state": "loaded", "context_length": 2**31}]), "context_length"),
        (lease_body(models=[{"name": "x", "state": "loaded", "slots": 2**31}]), "slots"),
    ],
)
def test_a_malformed_lease_is_refused_by_field(client: Client, body: object, word: str) -> None:
    reply = put_lease(client, WORKER, body)
    assert reply.status_code == 400
    assert word in reply.json()["error"]["message"]
    assert not Worker.objects.alive().exists()


def test_a_drained_worker_is_told_and_gets_nothing_new(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("tiny")))
    administration.worker_drain(Worker.objects.get(), is_drained=True)

    assert put_lease(client, WORKER, lease_body(loaded("tiny"))).json()["drain"] is True
    with pytest.raises(NoWorker):
        selectors.hosts_serving("tiny")


def test_a_removed_worker_stays_out_until_it_is_restored(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("tiny")))
    administration.worker_remove(Worker.objects.get())
    assert put_lease(client, WORKER, lease_body(loaded("tiny"))).status_code == 403
    with pytest.raises(NoWorker):
        selectors.hosts_serving("tiny")

    administration.worker_restore(Worker.objects.get())
    assert put_lease(client, WORKER, lease_body(loaded("tiny"))).status_code == 200
    assert [host.worker.queue for host in selectors.hosts_serving("tiny")] == [0]


def test_an_assignment_counts_at_once_and_until_its_end(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("tiny")))
    pk = Worker.objects.get().pk
    assignments.worker_assign("tiny")
    assignments.worker_assign("tiny")
    assert selectors.hosts_serving("tiny")[0].worker.queue == 2
    assignments.assignment_end(pk, has_answered=True)
    assert selectors.hosts_serving("tiny")[0].worker.queue == 1

    # The worker's own report holds the running request; its end is taken from there and never below zero.
    put_lease(client, WORKER, lease_body(loaded("tiny"), queue_length=1))
    assignments.assignment_end(pk, has_answered=True)
    assignments.assignment_end(pk, has_answered=True)
    assert selectors.hosts_serving("tiny")[0].worker.queue == 0


def test_a_hidden_model_is_offered_to_nobody_and_a_members_model_to_members(client: Client) -> None:
    put_lease(client, WORKER, lease_body(loaded("open"), loaded("inner"), loaded("secret")))
    LanguageModel.objects.filter(name="inner").update(visibility=Visibility.MEMBERS)
    LanguageModel.objects.filter(name="secret").update(visibility=Visibility.HIDDEN)

    assert set(states()) == {"open"}
    assert set(states(Actor(user_id=1))) == {"open", "inner"}


def test_the_picker_costs_the_same_number_of_queries_for_any_number_of_models(
    client: Client, django_assert_num_queries: object
) -> None:
    put_lease(client, WORKER, lease_body(*[loaded(f"m{i}") for i in range(30)]))
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert len(selectors.models_offered(VISITOR)) == 30
