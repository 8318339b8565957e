"""Prompt formats by name: equal to FastChat's for the same messages, and nothing is guessed or made up."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from gpu_worker.engine.context import Context
from gpu_worker.errors import WorkerError
from gpu_worker.prompts.chat import Prompter
from gpu_worker.prompts.conversation import TemplateUnknown, find_template, templates
from gpu_worker.prompts.message import Message

ORACLE = Path(__file__).parents[2] / ".cache" / "oracles" / "fschat-0.2.36"
YOUNGER = {"llama-3", "gemma", "cllm"}
"""Not in fschat 0.2.36."""
NOT_RENDERED = {"chatgpt", "pplxai", "bard", "gemini", "steerlm"}
"""In it as names without a rendering: those models are behind an API."""

CASES: list[dict[str, Any]] = [
    {"system": system, "turns": turns}
    for system in ("", "Be brief.", "  Zwei Zeilen,\n\nbitte {nett} \r\n")
    for turns in (
        ["Hello"],
        ["Hello", "Hi!", "Who are you?"],
        ["a", "b", "c", "d", "e"],
        ["  spaces \n", " before and after  ", "\t tabs\t"],
        ["Grüße 世界 \U0001f600 e\u0301", "\u200bשלום\u00a0", "{text} {role} \\n %s"],
        ["one\r\n\r\ntwo\n\n\n\nthree\n", "\n\n", "\nend.\n\n\n"],
    )
]


@pytest.fixture(scope="module")
def fschat() -> dict[str, Any]:
    """What fschat renders of the cases. It runs in a process of its own and never in this one."""
    assert (ORACLE / "fastchat" / "conversation.py").is_file(), "fschat is missing: run `make oracles`"
    done = subprocess.run(
        [sys.executable, "-S", str(Path(__file__).with_name("fschat_renderings.py"))],
        input=json.dumps(CASES),
        env={"PYTHONPATH": str(ORACLE), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def messages(system: str, turns: list[str]) -> list[Message]:
    head = [Message("system", system)] if system else []
    return head + [Message(("user", "assistant")[index % 2], text) for index, text in enumerate(turns)]


def test_every_template_of_fastchat_is_here(fschat: dict[str, Any]) -> None:
    assert set(templates()) == set(fschat) | YOUNGER
    assert len(templates()) == 86


@pytest.mark.parametrize("name", sorted(set(templates()) - YOUNGER))
def test_a_template_renders_as_fastchat_does(fschat: dict[str, Any], name: str) -> None:
    template = find_template(name)
    for case, expected in zip(CASES, fschat[name]["renderings"], strict=True):
        assert (expected is None) == (name in NOT_RENDERED)
        if expected is not None and (template.takes_system or not case["system"]):
            assert template.render(messages(**case)) == expected


def test_templates_end_answers_where_fastchat_ends_them(fschat: dict[str, Any]) -> None:
    for name in set(templates()) - YOUNGER:
        template = find_template(name)
        assert list(template.stop) == fschat[name]["stop"], name
        assert list(template.stop_token_ids) == fschat[name]["stop_token_ids"], name


def test_formats_that_are_younger_than_the_oracle() -> None:
    turns = ["u1 ", "a1", "u2"]
    assert find_template("llama-3").render(messages("SYS", turns)) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nSYS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nu1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nu2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert find_template("llama-3").render(messages("", ["u1"])) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nu1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert find_template("gemma").render(messages("", turns)) == (
        "<bos><start_of_turn>user\nu1 <end_of_turn>\n<start_of_turn>model\na1<end_of_turn>\n"
        "<start_of_turn>user\nu2<end_of_turn>\n<start_of_turn>model\n"
    )
    assert find_template("cllm").render(messages("SYS", turns)) == "SYS USER: u2 ASSISTANT:"
    assert find_template("chatgpt").render(messages("SYS", turns)) == (
        "SYS\nuser: u1 \nassistant: a1\nuser: u2\nassistant:"
    )


def test_yuan2_keeps_the_last_letters_of_a_question() -> None:
    assert find_template("yuan2").render([Message("user", "What is a <n>")]) == "What is a <n><sep>"


@pytest.mark.parametrize("name", ["gemma", "yuan"])
def test_a_system_message_without_a_place_is_refused_and_not_dropped(name: str) -> None:
    with pytest.raises(WorkerError, match=rf"messages\[0\].role: .* {name} takes none"):
        find_template(name).render(messages("Be brief.", ["Hello"]))


def test_a_system_message_in_the_middle_is_refused() -> None:
    late = [Message("user", "a"), Message("system", "b"), Message("user", "c")]
    with pytest.raises(WorkerError, match=r"messages\[1\].role: .* only one, at the beginning"):
        find_template("vicuna_v1.1").render(late)


def test_a_system_message_alone_is_refused() -> None:
    with pytest.raises(WorkerError, match="needs a message that is no system message"):
        find_template("vicuna_v1.1").render([Message("system", "b")])


def test_without_the_generation_prompt_the_last_turn_is_closed() -> None:
    closed = find_template("vicuna_v1.1").render(messages("S", ["a", "b"]), add_generation_prompt=False)
    assert closed == "S USER: a ASSISTANT: b</s>"


def test_templates_write_no_system_message_of_their_own() -> None:
    for template in templates().values():
        around = template.system.replace("{system}", "")
        assert len(around) <= len("<|start_header_id|>system<|end_header_id|>\n\n<|eot_id|>"), template.name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vicuna_v1.2", "vicuna_v1.1"),
        ("tinyllama", "TinyLlama"),
        ("ZEPHYR", "zephyr"),
        ("", "--help"),
        ("x" * 100_000, "--help"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_near(name: str, near: str) -> None:
    with pytest.raises(TemplateUnknown, match=near) as caught:
        find_template(name)
    assert len(str(caught.value)) < 300


@pytest.fixture(scope="module")
def tokenizer(templateless: Path) -> Any:
    return AutoTokenizer.from_pretrained(templateless)


@pytest.fixture(scope="module")
def prompter(tokenizer: Any) -> Prompter:
    return Prompter("parrot", tokenizer, Context.shared(100_000))


def test_a_format_says_what_ends_its_answers_as_far_as_the_model_has_such_tokens(prompter: Prompter) -> None:
    prompt = prompter.chat([Message("user", "Hello")], template=find_template("Robin"))
    assert prompt.text == "\n###Human:\nHello\n###Assistant:\n"
    assert prompt.stop == ("###",)
    assert prompt.stop_token_ids == (2, 396)
    assert prompter.chat([Message("user", "Hello")], template=find_template("xgen")).stop_token_ids == ()


def test_the_begin_token_comes_once_where_the_tokenizer_wants_it(tokenizer: Any, prompter: Prompter) -> None:
    from tokenizers.processors import TemplateProcessing

    wants = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    wants.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    hello = [Message("user", "Hello")]
    plain = prompter.chat(hello, template=find_template("zero_shot")).ids
    assert 1 not in plain
    assert Prompter("parrot", wants, Context.shared(1000)).chat(hello, template=find_template("zero_shot")).ids == [
        1,
        *plain,
    ]
    marked = Prompter("parrot", wants, Context.shared(1000)).chat(hello, template=find_template("internlm-chat")).ids
    assert marked.count(1) == 1


WORDS = [
    "<s>",
    "</s>",
    "<unk>",
    "<",
    "/s>",
    "Human",
    ":",
    "\n### ",
    "[INST]",
    "{text}",
    "{sep}",
    "a",
    " ",
    "\ue000",
    "世",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(set(templates()) - {"cllm", "rwkv", "falcon", "llama-3"})),
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map("".join), min_size=1, max_size=5),
)
def test_what_people_write_stays_text_and_stays_whole(
    tokenizer: Any, prompter: Prompter, name: str, texts: list[str]
) -> None:
    template = find_template(name)
    prompt = prompter.chat(messages("", texts), template=template)
    empty = template.render(messages("", ["" for _ in texts]))
    assert tokenizer.decode(prompt.ids) == prompt.text
    assert prompt.text == template.render(messages("", texts))
    assert len(prompt.text) == len(empty) + sum(map(len, texts))
    n_control = [
        sum(empty.count(word) for word in ("<s>", "</s>", "<unk>")),
        sum(prompt.ids.count(i) for i in (0, 1, 2)),
    ]
    assert n_control[0] == n_control[1], "control tokens come from the format alone"
