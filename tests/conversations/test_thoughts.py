"""What a model thinks before it answers: one text, folded on the page, and not told to the model again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.live.thoughts import Thoughts
from apps.conversations.markdown import BlockStream, render
from apps.conversations.markdown.thoughts import split_thoughts, without_thoughts
from apps.conversations.models import Message
from apps.conversations.selectors.reading import prompt_messages
from apps.core.threads import in_thread
from apps.workers.events import HEARTBEAT, WorkerEvent
from tests.conversations.conftest import Opens
from tests.conversations.test_services import answered, start
from tests.fake_worker import Cut, Fail, FakeWorker, Gate, Thought


def shown(*deltas: dict[str, str | None], finish: str | None = "stop", thoughts: Thoughts | None = None) -> str:
    """The text of an answer whose events have these deltas."""
    thoughts = thoughts or Thoughts()
    bodies: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    bodies.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return "".join(thoughts.event(WorkerEvent(n, "", body)).text for n, body in enumerate(bodies))


def test_thoughts_that_come_apart_stand_in_front_of_the_answer() -> None:
    deltas: list[dict[str, str | None]] = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm, "},
        {"reasoning_content": "so."},
    ]
    assert shown(*deltas, {"content": "Yes"}, {"content": "."}) == "<think>\nHm, so.\n</think>\n\nYes."
    assert shown({"reasoning": "Hm.", "content": None}, {"content": "Yes."}) == "<think>\nHm.\n</think>\n\nYes."


def test_thoughts_without_an_answer_are_closed_at_the_end() -> None:
    assert shown({"reasoning_content": "Hm."}, finish="length") == "<think>\nHm.\n</think>\n\n"


def test_later_thoughts_and_those_of_a_continued_answer_are_left_out() -> None:
    assert shown({"content": "Yes"}, {"reasoning_content": "Hm."}, {"content": "."}) == "Yes."
    assert shown({"reasoning_content": "Hm."}, {"content": "Yes."}, thoughts=Thoughts("Half")) == "Yes."


def test_thoughts_that_broke_off_go_on_or_end_before_the_answer() -> None:
    def rest(*deltas: dict[str, str | None], is_asked_anew: bool) -> str:
        thoughts = Thoughts("<think>\nHm")
        thoughts.assigned(is_asked_anew=not is_asked_anew)  # by one that was away
        thoughts.assigned(is_asked_anew=is_asked_anew)
        return shown(*deltas, thoughts=thoughts)

    assert rest({"content": ", so.</think>Yes."}, is_asked_anew=False) == ", so.</think>Yes."
    assert rest({"content": "Yes."}, {"content": " No."}, is_asked_anew=True) == "\n</think>\n\nYes. No."
    assert rest({"reasoning": ", so."}, {"content": "Yes."}, is_asked_anew=True) == ", so.\n</think>\n\nYes."


async def test_the_rest_of_thoughts_is_asked_for_as_they_are(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("<think>\nHm", Fail())
    worker.play(", so.\n</think>\n\nYes.")
    async with opens(alice) as page:
        accepted = await page.ask("Really?")
        await page.until_end(accepted["generation"])
        await page.send({"type": "turn.continue", "ref": "r", "conversation": accepted["conversation"]["id"]})
        answer = await page.until_end((await page.until("turn.accepted"))["generation"])
    assert worker.requests[-1]["messages"][-1]["content"] == "<think>\nHm"
    assert [block.startswith("<details") for block in answer.blocks] == [True, False]
    assert "Hm, so." in answer.blocks[0]


def test_an_answer_without_thoughts_passes_untouched() -> None:
    event = WorkerEvent(1, "as sent", {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]})
    assert Thoughts().event(event) is event
    assert Thoughts().event(HEARTBEAT) is HEARTBEAT


@pytest.mark.parametrize(
    ("text", "thoughts", "rest"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n <think>\na\n</think>\n\nb", "\na\n", "\n\nb"),
        ("<think>a", "a", ""),
        ("a <think>b</think>", "", "a <think>b</think>"),
        ("<think></think>b", "", "b"),
        ("<thinking>", "", "<thinking>"),
    ],
)
def test_thoughts_are_what_stands_at_the_beginning(text: str, thoughts: str, rest: str) -> None:
    assert split_thoughts(text) == (thoughts, rest)


def test_thoughts_are_folded_and_plain() -> None:
    html = render("<think>\nHm, **so**.\n\n<b>Well</b>\n</think>\n\n**Yes**")
    assert html.startswith('<details class="thoughts"><summary>Thoughts</summary>')
    assert "<p>Hm, **so**.</p><p>&lt;b&gt;Well&lt;/b&gt;</p>" in html
    assert html.endswith("<p><strong>Yes</strong></p>\n")
    assert render("<think>\n\n</think>\n\nYes") == "<p>Yes</p>\n"


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", " ", "\n", "a", "\r", "**b**"]), max_size=12))
def test_however_thoughts_are_cut_the_blocks_are_the_same(pieces: list[str]) -> None:
    stream = BlockStream()
    for piece in pieces:
        for character in piece:
            stream.feed(character)
    stream.finish()
    assert "".join(stream.blocks) == render("".join(pieces))


def test_a_model_is_not_told_its_thoughts_again(alices: Actor, model: LanguageModel) -> None:
    turn = answered(alices, "One", answer="<think>Hm.</think>\n\nYes.")
    turn = start(alices, "<think>Two</think>", turn.conversation)
    prompt = prompt_messages(turn.conversation.pk, before=turn.generation.public_id)
    assert [m["content"] for m in prompt] == ["One", "Yes.", "<think>Two</think>"]
    assert without_thoughts("<think>Hm.") == ""


async def test_a_page_sees_the_answer_and_a_late_one_the_same(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    worker.play(Thought("Hm, "), Cut(), Thought("so."), "Yes", gate, " indeed.")
    async with opens(alice) as page, opens(alice) as late:
        generation = (await page.ask("Really?"))["generation"]
        await page.until_shown(generation, "Yes")
        await late.attach(generation)
        await late.until_shown(generation, "Yes")
        gate.open()
        answer, same = await page.until_end(generation), await late.until_end(generation)
    assert answer.html == same.html
    assert "Hm, so." in answer.blocks[0]
    assert "Yes indeed." in answer.html
    stored = await in_thread(lambda: Message.objects.get(role="assistant").content)
    assert stored == "<think>\nHm, so.\n</think>\n\nYes indeed."
