"""One answer of a generation, in OpenAI's shapes: what goes into its events, and what into a reply in one piece.

Source: OpenAI API reference, "The chat completion object", "The chat completion chunk object" and "The completion
object". It knows no ids, no numbers of events and no HTTP.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpu_worker.engine.logprobs import TokenLogprobs
from gpu_worker.engine.request import StepOutput
from gpu_worker.engine.token_text import TokenText
from gpu_worker.protocol import FinishReason, Json


class Choice(ABC):
    """One of the answers that a call asks for."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.n_tokens = 0
        self.n_cached: int | None = None
        """Tokens of its prompt that were not computed for it, as far as that is known."""
        self.last_token_at: float | None = None
        self.finish_reason: FinishReason | None = None
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @abstractmethod
    def opening(self) -> list[Json]:
        """What the stream says of this choice before anything is computed."""

    @abstractmethod
    def take(self, output: StepOutput) -> list[Json]:
        """Keep what one engine step made; return what the stream says of it."""

    @abstractmethod
    def whole(self) -> Json:
        """The choice in a reply in one piece."""

    def count(self, output: StepOutput) -> None:
        self.n_tokens = output.n_tokens
        if output.n_cached is not None:
            self.n_cached = output.n_cached


class ChatChoice(Choice):
    """An assistant's message."""

    def __init__(self, index: int, tokens: TokenText | None = None, begins_with: str = "") -> None:
        """`tokens`: when log probabilities are asked for. `begins_with`: what its prompt has of the answer already."""
        super().__init__(index)
        self._tokens = tokens
        self._texts = [begins_with]
        self._logprobs: list[Json] = []
        self._unsent: list[Json] = []
        """Of the entries, those that no chunk has carried yet."""

    def opening(self) -> list[Json]:
        return [self._chunk({"role": "assistant", "content": self.text})]

    def take(self, output: StepOutput) -> list[Json]:
        self.count(output)
        if self._tokens is not None and output.logprobs:
            entries = [chat_logprob(entry, self._tokens) for entry in output.logprobs]
            self._logprobs += entries
            self._unsent += entries
        chunks = [self._chunk(delta) for delta in self.deltas(output)]
        if output.finish_reason is not None:
            self.finish_reason = self.reason(output.finish_reason)
            chunks.append(self._chunk({}, reason=self.finish_reason))
        if chunks:
            chunks[0]["logprobs"] = {"content": self._unsent, "refusal": None} if self._unsent else None
            self._unsent = []
        return chunks

    def deltas(self, output: StepOutput) -> list[Json]:
        """What is new of the message."""
        if not output.text:
            return []
        self._texts.append(output.text)
        return [{"content": output.text}]

    def reason(self, given: FinishReason) -> FinishReason:
        return given

    def message(self) -> Json:
        return {"role": "assistant", "content": self.text}

    def whole(self) -> Json:
        return {
            "index": self.index,
            "message": self.message(),
            "logprobs": None if self._tokens is None else {"content": self._logprobs, "refusal": None},
            "finish_reason": self.finish_reason,
        }

    def _chunk(self, delta: Json, *, reason: FinishReason | None = None) -> Json:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": reason}


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt that a completion repeats. `offsets`: where each of its tokens begins in the text."""

    text: str
    token_ids: Sequence[int]
    offsets: Sequence[int]


class TextChoice(Choice):
    """The text that continues a prompt."""

    def __init__(self, index: int, tokens: TokenText | None = None, echo: Echo | None = None) -> None:
        """`tokens`: when log probabilities are asked for."""
        super().__init__(index)
        self._tokens = tokens
        self._echo = echo
        self._logprobs = legacy_logprobs([], tokens) if tokens is not None else None

    def opening(self) -> list[Json]:
        """The prompt, unless it must wait for its log probabilities."""
        if self._echo is None or self._tokens is not None:
            return []
        self._texts.append(self._echo.text)
        return [self._chunk(self._echo.text)]

    def take(self, output: StepOutput) -> list[Json]:
        self.count(output)
        chunks = []
        if output.prompt_logprobs is not None and self._echo is not None and self._tokens is not None:
            self._texts.append(self._echo.text)
            chunks.append(self._chunk(self._echo.text, self._echoed(self._echo, output.prompt_logprobs, self._tokens)))
        logprobs = None
        if self._tokens is not None and output.logprobs:
            shift = len(self._echo.text) if self._echo is not None else 0
            logprobs = self._kept(legacy_logprobs(output.logprobs, self._tokens, shift))
        if output.text:
            self._texts.append(output.text)
            chunks.append(self._chunk(output.text, logprobs))
            logprobs = None
        if output.finish_reason is not None:
            self.finish_reason = output.finish_reason
            chunks.append(self._chunk("", logprobs, output.finish_reason))
        return chunks

    def whole(self) -> Json:
        return self._chunk(self.text, self._logprobs, self.finish_reason)

    def _echoed(self, echo: Echo, scored: Sequence[TokenLogprobs], tokens: TokenText) -> Json:
        first: Json = {
            "tokens": [tokens.name(echo.token_ids[0])],
            "token_logprobs": [None],
            "top_logprobs": [None],
            "text_offset": [0],
        }
        rest = legacy_logprobs(scored, tokens) | {"text_offset": list(echo.offsets[1:])}
        return self._kept({key: first[key] + rest[key] for key in first})

    def _kept(self, logprobs: Json) -> Json:
        if self._logprobs is not None:
            for key, values in logprobs.items():
                self._logprobs[key] += values
        return logprobs

    def _chunk(self, text: str, logprobs: Json | None = None, reason: FinishReason | None = None) -> Json:
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": reason}


def chat_logprob(entry: TokenLogprobs, tokens: TokenText) -> Json:
    """One entry of `choices[].logprobs.content`."""
    top = [_named(token_id, logprob, tokens) for token_id, logprob in entry.top]
    return {**_named(entry.token_id, entry.logprob, tokens), "top_logprobs": top}


def _named(token_id: int, logprob: float, tokens: TokenText) -> Json:
    raw = tokens.raw(token_id)
    return {"token": tokens.name(token_id), "logprob": logprob, "bytes": None if raw is None else list(raw)}


def legacy_logprobs(entries: Iterable[TokenLogprobs], tokens: TokenText, shift: int = 0) -> Json:
    """`choices[].logprobs` of a completion. The token itself is among its `top_logprobs`, however unlikely it is."""
    entries = list(entries)
    return {
        "tokens": [tokens.name(entry.token_id) for entry in entries],
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": [
            {tokens.name(token_id): logprob for token_id, logprob in (*entry.top, (entry.token_id, entry.logprob))}
            for entry in entries
        ],
        "text_offset": [entry.offset + shift for entry in entries],
    }
