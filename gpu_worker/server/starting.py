"""From a checked call to a generation and its requests: one request for each choice.

Pure, but for the clock. It queues nothing and renders no chat.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpu_worker.engine.detokenize import Decode, Detokenizer
from gpu_worker.engine.picture import Picture
from gpu_worker.engine.request import Request, SamplingParams, choice_seed
from gpu_worker.engine.token_text import TokenText
from gpu_worker.server.calling import Calling
from gpu_worker.server.calling_choice import CallingChoice
from gpu_worker.server.choices import ChatChoice, Echo, TextChoice
from gpu_worker.server.completions import CompletionCall, Prompt
from gpu_worker.server.schema import ChatCall


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """One prompt of a text completion as token ids, and how to sample after it."""

    prompt: Prompt
    ids: list[int]
    params: SamplingParams


def choice_requests(
    request_id: str, prompt_ids: Sequence[int], params: SamplingParams, n: int, pictures: tuple[Picture, ...] = ()
) -> list[Request]:
    """One request for each of `n` choices; with a seed, each has its own that follows from it."""
    now = time.perf_counter()
    seeded = [replace(params, seed=choice_seed(params.seed, i)) for i in range(n)]
    return [Request(f"{request_id}-{i}", list(prompt_ids), one, now, pictures=pictures) for i, one in enumerate(seeded)]


def chat_choices(call: ChatCall, tokens: TokenText, calling: Calling | None, begins_with: str) -> list[ChatChoice]:
    """`begins_with`: what the prompt has of the answer already. In front of JSON or a call it would be in the way."""
    named = tokens if call.has_logprobs else None
    if calling is None:
        return [ChatChoice(i, named, begins_with if call.constraint is None else "") for i in range(call.n)]
    return [CallingChoice(i, calling.parser(), named) for i in range(call.n)]


def completion_requests(request_id: str, call: CompletionCall, prompts: Sequence[ReadPrompt]) -> list[Request]:
    """In the order of the choices: those of the first prompt, then those of the second."""
    return [
        request
        for number, prompt in enumerate(prompts)
        for request in choice_requests(f"{request_id}-{number}", prompt.ids, prompt.params, call.n)
    ]


def completion_choices(
    call: CompletionCall, prompts: Sequence[ReadPrompt], tokens: TokenText, decode: Decode
) -> list[TextChoice]:
    """In the same order. Takes long for long prompts that are repeated with log probabilities."""
    named = tokens if call.has_logprobs else None
    echoes = [_echo(prompt, decode, has_offsets=call.has_logprobs) if call.echo else None for prompt in prompts]
    return [TextChoice(number * call.n + i, named, echo) for number, echo in enumerate(echoes) for i in range(call.n)]


def _echo(prompt: ReadPrompt, decode: Decode, *, has_offsets: bool) -> Echo:
    """A prompt's text comes back as it was given.

    Offsets count the text that the tokens stand for: the same, for a tokenizer that loses nothing.
    """
    text = prompt.prompt if isinstance(prompt.prompt, str) else decode(prompt.ids)
    return Echo(text, prompt.ids, token_offsets(prompt.ids, decode) if has_offsets else ())


def token_offsets(ids: Sequence[int], decode: Decode) -> list[int]:
    """How many characters there are before each token's own."""
    detokenizer = Detokenizer(decode)
    offsets, n_read = [], 0
    for token in ids:
        offsets.append(n_read)
        n_read += len(detokenizer.feed(token))
    return offsets
