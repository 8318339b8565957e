"""The embeddings door: a checked request, its way through one model's engine, and the reply.

Source: OpenAI API reference, "Create embeddings". Used on the event loop's thread.
"""

import asyncio
import base64
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gpu_worker.errors import WorkerError, invalid, unsupported
from gpu_worker.protocol import MAX_INPUTS, Json, WorkerErrorCode
from gpu_worker.server.fields import Fields, checked_text, kind

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_worker.engine.embedding import EmbeddingEngine
    from gpu_worker.modeling.embedding import LoadedEmbedder
    from gpu_worker.server.metrics import ModelMetrics

SHORTEST_TOKEN_SHARE = 4
"""A normaliser may shorten text before it is cut into tokens; none in use shortens it fourfold."""

TextInput = str | list[int]
"""A text, or its token ids."""


class EncodingFormat(StrEnum):
    """How a vector is written."""

    FLOAT = "float"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """A checked embeddings request."""

    model: str
    inputs: list[TextInput]
    encoding: EncodingFormat
    dimensions: int | None


def parse_embedding(body: Json) -> EmbeddingCall:
    """Raises: WorkerError (invalid_request) that names the field."""
    fields = Fields(body)
    dimensions = fields.integer("dimensions")
    if dimensions is not None and dimensions < 1:
        raise invalid("dimensions", f"expected a whole number from 1, found {dimensions}")
    encoding = fields.get("encoding_format")
    if encoding is not None and (not isinstance(encoding, str) or encoding not in set(EncodingFormat)):
        raise invalid("encoding_format", f"expected float or base64, found {str(encoding)[:40]!r}")
    return EmbeddingCall(
        model=fields.text("model"),
        inputs=_inputs(fields.get("input")),
        encoding=EncodingFormat(encoding or EncodingFormat.FLOAT),
        dimensions=dimensions,
    )


def _inputs(value: object) -> list[TextInput]:
    if isinstance(value, str):
        return [_text(value, "input")]
    if not isinstance(value, list):
        raise invalid("input", f"expected a text, token ids, or a list of those, found {kind(value)}")
    if not value:
        raise invalid("input", "the list is empty")
    if _is_token(value[0]):
        return [_tokens(value, "input")]
    if len(value) > MAX_INPUTS:
        raise invalid("input", f"at most {MAX_INPUTS} texts at once, found {len(value)}")
    return [_input(item, f"input[{index}]") for index, item in enumerate(value)]


def _input(value: object, name: str) -> TextInput:
    if isinstance(value, str):
        return _text(value, name)
    if isinstance(value, list):
        return _tokens(value, name)
    raise invalid(name, f"expected a text or token ids, found {kind(value)}")


def _text(value: str, name: str) -> str:
    if not value:
        raise invalid(name, "the text is empty")
    return checked_text(value, name)


def _tokens(value: list[object], name: str) -> list[int]:
    if not value:
        raise invalid(name, "the list is empty")
    found = [token for token in value if isinstance(token, int) and not isinstance(token, bool) and token >= 0]
    if len(found) != len(value):
        raise invalid(name, "expected token ids, which are whole numbers from 0")
    return found


def _is_token(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Embedder:
    """One embedding model at work: its requests and what they wait for."""

    def __init__(self, loaded: "LoadedEmbedder", engine: "EmbeddingEngine", metrics: "ModelMetrics") -> None:
        from gpu_worker.prompts.encoding import TextEncoder

        self.loaded = loaded
        self._engine = engine
        self._metrics = metrics
        self._encoder = TextEncoder(loaded.tokenizer)
        self._longest_token = max(map(len, loaded.tokenizer.get_vocab()), default=1)
        self._waiting: dict[str, asyncio.Future[Tensor]] = {}

    @property
    def n_requests(self) -> int:
        return len(self._waiting)

    def check(self, call: EmbeddingCall) -> None:
        """Raises: WorkerError for what this model cannot do."""
        if call.dimensions is not None and not self.loaded.shortens_to(call.dimensions):
            raise unsupported(
                "dimensions",
                f"the vectors of {self.loaded.name} have {self.loaded.size}, and it cannot shorten them so",
            )

    def token_ids(self, call: EmbeddingCall) -> list[list[int]]:
        """The token ids of every input. Slow for long ones. Raises: WorkerError (context_length_exceeded, invalid)."""
        return [self._ids(text, index, len(call.inputs)) for index, text in enumerate(call.inputs)]

    async def vectors(self, request_id: str, texts: list[list[int]]) -> "Tensor":
        """`[len(texts), size]`. Whoever stops waiting ends the request. Raises: WorkerError."""
        future: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        self._engine.submit(request_id, texts)
        self._waiting[request_id] = future
        try:
            vectors = await future
        except WorkerError as exc:
            self._metrics.embedded(0, "failed", exc.code)
            raise
        except asyncio.CancelledError:
            self._metrics.embedded(0, "aborted", "disconnected")
            raise
        finally:
            del self._waiting[request_id]
            self._engine.cancel(request_id)
        self._metrics.embedded(sum(map(len, texts)), "finished", "stop")
        return vectors

    def take(self, request_id: str, result: "Tensor | WorkerError") -> None:
        """What the engine has for a request."""
        future = self._waiting.get(request_id)
        if future is None or future.done():
            return
        if isinstance(result, WorkerError):
            future.set_exception(result)
        else:
            future.set_result(result)

    def close(self, timeout_s: float) -> bool:
        """Stop the engine; what still runs ends with an error. Blocks; False if it does not stop in time."""
        return self._engine.close(timeout_s)

    def _ids(self, text: TextInput, index: int, n_inputs: int) -> list[int]:
        name = "input" if n_inputs == 1 else f"input[{index}]"
        if isinstance(text, list):
            if max(text) >= self.loaded.n_vocabulary:
                raise invalid(name, f"the model has {self.loaded.n_vocabulary} tokens, so there is no {max(text)}")
            return self._fitting(text, name)
        # Megabytes that cannot fit are not worth the seconds that it takes to cut them into tokens.
        fewest = len(text) // (self._longest_token * SHORTEST_TOKEN_SHARE)
        if fewest > self.loaded.context_length:
            raise self._too_long(f"more than {fewest}", name)
        ids = self._encoder.encode(self.loaded.settings.prefix + text, add_special_tokens=True).ids
        if not ids:
            raise invalid(name, "the text has no tokens")
        return self._fitting(ids, name)

    def _fitting(self, ids: list[int], name: str) -> list[int]:
        if len(ids) > self.loaded.context_length:
            raise self._too_long(str(len(ids)), name)
        return ids

    def _too_long(self, n_tokens: str, name: str) -> WorkerError:
        return WorkerError(
            WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED,
            f"{name}: the text is {n_tokens} tokens long, and the model reads at most {self.loaded.context_length}",
            param=name,
        )


def embedding_reply(call: EmbeddingCall, vectors: "Tensor", n_tokens: int) -> Json:
    """OpenAI's object. Slow for many vectors."""
    from torch.nn import functional

    if call.dimensions is not None and call.dimensions < vectors.shape[1]:
        vectors = functional.normalize(vectors[:, : call.dimensions], dim=-1)
    if call.encoding is EncodingFormat.BASE64:
        written: list[object] = [base64.b64encode(row.tobytes()).decode() for row in vectors.numpy().astype("<f4")]
    else:
        written = vectors.tolist()
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(written)],
        "model": call.model,
        "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
    }
