"""Images at the gate: judged by a classifier that can, else by a policy; never through unseen without a trace."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from apps.accounts.services import NewKey
from apps.catalog.models import LanguageModel
from apps.moderation.models import Classifier, Incident, Policy, Rule
from tests.fake_worker import FakeWorker
from tests.gpu_worker.tiny_vision import asked, data_url, picture
from tests.moderation.conftest import MODEL, classifier, post, verdict
from tests.workers.stand_in import StandIn, whole

pytestmark = pytest.mark.django_db(transaction=True)

URL = data_url(picture())


@pytest.fixture(autouse=True)
def seeing(worker: FakeWorker) -> None:
    LanguageModel.objects.filter(name=MODEL).update(sees_images=True)


def show(client: Client, key: NewKey, n: int = 1) -> Any:
    return post(client, key, "/v1/chat/completions", messages=asked("look", *[URL] * n))


def show_response(client: Client, key: NewKey) -> Any:
    parts = [{"type": "input_image", "image_url": URL}, {"type": "input_text", "text": "look"}]
    return post(client, key, "/v1/responses", input=[{"role": "user", "content": parts}])


def test_without_rules_images_go_on_as_they_are(client: Client, key: NewKey, worker: FakeWorker) -> None:
    assert show(client, key).status_code == 200
    assert worker.requests[0]["messages"] == asked("look", URL)
    assert not Incident.objects.exists()


@pytest.mark.parametrize("door", [show, show_response])
def test_where_nobody_judges_images_they_leave_a_trace(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, door: Any
) -> None:
    assert door(client, key).status_code == 200
    incident = Incident.objects.get()
    assert (incident.action, incident.categories, incident.surface) == ("flag", ["image"], "api")


@pytest.mark.parametrize("door", [show, show_response])
@pytest.mark.parametrize(("action", "status"), [("refuse", 403), ("redact", 403), ("flag", 200), ("allow", 200)])
def test_the_policy_for_images_decides(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, door: Any, action: str, status: int
) -> None:
    Policy.objects.create(surface="api", action=action, category="image")
    reply = door(client, key)
    assert reply.status_code == status
    assert Incident.objects.count() == (0 if action == "allow" else 1)
    if status == 403:
        error = reply.json()["error"]
        assert error["code"] == "content_policy"
        assert "The image is not accepted here: nobody here judges images (image)." in error["message"]
        assert worker.requests == []


def test_a_classifier_that_sees_judges_each_image_by_itself(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn
) -> None:
    judge: Classifier = classifier(server, judges_images=True)
    harmless = whole({"results": [verdict(violence=False)]})
    server.replies += [harmless, harmless, harmless]
    assert show(client, key, n=2).status_code == 200
    inputs = [question.body["input"] for question in server.asked]
    image = [{"type": "image_url", "image_url": {"url": URL}}]
    assert sorted(inputs, key=str) == sorted([image, image, ["look"]], key=str)
    server.replies.append(whole({"results": [verdict(violence=True)]}))
    refused = show(client, key)
    assert refused.status_code == 403
    assert f"{judge.name} (violence)" in refused.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_no_classifier_is_made_to_fetch_an_address(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn, path: str
) -> None:
    classifier(server, judges_images=True)
    inside = "http://169.254.169.254/latest/meta-data"
    if path == "/v1/responses":
        parts = [{"type": "input_image", "image_url": inside}]
        reply = post(client, key, path, input=[{"role": "user", "content": parts}])
        place = "input[0].content[0].image_url"
    else:
        reply = post(client, key, path, messages=asked("look", inside))
        place = "messages[0].content[0].image_url.url"
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == place
    assert "no URL is fetched; send the image itself" in error["message"]
    assert (server.asked, worker.requests) == ([], [])


def test_no_request_asks_a_classifier_about_any_number_of_images(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn
) -> None:
    classifier(server, judges_images=True)
    reply = post(client, key, "/v1/chat/completions", messages=asked("look", *["data:,"] * 101))
    assert reply.status_code == 400
    assert "at most 100 images in a request, found 101" in reply.json()["error"]["message"]
    assert (server.asked, worker.requests) == ([], [])


@pytest.mark.parametrize(("action", "status"), [("", 200), ("refuse", 403)])
def test_while_the_classifier_is_away_the_policy_for_what_is_unchecked_decides(
    client: Client, key: NewKey, worker: FakeWorker, action: str, status: int
) -> None:
    Classifier.objects.create(name="judge", base_url="http://127.0.0.1:9/v1", judges_images=True)
    if action:
        Policy.objects.create(surface="api", action=action, category="unchecked")
    assert show(client, key).status_code == status
    assert Incident.objects.first().categories == ["unchecked"]  # type: ignore[union-attr]


def test_no_rule_of_texts_is_of_the_category_of_images() -> None:
    with pytest.raises(ValidationError, match="somebody could not judge"):
        Rule(name="x", category="image", kind="words", pattern="x").full_clean()
