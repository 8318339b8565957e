"""The tokenizer's own chat template: as transformers renders it, and no harm from a hostile one."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from gpu_worker.engine.context import Context
from gpu_worker.errors import WorkerError
from gpu_worker.modeling.source import ModelRefused
from gpu_worker.prompts.chat import Prompter
from gpu_worker.prompts.message import Message
from gpu_worker.prompts.template_process import MAX_RENDERED_CHARACTERS
from gpu_worker.prompts.template_runner import TemplateFailed, TemplateLimitExceeded, TemplateRefused, TemplateRunner
from tests.gpu_worker.live_worker import eventually

ROOT = Path(__file__).parents[2]

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}

HONEST = {
    "blocks": "{% for m in messages %}\n  {% if m.role == 'user' %}\nU: {{ m.content | trim }}\n  {% endif %}\n"
    "{% endfor %}\n",
    "json": "{{ messages | tojson }}|{{ messages | tojson(indent=2) }}|"
    "{{ {'b': 1, 'a': '<&世'} | tojson(sort_keys=true) }}",
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "loops": "{% for m in messages %}{% if loop.index0 == 2 %}{% break %}{% endif %}{% if m.role == 'system' %}"
    "{% continue %}{% endif %}{{ m.content }}{% endfor %}",
    "generation": "{% set x = 1 %}{% for m in messages %}{% generation %}{% set x = 2 %}{{ m.content }}"
    "{% endgeneration %}{{ x }}{% endfor %}",
    "macros": "{% macro turn(m) %}[{{ m['role'] }}] {{ m['content'] }}{% endmacro %}{% for m in messages %}"
    "{{ turn(m) }}\n{% endfor %}{{ dict(a=1) }}{{ eos_token }}"
    "{{ 'x' if add_generation_prompt else 'y' }}{{ tools is none }}",
    "date": "{{ strftime_now('%Y') }}{{ messages[1:] | map(attribute='content') | join(',') }}{{ bos_token + 'a' }}",
}

HOSTILE = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% set x = 1 %}{% endfor %}{% endfor %}",
    "power": "{% set n = 10 %}{{ n ** (n ** 10) }}",
    "long text": "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "doubling": "{% set ns = namespace(x='aaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "width": "{% set n = 10 %}{{ 'a'.center(n ** 11) }}",
    "lists": "{% set n = 100000 %}{{ [[0] * n] * n * n }}",
    "json": "{% set n = 10 %}{{ messages | tojson(indent=n ** 10) }}",
}


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny)


@pytest.fixture(scope="module")
def honest(tokenizer: Any) -> TemplateRunner:
    return TemplateRunner(HONEST, dict(tokenizer.special_tokens_map))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "user"]), "content": st.text(st.characters(exclude_categories=["Cs"]))}
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_template_renders_as_transformers_renders_it(
    tokenizer: Any, honest: TemplateRunner, turns: list[dict[str, str]]
) -> None:
    for name, template in HONEST.items():
        expected = tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=True
        )
        variables = {"messages": turns, "tools": None, "documents": None, "add_generation_prompt": True}
        assert honest.render(name, variables) == expected, name


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_stopped_and_the_next_text_is_rendered(name: str) -> None:
    runner = TemplateRunner({"hostile": HOSTILE[name], "honest": "{{ messages[0].content }}"}, {})
    with pytest.raises(TemplateLimitExceeded, match="was stopped"):
        runner.render("hostile", HELLO)
    assert runner.render("honest", HELLO) == "Hello"
    runner.close()


def test_a_template_that_never_ends_does_not_stop_other_threads() -> None:
    runner = TemplateRunner({"hostile": HOSTILE["power"]}, {})
    stopped = threading.Event()

    def work() -> None:
        with pytest.raises(TemplateLimitExceeded):
            runner.render("hostile", HELLO)
        stopped.set()

    threading.Thread(target=work).start()
    before_s = time.thread_time()
    n_turns = 0
    while not stopped.wait(0.001):
        n_turns += 1
    assert n_turns > 100, "this thread went on all the while"
    assert time.thread_time() - before_s < 2


def test_the_largest_allowed_text_comes_back_whole_and_one_more_character_does_not() -> None:
    text = "世" * (MAX_RENDERED_CHARACTERS // 4)
    runner = TemplateRunner({"four": "{% for i in range(4) %}{{ x }}{% endfor %}{{ y }}"}, {})
    assert len(runner.render("four", {"x": text, "y": ""})) == MAX_RENDERED_CHARACTERS
    with pytest.raises(TemplateLimitExceeded, match="characters"):
        runner.render("four", {"x": text, "y": "!"})
    runner.close()


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe|not callable"),
        ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
        ("{{ messages.nothing.more }}", "no attribute 'nothing'"),
        ("{{ 1 // 0 }}", "zero"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        (r"{{ '\ud800' }}", "surrogate"),
        ("{{ raise_exception('a' * 100000) }}", "refuses them: a{500}$"),
    ],
)
def test_what_a_template_raises_is_told(template: str, reason: str) -> None:
    runner = TemplateRunner({"default": template}, {})
    with pytest.raises(TemplateRefused, match=reason):
        runner.render("default", HELLO)
    runner.close()


def test_half_a_surrogate_pair_in_a_variable_is_refused_and_nothing_breaks() -> None:
    runner = TemplateRunner({"default": "{{ x }}"}, {})
    with pytest.raises(TemplateFailed, match="surrogate"):
        runner.render("default", {"x": "\ud800"})
    assert runner.render("default", {"x": "fine"}) == "fine"
    runner.close()


def test_the_process_has_no_secrets_and_ends_with_its_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCHAT_WORKER_ACCESS_TOKEN", "secret")
    before = set(psutil.Process().children())
    runner = TemplateRunner({"default": "x"}, {})
    runner.render("default", {})
    (child,) = set(psutil.Process().children()) - before
    assert "secret" not in json.dumps(child.environ())
    del runner
    gc.collect()
    assert not child.is_running()


def test_the_process_ends_when_its_worker_is_killed() -> None:
    program = (
        "import sys\n"
        "from gpu_worker.prompts.template_runner import TemplateRunner\n"
        "runner = TemplateRunner({'default': 'rendered'}, {})\n"
        "print(runner.render('default', {}), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "rendered\n"
        (child,) = psutil.Process(worker.pid).children()
        worker.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_closing_does_not_wait_for_a_text_that_never_ends() -> None:
    runner = TemplateRunner({"default": HOSTILE["loops"], "honest": "x"}, {})
    before = set(psutil.Process().children())
    runner.render("honest", {})
    (child,) = set(psutil.Process().children()) - before
    failures: list[str] = []

    def work() -> None:
        try:
            runner.render("default", HELLO)
        except TemplateFailed as exc:
            failures.append(str(exc))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    eventually(lambda: child.cpu_times().user > 0.3)
    runner.close()
    for thread in threads:
        thread.join(10)
    assert failures == ["is closed: the model is not served any more"] * 5


async def test_a_slow_template_delays_no_other_model(tiny: Path, tokenizer: Any) -> None:
    slow_tokenizer = AutoTokenizer.from_pretrained(tiny)
    slow_tokenizer.chat_template = "{% if messages | length > 1 %}" + HOSTILE["loops"] + "{% endif %}fine"
    slow, other = (
        Prompter("slow", slow_tokenizer, Context.shared(100)),
        Prompter("other", tokenizer, Context.shared(100)),
    )
    two = [Message("user", "a"), Message("assistant", "b")]
    waiting = [asyncio.create_task(slow.in_thread(partial(slow.chat, two))) for _ in range(20)]
    assert (await other.in_thread(partial(other.chat, two))).text.startswith("<s>user: a")
    assert not all(task.done() for task in waiting)
    slow.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, WorkerError) for result in results)
    other.close()


def test_a_closed_runner_renders_nothing_more() -> None:
    runner = TemplateRunner({"default": "x"}, {})
    runner.close()
    with pytest.raises(TemplateFailed, match="is closed"):
        runner.render("default", {})


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if %}", "evil: its chat template is no valid one: Expected an expression.*line 1.*--template"),
        (HOSTILE["width"], "evil: its chat template was stopped: it needs more than 1024 MiB of memory"),
        ({"tool_use": "x"}, "evil: its chat template comes in several kinds, and none of them is the default"),
    ],
)
def test_a_broken_template_is_refused_at_loading_by_the_models_name(tiny: Path, template: Any, reason: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = template
    with pytest.raises(ModelRefused, match=reason):
        Prompter("evil", tokenizer, Context.shared(100))


def test_a_template_that_turns_hostile_is_the_requests_error(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = "{% if messages | length > 1 %}" + HOSTILE["width"] + "{% endif %}fine"
    prompter = Prompter("evil", tokenizer, Context.shared(100))
    with pytest.raises(WorkerError, match="messages: the chat template of evil was stopped") as caught:
        prompter.chat([Message("user", "a"), Message("assistant", "b")])
    assert caught.value.http_status == 400
    assert prompter.chat([Message("user", "a")]).text == "fine"


def test_ten_thousand_messages_are_rendered(tokenizer: Any) -> None:
    prompter = Prompter("parrot", tokenizer, Context.shared(1_000_000))
    prompt = prompter.chat([Message(("user", "assistant")[i % 2], f"message {i}") for i in range(10_000)])
    assert prompt.text.count("\n") == 10_000
    assert prompt.text.endswith("message 9999\n</s>assistant: ")
