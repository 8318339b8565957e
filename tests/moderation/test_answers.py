"""What models answer, where a policy speaks of answers: the same text streamed and whole, at every door."""

import itertools
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import AsyncClient, Client
from hypothesis import assume, example, given
from hypothesis import strategies as st

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.accounts.services import NewKey
from apps.conversations.models import Generation, Message
from apps.core.threads import in_thread
from apps.moderation import selectors
from apps.moderation.actions import REMOVED
from apps.moderation.answers import AnswerGate
from apps.moderation.choices import Action, Direction, RuleKind, Surface
from apps.moderation.matching import Matcher
from apps.moderation.models import Incident, Policy, Rule
from apps.moderation.outgoing import STEP_CHARS, Outgoing
from apps.openai_api.models import StoredResponse
from apps.openai_api.responses.runner import responses_run
from apps.workers.events import WorkerEvent
from tests.conversations.pages import open_page
from tests.fake_worker import FakeWorker
from tests.moderation.conftest import MODEL, classifier, post, verdict
from tests.socket_page import cookies_of
from tests.workers.stand_in import StandIn, whole

OUT = Direction.OUT
LONG = "It goes on and on. " * 40
HI: Any = {"messages": [{"role": "user", "content": "Hi"}]}

RULE = Matcher("House words", "rude", RuleKind.WORDS, "bother")


def outgoing(action: Action, *more: Matcher) -> Outgoing:
    return Outgoing([RULE, *more], {(Surface.API, OUT, ""): action}, Surface.API)


def shown(answer: Outgoing, *pieces: str) -> str:
    return "".join([*(answer.feed(piece) for piece in pieces), answer.finish()])


WORDS = st.lists(st.sampled_from(["bother", "both", "er", " ", "x" * 50, "Bother!"]), max_size=60).map("".join)


@given(WORDS, st.lists(st.integers(0, 3000), max_size=8), st.sampled_from([Action.REDACT, Action.REFUSE, Action.FLAG]))
def test_an_answer_is_shown_the_same_however_it_is_cut(text: str, cuts: list[int], action: Action) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    cut, uncut = outgoing(action), outgoing(action)
    assert shown(cut, *pieces) == shown(uncut, text)
    assert cut.findings == uncut.findings


@given(WORDS)
def test_what_is_taken_out_is_never_shown(text: str) -> None:
    answer = outgoing(Action.REDACT)
    told = shown(answer, *text)
    assert RULE.finding(told.replace(REMOVED, " ")) is None
    assert not answer.is_refused


@given(st.integers(0, 6), st.sampled_from(["", LONG]))
def test_what_began_before_an_answer_went_on_is_found_across_the_seam(cut: int, before: str) -> None:
    given_words, rest = before + "Oh bother"[: 3 + cut], "Oh bother"[3 + cut :] + ", again"
    answer = Outgoing([RULE], {(Surface.CHAT, OUT, ""): Action.REFUSE}, Surface.CHAT, given=given_words)
    assert shown(answer, *rest) == ""
    assert answer.is_refused


@given(WORDS, st.lists(st.integers(0, 3000), max_size=4))
def test_of_an_answer_that_goes_on_its_rest_alone_is_shown(text: str, cuts: list[int]) -> None:
    harmless = text.replace("b", "c").replace("B", "C")
    answer = Outgoing([RULE], {(Surface.CHAT, OUT, ""): Action.REFUSE}, Surface.CHAT, given="It was " + LONG)
    edges = [0, *sorted(min(cut, len(harmless)) for cut in cuts), len(harmless)]
    assert shown(answer, *(harmless[start:end] for start, end in itertools.pairwise(edges))) == harmless


