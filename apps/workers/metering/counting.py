"""How many tokens a call may come to use at most: its prompt, counted by a worker, and the longest answer.

Only asked for when a limit on tokens or cost is in force, because it costs a round trip.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, assert_never

from django.utils import timezone

from apps.accounts.errors import LimitNeedsBound
from apps.accounts.quota import Need
from apps.catalog.selectors import context_length_get
from apps.core.threads import in_thread
from apps.workers import client, selectors
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import WorkerInternal, WorkerMismatch, WorkerOverloaded, WorkerRefused, WorkerUnreachable
from apps.workers.metering.unseen import token_bound, token_guess
from apps.workers.target import Target
from apps.workers.transport import TransportFailed
from gpu_worker.protocol import MAX_CHOICES, MAX_INPUTS, WorkerErrorCode

Json = dict[str, Any]

DEFAULT_COMPLETION_TOKENS = 16
"""Source: OpenAI API reference, "Create completion" (legacy), `max_tokens`."""
COUNTED_AT_ONCE = 8
COUNTED_WITHIN_S = 10.0
"""By one worker, of one text. A worker that is silent for longer is taken for one that fails."""


async def need_of(call: Call) -> Need:
    """Raises: WorkerRefused for what no worker would take, and what its workers raise; LimitNeedsBound."""
    match call.path:
        case WorkerPath.CHAT_COMPLETIONS:
            return await _need_of_chat(call)
        case WorkerPath.COMPLETIONS:
            return await _need_of_completion(call)
        case WorkerPath.EMBEDDINGS:
            return Need(sum(await _tokens_of_inputs(call)), 0)
        case WorkerPath.TOKENIZE:
            return Need(0, 0)  # no model is asked
    assert_never(call.path)


def shortened(call: Call, max_tokens: int) -> Json:
    """The call's body with so many tokens for each choice, said aloud: no worker's default may be longer."""
    names = ("max_completion_tokens", "max_tokens") if call.path is WorkerPath.CHAT_COMPLETIONS else ("max_tokens",)
    return {key: value for key, value in call.body.items() if key not in names} | {"max_tokens": max_tokens}


async def prompt_tokens(call: Call) -> int:
    """The tokens of the prompt alone; about so many if a provider reads it. Raises: as `need_of`."""
    if call.path is WorkerPath.TOKENIZE:
        return 0
    if await in_thread(selectors.model_has_provider, call.model):
        return await asyncio.to_thread(token_guess, call.prompt)
    match call.path:
        case WorkerPath.CHAT_COMPLETIONS:
            return (await _tokenized_chat(call, await in_thread(_targets, call.model)))[0]
        case WorkerPath.COMPLETIONS:
            return sum(await _tokens_of_prompts(call, await in_thread(_targets, call.model)))
        case WorkerPath.EMBEDDINGS:
            return sum(await _tokens_of_inputs(call))
    assert_never(call.path)


async def _need_of_chat(call: Call) -> Need:
    n_choices = _whole(call.body, "n", least=1, most=MAX_CHOICES) or 1
    wanted = _whole(call.body, "max_completion_tokens", least=1)
    if wanted is None:
        wanted = _whole(call.body, "max_tokens", least=1)
    targets = await in_thread(_targets, call.model)
    if _has_provider(targets):
        return await _need_unseen(call, targets, wanted, n_choices)
    n_prompt, context_length = await _tokenized_chat(call, targets)
    return _need(n_prompt, context_length - n_prompt, wanted, n_choices)


async def _need_of_completion(call: Call) -> Need:
    n_choices = _whole(call.body, "n", least=1, most=MAX_CHOICES) or 1
    wanted = _whole(call.body, "max_tokens", least=0)
    targets = await in_thread(_targets, call.model)
    if _has_provider(targets):
        n_prompts = len(_items(call.body.get("prompt"), "prompt", most=MAX_CHOICES))
        default = DEFAULT_COMPLETION_TOKENS if wanted is None else wanted
        return await _need_unseen(call, targets, default, n_choices * n_prompts)
    prompts = await _tokens_of_prompts(call, targets)
    n_free = await _context_length(call) - min(prompts)
    need = _need(sum(prompts), min(n_free, DEFAULT_COMPLETION_TOKENS) if wanted is None else n_free, wanted, n_choices)
    return Need(need.prompt_tokens, need.max_tokens, n_choices * len(prompts), need.may_shorten)


async def _need_unseen(call: Call, targets: Sequence[Target], wanted: int | None, n_choices: int) -> Need:
    """Of a prompt that a provider reads. How much room it leaves is not known, so the answer may have all of it."""
    longest = await _context_length(call)
    told = [t.upstream.longest_answer for t in targets if t.upstream is not None]
    n_free = min([longest, *(n for n in told if n is not None)])
    n_prompt = min(await asyncio.to_thread(token_bound, call.prompt), longest)
    need = _need(n_prompt, n_free, wanted, n_choices)
    return replace(need, is_exact=False)


def _need(n_prompt: int, n_free: int, wanted: int | None, n_choices: int) -> Need:
    # A prompt without room for an answer is the worker's to refuse, in its own words.
    n_free = max(n_free, 0)
    longest = n_free if wanted is None else min(wanted, n_free)
    return Need(n_prompt, longest, n_choices, may_shorten=wanted is None)


async def _tokenized_chat(call: Call, targets: Sequence[Target]) -> tuple[int, int]:
    fields = await in_thread(selectors.prompt_fields, call.model)
    return _counted(await _asked(targets, {"model": call.model} | call.prompt | fields))


async def _tokens_of_prompts(call: Call, targets: Sequence[Target]) -> list[int]:
    items = _items(call.body.get("prompt"), "prompt", most=MAX_CHOICES)

    async def count(item: str | list[object]) -> int:
        if isinstance(item, list):
            return len(item)
        return _counted(await _asked(targets, {"model": call.model, "prompt": item}))[0]

    counts: list[int] = []
    for first in range(0, len(items), COUNTED_AT_ONCE):
        counts += await asyncio.gather(*map(count, items[first : first + COUNTED_AT_ONCE]))
    return counts


async def _tokens_of_inputs(call: Call) -> list[int]:
    """Vectors are made of as much of a text as fits: more than the context is refused."""
    items = _items(call.body.get("input"), "input", most=MAX_INPUTS)
    longest = await _context_length(call) if any(isinstance(item, str) for item in items) else 0
    return [len(item) if isinstance(item, list) else longest for item in items]


def _has_provider(targets: Sequence[Target]) -> bool:
    """Then nobody of ours may count: another tokenizer may find more."""
    return any(target.upstream is not None for target in targets)


def _items(value: object, field: str, *, most: int) -> list[str | list[object]]:
    """Texts and token ids, no more of them than a worker takes.

    Source: OpenAI API reference, `prompt` and `input`: a text, token ids, or a list of either.
    """
    items: list[Any] = value if isinstance(value, list) and value and not isinstance(value[0], int) else [value]
    if len(items) > most:
        raise _invalid(field, f"at most {most} at once, found {len(items)}")
    if not all(isinstance(item, str | list) for item in items):
        raise _invalid(field, "expected a text, token ids, or a list of them")
    return items


async def _context_length(call: Call) -> int:
    length = await in_thread(context_length_get, call.model)
    if length is None:
        raise LimitNeedsBound(
            model=call.model, reason="nobody has said how long its context is; an admin may, on the provider's page"
        )
    return length


async def _asked(targets: Sequence[Target], body: Json) -> Json:
    """Ask one worker after another, if need be. Raises: WorkerUnreachable; WorkerRefused."""
    failures: list[str] = []
    for target in targets:
        try:
            async with asyncio.timeout(COUNTED_WITHIN_S):
                return await client.completion(target, WorkerPath.TOKENIZE, body)
        except TimeoutError:
            failures.append(f"worker {target.worker_id}: no count within {COUNTED_WITHIN_S:g} s")
        except (TransportFailed, WorkerInternal, WorkerMismatch, WorkerOverloaded) as exc:
            failures.append(f"worker {target.worker_id}: {exc}")
    raise WorkerUnreachable(model=body["model"], attempts="; ".join(failures))


def _targets(model: str) -> list[Target]:
    """The model's workers, the idlest first. Raises: NoWorker, ModelLoading, ModelFailed."""
    now = timezone.now()
    hosts = {host.worker_id: host for host in selectors.hosts_serving(model)}
    candidates = [host.worker.candidate(now) for host in hosts.values()]
    idlest = sorted(candidates, key=lambda c: (c.is_cooling, c.load))
    return [selectors.target_at(hosts[candidate.worker_id]) for candidate in idlest]


def _counted(reply: Json) -> tuple[int, int]:
    count, longest = reply.get("count"), reply.get("max_model_len")
    if not isinstance(count, int) or not isinstance(longest, int):
        raise WorkerInternal(reason="it does not say how many tokens a prompt has")
    return count, longest


def _whole(body: Json, name: str, *, least: int, most: int = 2**31) -> int | None:
    """A whole number, as workers read it: 5.0 is one too. Raises: WorkerRefused."""
    value = body.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value // 1
        or not least <= value <= most
    ):
        raise _invalid(name, f"expected a whole number from {least} to {most}")
    return int(value)


def _invalid(param: str, reason: str) -> WorkerRefused:
    return WorkerRefused(reason=f"{param}: {reason}", worker_code=WorkerErrorCode.INVALID_REQUEST, param=param)
