"""Rules for languages: some alone are allowed, or some are not; what is too short to tell is left to the policy."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import NewKey
from apps.moderation import selectors
from apps.moderation.actions import UNKNOWN_LANGUAGE, Finding, verdict_of
from apps.moderation.choices import Action, Direction, RuleKind, Surface
from apps.moderation.matching import Matcher, findings_of
from apps.moderation.models import Incident, Policy, Rule
from apps.moderation.outgoing import Outgoing
from tests.fake_worker import FakeWorker
from tests.moderation.conftest import post

ENGLISH = "How do I sort a list of names in Python?"
GERMAN = "Wie sortiere ich eine Liste von Namen?"
CHINESE = "如何对名单进行排序？"
HOUSE = Matcher("House languages", "language", RuleKind.ONLY_LANGUAGES, "en\nDE ")
NOT_GERMAN = Matcher("No German", "language", RuleKind.LANGUAGES, "de")


def test_some_languages_alone_are_allowed_or_some_are_not() -> None:
    texts = [ENGLISH, GERMAN, CHINESE]
    assert findings_of([HOUSE], texts) == [[], [], [Finding("language", "House languages")]]
    assert findings_of([NOT_GERMAN], texts) == [[], [Finding("language", "No German")], []]


@pytest.mark.parametrize("rule", [HOUSE, NOT_GERMAN])
def test_what_is_too_short_to_tell_is_allowed_unless_a_policy_names_it(rule: Matcher) -> None:
    [found, nothing] = findings_of([rule], ["ok", " "])
    assert (found, nothing) == ([Finding(UNKNOWN_LANGUAGE, rule.name)], [])
    policies: dict[tuple[str, str, str], Action] = {(Surface.CHAT, Direction.IN, ""): Action.REFUSE}
    assert verdict_of("ok", found, policies, Surface.CHAT).action is Action.ALLOW
    policies[(Surface.CHAT, Direction.IN, UNKNOWN_LANGUAGE)] = Action.REFUSE
    assert verdict_of("ok", found, policies, Surface.CHAT).action is Action.REFUSE


@pytest.mark.parametrize("step", [1, 7, 256, 5000])
def test_an_answer_is_told_by_its_beginning_and_ends_where_it_is_clear(step: int) -> None:
    quotation = f"{GERMAN} " + f"{ENGLISH} " * 60
    other = f"{CHINESE} " * 200
    for text, is_refused in ((quotation, False), (other, True), (CHINESE, True)):
        answer = Outgoing([HOUSE], {}, Surface.CHAT)
        shown = "".join(answer.feed(text[at : at + step]) for at in range(0, len(text), step)) + answer.finish()
        assert answer.is_refused is is_refused
        assert shown == text if not is_refused else len(shown) <= 512


@pytest.mark.django_db(transaction=True)
def test_names_have_no_language_but_texts_have(client: Client, key: NewKey, worker: FakeWorker) -> None:
    Rule.objects.create(name="Nur Deutsch", category="language", kind="only_lang", pattern="de")
    Policy.objects.create(surface="api", action="refuse", category="language")
    selectors.forget()
    tools = [{"type": "function", "function": {"name": "sort_all_the_names_of_this_list", "parameters": {}}}]
    said = [{"role": "user", "content": GERMAN}]
    assert post(client, key, "/v1/chat/completions", messages=said, tools=tools).status_code == 200
    said = [{"role": "user", "content": ENGLISH}]
    error = post(client, key, "/v1/chat/completions", messages=said).json()["error"]
    assert "Nur Deutsch (language)" in error["message"]
    assert Incident.objects.get().categories == ["language"]


@pytest.mark.django_db(transaction=True)
def test_an_admin_is_told_which_code_is_none(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    form = {"name": "x", "category": "language", "kind": "languages", "pattern": "en\nklingon", "is_active": "on"}
    page = client.post(reverse("admin:moderation_rule_add"), form).content.decode()
    assert "No language is known by klingon" in page
    form["pattern"] = "en"
    assert client.post(reverse("admin:moderation_rule_add"), form).status_code == 302