async def test_the_gate_knows_what_an_answer_that_goes_on_has_said(
    alice: User, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(Policy.objects.create)(surface="chat", direction="out", action="refuse")
    selectors.forget()
    worker.play("Oh bo", finish_reason="length")
    worker.play("ther, I say")
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        first = await page.ask("Hi")
        await page.until_end(first["generation"])
        await page.send({"type": "turn.continue", "ref": "r", "conversation": first["conversation"]["id"]})
        rest = await page.until("turn.accepted")
        answer = await page.until_end(rest["generation"])
    assert "bother" not in answer.html
    assert answer.end is not None
    assert answer.end["finish_reason"] == "content_filter"


OUT_OF_HARMS_WAY = [
    Matcher("words", "rude", RuleKind.WORDS, "ass\ner"),
    Matcher("start", "rude", RuleKind.REGEX, r"^Sure"),
    Matcher("end", "rude", RuleKind.REGEX, r"both$"),
    Matcher("after", "rude", RuleKind.REGEX, r"(?<!x)both(?!er)"),
]


@given(
    st.lists(st.sampled_from(["assumed", "xboth", "bother", "Sure", " ", "x" * 50, "x" * 251]), max_size=60).map(
        "".join
    ),
    st.integers(0, len(OUT_OF_HARMS_WAY) - 1),
)
@example("x" * 253 + " assumed" + "x" * 600, 0)
@example("x" * 509 + " assumed" + "x" * 600, 0)
@example("x" * 256 + "Sure" + "x" * 600, 1)
@example("x" * 250 + " bother" + "x" * 600, 3)
def test_what_is_in_no_text_is_found_at_none_of_its_cuts(text: str, rule: int) -> None:
    matcher = OUT_OF_HARMS_WAY[rule]
    assume(matcher.finding(text) is None)
    answer = Outgoing([matcher], {(Surface.API, OUT, ""): Action.REFUSE}, Surface.API)
    assert shown(answer, *text) == text
    assert answer.findings == {}


def test_places_that_overlap_are_taken_out_together() -> None:
    rules = [Matcher("one", "rude", RuleKind.REGEX, "ab+"), Matcher("other", "rude", RuleKind.REGEX, "xxxa")]
    answer = Outgoing(rules, {(Surface.API, OUT, ""): Action.REDACT}, Surface.API)
    assert shown(answer, "y" * 250 + "xxxa" + "b" * 100 + "y" * 600) == "y" * 250 + REMOVED + "y" * 600
    assert not answer.is_refused


def test_a_refused_answer_is_shown_up_to_some_text_before_what_was_found() -> None:
    answer = outgoing(Action.REFUSE)
    text = LONG + "bother, " + LONG
    told = shown(answer, text)
    assert text.startswith(told)
    assert 0 < len(told) <= len(LONG)
    assert len(told) % STEP_CHARS == 0


def test_what_is_longer_than_what_is_held_back_ends_the_answer() -> None:
    long = Matcher("long", "rude", RuleKind.REGEX, "begin.*end")
    answer = outgoing(Action.REDACT, long)
    told = shown(answer, "y" * 250 + "begin " + "x" * 400 + " end, and more")
    assert answer.is_refused
    assert told == "y" * 250 + "begin "


def test_an_expression_that_only_looks_ends_the_answer() -> None:
    answer = outgoing(Action.REFUSE, Matcher("both", "rude", RuleKind.REGEX, "(?=.*bomb)(?=.*make)"))
    assert len(shown(answer, LONG + "make a bomb" + LONG)) <= len(LONG)
    assert [finding.by for finding in answer.findings] == ["both"]


def test_a_length_ends_the_answer() -> None:
    answer = outgoing(Action.REFUSE, Matcher("longest", "length", RuleKind.LENGTH, "1000"))
    assert len(shown(answer, "y" * 5000)) < 1000
    assert [finding.by for finding in answer.findings] == ["longest"]


# --- At the doors -----------------------------------------------------------------------------------------------------


def policy(surface: str, action: str) -> None:
    Policy.objects.create(surface=surface, direction="out", action=action)


async def posted(client: Client, key: NewKey, path: str, **body: Any) -> Any:
    return await sync_to_async(post)(client, key, path, **body)


async def incidents() -> list[tuple[str, str, str]]:
    return await sync_to_async(lambda: [(i.direction, i.action, i.surface) for i in Incident.objects.all()])()


async def streamed(key: NewKey, path: str, **body: Any) -> list[dict[str, Any]]:
    """The JSON of a stream's events."""
    client, headers = AsyncClient(), {"Authorization": f"Bearer {key.secret}"}
    if body:
        sent = {"model": MODEL, "stream": True, **body}
        reply: Any = await client.post(path, sent, content_type="application/json", headers=headers)
    else:
        reply = await client.get(path, headers=headers)
    lines = b"".join([piece async for piece in reply.streaming_content]).decode().splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


PIECES = ["Well, bot", "her! ", LONG, "Both", "er again"]
REDACTED = f"Well, {REMOVED}! {LONG}{REMOVED} again"


@pytest.mark.django_db(transaction=True)
async def test_an_answer_is_redacted_alike_streamed_and_whole(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("api", "redact")
    for _ in range(4):
        worker.play(*PIECES)
    whole_chat = (await posted(client, key, "/v1/chat/completions", **HI)).json()
    assert whole_chat["choices"][0]["message"]["content"] == REDACTED
    assert whole_chat["choices"][0]["finish_reason"] == "stop"
    chunks = await streamed(key, "/v1/chat/completions", **HI, stream_options={"include_usage": True})
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == REDACTED
    assert chunks[-1]["usage"]["completion_tokens"] == len(PIECES)
    response = (await posted(client, key, "/v1/responses", input="Hi")).json()
    assert response["output"][0]["content"][0]["text"] == REDACTED
    events = await streamed(key, "/v1/responses", input="Hi")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == REDACTED
    outputs = await sync_to_async(lambda: list(StoredResponse.objects.values_list("output", flat=True)))()
    assert "bother" not in json.dumps(outputs).lower()
    assert await incidents() == [("out", "redact", "api")] * 4


@pytest.mark.django_db(transaction=True)
async def test_a_refused_answer_ends_with_the_reason_that_programs_know(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("api", "refuse")
    for _ in range(4):
        worker.play("Well, ", "both", "er ", LONG)
    chat = (await posted(client, key, "/v1/chat/completions", **HI)).json()["choices"][0]
    assert (chat["finish_reason"], chat["message"]["content"]) == ("content_filter", "")
    chunks = await streamed(key, "/v1/chat/completions", **HI)
    assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]] == [
        "content_filter"
    ]
    assert "bother" not in json.dumps(chunks)
    response = (await posted(client, key, "/v1/responses", input="Hi")).json()
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
    await posted(client, key, "/v1/responses", input="Hi", background=True)
    assert await in_thread(responses_run) == 1
    kept = await sync_to_async(StoredResponse.objects.latest)("pk")
    assert (kept.state, kept.incomplete_reason, "bother" in json.dumps(kept.output)) == (
        "incomplete",
        "content_filter",
        False,
    )
    assert await incidents() == [("out", "refuse", "api")] * 4


@pytest.mark.django_db(transaction=True)
async def test_a_background_stream_tells_what_was_kept(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("api", "redact")
    worker.play(*PIECES)
    made = (await posted(client, key, "/v1/responses", input="Hi", background=True)).json()
    await in_thread(responses_run)
    events = await streamed(key, f"/v1/responses/{made['id']}?stream=true")
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == REDACTED == events[-1]["response"]["output"][0]["content"][0]["text"]
    assert await incidents() == [("out", "redact", "api")]


@pytest.mark.django_db(transaction=True)
async def test_with_a_classifier_nothing_is_shown_before_it_has_judged(
    key: NewKey, worker: FakeWorker, server: StandIn, closing: None
) -> None:
    await sync_to_async(classifier)(server)
    await sync_to_async(policy)("api", "refuse")
    worker.play("I hate ", LONG)
    server.replies += [whole({"results": [verdict(hate=False)]}), whole({"results": [verdict(hate=True)]})]
    chunks = await streamed(key, "/v1/chat/completions", **HI)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == ""
    assert choices[-1]["finish_reason"] == "content_filter"
    assert [asked.body["input"] for asked in server.asked] == [["Hi"], ["I hate " + LONG]]


@pytest.mark.django_db(transaction=True)
async def test_people_are_told_in_the_chat_why_an_answer_ends(
    alice: User, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("chat", "refuse")
    worker.play(LONG, "Oh bother, ", LONG)
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        answer = await page.until_end((await page.ask("Hi"))["generation"])
    assert answer.state == "complete"
    assert "The rest is not shown: House words (rude)." in answer.html
    assert "bother" not in answer.html
    kept = await sync_to_async(Message.objects.latest)("pk")
    assert kept.content.endswith("[The rest is not shown: House words (rude).]")
    assert kept.content.startswith("It goes on and on.")
    generation = await sync_to_async(Generation.objects.get)()
    assert generation.finish_reason == "content_filter"
    assert generation.completion_tokens == 3
    incident = await sync_to_async(Incident.objects.get)()
    assert (incident.surface, incident.direction, incident.user_id) == ("chat", "out", alice.pk)


@pytest.mark.django_db(transaction=True)
async def test_where_no_policy_speaks_of_answers_their_events_are_not_touched(rude: Rule, closing: None) -> None:
    event = WorkerEvent(1, "as it came", {"choices": [{"index": 0, "delta": {"content": "bother"}}]})

    async def events() -> AsyncGenerator[WorkerEvent, None]:
        yield event

    gate = AnswerGate(surface=Surface.API, actor=Actor())
    assert [passed async for passed in gate.events(events())] == [event]


@pytest.mark.django_db(transaction=True)
async def test_an_answer_goes_on_by_the_last_known_rules_while_the_database_is_away(
    rude: Rule, closing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync_to_async(policy)("api", "redact")
    await selectors.current()

    def away() -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(selectors, "FRESH_S", -1)
    monkeypatch.setattr(selectors, "_load", away)

    async def events() -> AsyncGenerator[WorkerEvent, None]:
        yield WorkerEvent(1, "", {"choices": [{"delta": {"content": "Oh bother"}, "finish_reason": "stop"}]})

    gate = AnswerGate(surface=Surface.API, actor=Actor())
    assert [event.text async for event in gate.events(events())] == [f"Oh {REMOVED}"]
