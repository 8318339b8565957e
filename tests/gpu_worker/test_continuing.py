"""An answer that goes on where it broke off, and one that begins with thoughts: by the prompt's own end."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import AutoTokenizer

from gpu_worker.engine.context import Context
from gpu_worker.errors import WorkerError
from gpu_worker.prompts.chat import Prompter
from gpu_worker.prompts.continuing import begins_with, joined, split_thoughts
from gpu_worker.prompts.conversation import find_template
from gpu_worker.prompts.message import Message, ToolCall
from tests.gpu_worker.live_worker import live_worker
from tests.gpu_worker.tiny_models import make_tiny_model

THINKS = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>\n"
SAID = [{"role": "user", "content": "Count to five."}]


@pytest.fixture(scope="module")
def prompter(tiny: Path) -> Prompter:
    return Prompter("parrot", AutoTokenizer.from_pretrained(tiny), Context.shared(10_000))


def test_the_prompt_ends_with_what_there_is_of_the_answer(prompter: Prompter) -> None:
    said = [Message("user", "Count.")]
    prompt = prompter.chat([*said, Message("assistant", "One, </s> two")], continue_final_message=True)
    assert prompt.text == prompter.chat(said).text + "One, </s> two"
    assert prompt.ids.count(2) == 0  # what a model or a person wrote ends no turn
    assert prompt.begins_with == ""


def test_a_format_that_is_chosen_by_name_goes_on_too(prompter: Prompter) -> None:
    template, said = find_template("zero_shot"), [Message("user", "Count.")]
    messages = [*said, Message("assistant", " One, two")]
    prompt = prompter.chat(messages, template=template, continue_final_message=True)
    assert prompt.text == prompter.chat(said, template=template).text + " One, two"


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "Hi"), Message("assistant", "Yes"), Message("user", "Go on")],
        [Message("assistant", "Alone")],
        [Message("user", "Hi"), Message("assistant", "")],
        [Message("user", "Hi"), Message("assistant", "x", (ToolCall("1", "f", {}),))],
    ],
    ids=["a question", "nothing before it", "nothing", "a call"],
)
def test_what_is_no_beginning_of_an_answer_is_refused(prompter: Prompter, messages: list[Message]) -> None:
    with pytest.raises(WorkerError) as caught:
        prompter.chat(messages, continue_final_message=True)
    assert caught.value.param == "continue_final_message"


@pytest.mark.parametrize(
    ("prompt", "partial", "expected"),
    [
        ("a: ", "One", "a: One"),
        ("a:", " <think>\nHm", "a: <think>\nHm"),
        ("a: <think>\n", "It is <think>", "a: <think>\n\n</think>\n\nIt is <think>"),
        ("a: <think>\n", "<think>\nHm", "a: <think>\nHm"),
        ("a: <think>", " <think>Hm</think>Yes", "a: <think>Hm</think>Yes"),
        ("a: <think>\n", "Yes", "a: <think>\n\n</think>\n\nYes"),
    ],
)
def test_thoughts_are_begun_once(prompt: str, partial: str, expected: str) -> None:
    assert joined(prompt, *split_thoughts(partial)) == expected
    assert begins_with(prompt) == ("<think>\n" if "think" in prompt else "")


def test_thoughts_go_on_where_their_mark_is_a_control_token(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "thinks", chat_template=THINKS, markers=["<think>"])
    prompter = Prompter("thinks", AutoTokenizer.from_pretrained(folder), Context.shared(10_000))
    said = [Message("user", "What does <think> mean?")]
    opened = prompter.chat(said)
    prompt = prompter.chat([*said, Message("assistant", "<think>\nHm, <think>")], continue_final_message=True)
    assert prompt.text == opened.text.rstrip() + "\nHm, <think>"
    (mark,) = prompter.text_ids("<think>", add_special_tokens=False)
    assert prompt.ids.count(mark) == opened.ids.count(mark) == 1
    prompter.close()


def ask(client: httpx.Client, **body: Any) -> httpx.Response:
    asked = {"model": "thinks", "messages": SAID, "max_tokens": 8, "temperature": 0} | body
    return client.post("/v1/chat/completions", json=asked)


def test_over_http_thoughts_begin_with_their_mark_and_a_partial_answer_goes_on(tmp_path: Path) -> None:
    with (
        live_worker({"thinks": make_tiny_model(tmp_path / "thinks", chat_template=THINKS)}) as live,
        live.client() as client,
    ):
        whole = ask(client).json()["choices"][0]["message"]["content"]
        assert whole.startswith("<think>\n")
        streamed = ask(client, stream=True).text
        assert streamed.index("<think>") < streamed.index('finish_reason":"')
        as_json = ask(client, response_format={"type": "json_object"}).json()["choices"][0]["message"]["content"]
        assert not as_json.startswith("<think>")

        cut = len("<think>\n") + (len(whole) - len("<think>\n")) // 2
        partial = [*SAID, {"role": "assistant", "content": whole[:cut]}]
        rest = ask(client, messages=partial, continue_final_message=True)
        assert rest.status_code == 200
        assert not rest.json()["choices"][0]["message"]["content"].startswith("<think>")
        refused = ask(client, messages=partial, continue_final_message=True, response_format={"type": "json_object"})
        assert refused.json()["error"]["param"] == "continue_final_message"
