"""How child servers are asked for a completion, and how their events read. Plain functions of JSON.

What a server cannot do exactly as our own engine does is refused by name.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Protocol

from gpu_worker.engine.interface import EngineKind
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.token_text import TokenText
from gpu_worker.errors import unsupported
from gpu_worker.protocol import FinishReason, Json


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event adds to an answer."""

    text: str = ""
    n_tokens: int | None = None
    """Generated so far, if the event says so."""
    finish_reason: FinishReason | None = None
    n_cached: int | None = None
    """Tokens of the prompt that were not computed, if the event says so."""
    is_end: bool = False
    """Nothing of this answer comes after it."""


class Dialect(Protocol):
    """One server's language. Stop strings are found by the worker, so that they mean the same everywhere."""

    kind: EngineKind
    path: str
    supported: frozenset[str]
    """Fields of `SamplingParams`."""

    def body(self, request: Request) -> Json:
        """The JSON that asks for a stream."""

    def check(self, params: SamplingParams) -> None:
        """Raises: WorkerError (unsupported_parameter) for a value that the server cannot do, of a field that it can."""

    def read(self, event: Json, params: SamplingParams) -> Piece:
        """Raises: KeyError, TypeError, ValueError, IndexError, AttributeError for what is no event of this server."""


NO_TOKEN = -1

COMMON = frozenset(
    {"max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "logit_bias", "seed", "stop"}
    | {"ignore_eos"}
)


def refuse_unsupported(dialect: Dialect, params: SamplingParams) -> None:
    """Raises: WorkerError (unsupported_parameter) for the first field that asks for what the server does not do."""
    for field in fields(params):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if field.name not in dialect.supported and getattr(params, field.name) != default:
            problem = "holds no answer to a format" if field.name == "grammar" else "does not support it"
            raise unsupported(
                _asked_by(field.name, params), f"the engine {dialect.kind}, which serves this model, {problem}"
            )
    if params.max_tokens < 1:
        raise unsupported("max_tokens", f"the engine {dialect.kind}, which serves this model, answers at least a token")
    dialect.check(params)


def _asked_by(name: str, params: SamplingParams) -> str:
    """What a request calls a field of `SamplingParams`."""
    if name == "grammar" and params.grammar is not None:
        return params.grammar.param
    return "tools" if name == "shows_markers" else name


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """A model's special tokens, as llama.cpp writes them: the worker shows none but those that mark tool calls."""

    texts: Mapping[int, str]
    markers: frozenset[int]


class LlamaCpp:
    """llama.cpp's server. Source: llama.cpp, tools/server/README.md, "POST /completion".

    Not offered, because it does them otherwise than our engine:

    * presence and frequency penalties: it counts the prompt's tokens into them;
    * log probabilities: it tells none of a token that ends inside a character;
    * grammars: an ambiguous one takes it time and memory that double with each token, and all answers wait.
    """

    kind = EngineKind.LLAMACPP
    path = "/completion"
    supported = COMMON | {"stop_token_ids", "shows_markers"}

    def __init__(self, tokens: TokenText, control: ControlTokens) -> None:
        self._tokens = tokens
        self._control = control

    def check(self, params: SamplingParams) -> None:
        for token in params.stop_token_ids:
            if not self._tokens.is_whole(token):
                problem = f"the token {token} is a part of a character, which the engine {self.kind} does not tell of"
                raise unsupported("stop_token_ids", problem)

    def body(self, request: Request) -> Json:
        params = request.params
        return {
            "prompt": request.prompt_ids,
            "stream": True,
            "cache_prompt": True,
            "timings_per_token": True,  # with the number of cached tokens, also of an answer that a stop string ends
            "n_predict": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "min_p": params.min_p,
            "repeat_penalty": params.repetition_penalty,
            "repeat_last_n": request.n_reserved,  # all tokens
            "logit_bias": [[token, bias] for token, bias in params.logit_bias],
            # Its seeds have 32 bits, of which one value means "any".
            "seed": -1 if params.seed is None else params.seed % (2**32 - 1),
            "ignore_eos": params.ignore_eos,
            # Our order: probabilities are cut after the temperature.
            "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        }

    def read(self, event: Json, params: SamplingParams) -> Piece:
        text, n_tokens = str(event["content"]), int(event["tokens_predicted"])
        n_cached = int(event["timings"]["cache_n"])
        if not event["stop"]:
            # The last one: half characters before it come with it.
            token = event["tokens"][-1] if event["tokens"] else NO_TOKEN
            if token in params.stop_token_ids:
                own = self._control.texts.get(token, self._tokens.name(token))
                return Piece(text.removesuffix(own), n_tokens, FinishReason.STOP, n_cached, is_end=True)
            return Piece(self._shown(text, token, params), n_tokens, n_cached=n_cached)
        reason = {"eos": FinishReason.STOP, "limit": FinishReason.LENGTH}[event["stop_type"]]
        return Piece(text, n_tokens, reason, n_cached, is_end=True)

    def _shown(self, text: str, token: int, params: SamplingParams) -> str:
        if token not in self._control.texts or (params.shows_markers and token in self._control.markers):
            return text
        return text.removesuffix(self._control.texts[token])


class Vllm:
    """vLLM's OpenAI server. Source: vLLM, "OpenAI-Compatible Server", completions API with extra parameters."""

    kind = EngineKind.VLLM
    path = "/v1/completions"
    supported = COMMON | {"presence_penalty", "frequency_penalty", "min_tokens", "stop_token_ids"}

    def __init__(self, model: str) -> None:
        self._model = model

    def body(self, request: Request) -> Json:
        params = request.params
        body: Json = {
            "model": self._model,
            "prompt": request.prompt_ids,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "max_tokens": params.max_tokens,
            "min_tokens": params.min_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k or -1,
            "min_p": params.min_p,
            "repetition_penalty": params.repetition_penalty,
            "presence_penalty": params.presence_penalty,
            "frequency_penalty": params.frequency_penalty,
            "stop_token_ids": list(params.stop_token_ids),
            "ignore_eos": params.ignore_eos,
        }
        if params.logit_bias:
            body["logit_bias"] = {str(token): bias for token, bias in params.logit_bias}
        if params.seed is not None:
            body["seed"] = params.seed
        return body

    def check(self, params: SamplingParams) -> None:
        """It does whatever its fields may say."""

    def read(self, event: Json, params: SamplingParams) -> Piece:
        usage: Json = event.get("usage") or {}
        n_tokens = int(usage["completion_tokens"]) if usage else None
        if not event["choices"]:
            # Left out where nothing was cached.
            details = usage.get("prompt_tokens_details") or {"cached_tokens": 0}
            return Piece(n_tokens=n_tokens, n_cached=int(details["cached_tokens"]), is_end=True)
        choice = event["choices"][0]
        reason = {None: None, "stop": FinishReason.STOP, "length": FinishReason.LENGTH}[choice["finish_reason"]]
        return Piece(str(choice["text"]), n_tokens, reason)
