"""A worker: its models, the generations that run on them, and whether it takes new work.

The endpoints call this; it knows no HTTP. All of it lives on the event loop's thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from gpu_worker.engine.request import SamplingParams
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.protocol import PROTOCOL_VERSION, Json, LeaseRequest, ModelState, WorkerErrorCode
from gpu_worker.server.call import Call
from gpu_worker.server.calling import calling_of
from gpu_worker.server.completions import CompletionCall
from gpu_worker.server.embeddings import EmbeddingCall
from gpu_worker.server.generations import Door, Generation, Opening
from gpu_worker.server.loading import LoadCall
from gpu_worker.server.metrics import Metrics
from gpu_worker.server.models import ModelPool, ServedModel, ServingOptions, new_request_id
from gpu_worker.server.schema import ChatCall, TokenizeCall
from gpu_worker.server.starting import (
    ReadPrompt,
    chat_choices,
    choice_requests,
    completion_choices,
    completion_requests,
)
from gpu_worker.server.store import GenerationStore

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_worker.modeling.source import ModelSpec


class Worker:
    """Everything that one worker process serves."""

    def __init__(
        self,
        specs: "Sequence[ModelSpec]",
        options: ServingOptions,
        *,
        access_token: str,
        on_change: Callable[[], None] = lambda: None,
        store: GenerationStore | None = None,
    ) -> None:
        self.access_token = access_token
        self.metrics = Metrics()
        self.store = store or GenerationStore()
        self.pool = ModelPool(specs, options, self.metrics, on_end=self._ended, on_change=on_change)
        self.is_draining = False
        self.is_offered = True
        """Without a site, always; with one, from when the site knows that all models are loaded."""
        self._ended_one = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether a request that comes in by the usual door would be answered."""
        return self.pool.is_ready and self.is_offered and not self.is_draining

    def site_took_note(self, request: LeaseRequest) -> None:
        """The site has granted a lease for this report."""
        if all(model.state is ModelState.LOADED for model in request.models):
            self.is_offered = True

    async def start(self, call: ChatCall) -> Generation:
        """Render, count and queue one chat. Raises: WorkerError."""
        model = self.pool.get(call.model)
        prompter = model.prompter
        self._refuse_if_draining()
        generation_id = call.generation_id
        if generation_id is not None:
            self.store.refuse_known(generation_id)
        tools = [] if call.tools is None else call.tools.tools
        render = partial(
            prompter.chat,
            call.messages,
            template=call.template,
            tools=tools,
            continue_final_message=call.continues,
        )
        prompt = await prompter.in_thread(render)
        prompt_ids = prompt.ids
        self._refuse_if_draining()
        params = self._params(model, call, len(prompt_ids), field="messages")
        params = params.stopping_also(prompt.stop, prompt.stop_token_ids)
        model.refuse(prompt_ids, params, call.n, field="messages")
        calling = None if call.tools is None else calling_of(call.tools, prompter.tool_format)
        grammar = await model.grammar(call.constraint if calling is None else calling.constraint)
        params = replace(params, grammar=grammar, shows_markers=calling is not None and model.has_marker_tokens)
        self._refuse_if_draining()
        opening = Opening(
            request_id=new_request_id(),
            model=model.name,
            n_prompt=len(prompt_ids),
            generation_id=generation_id,
            has_events=call.stream or generation_id is not None,
            sends_usage=call.include_usage or generation_id is not None,
        )
        if generation_id is not None:
            self.store.refuse_known(generation_id)
        generation = Generation(opening, chat_choices(call, model.tokens, calling, prompt.begins_with))
        model.start(generation, choice_requests(opening.request_id, prompt_ids, params, call.n, prompt.pictures))
        if generation_id is not None:
            self.store.add(generation_id, generation)
        return generation

    async def start_completion(self, call: CompletionCall) -> Generation:
        """Count and queue the prompts of one text completion. Raises: WorkerError."""
        model = self.pool.get(call.model)
        self._refuse_if_draining()
        prompts = await asyncio.to_thread(self._read_prompts, model, call)
        grammar = await model.grammar(call.constraint)
        prompts = [replace(prompt, params=replace(prompt.params, grammar=grammar)) for prompt in prompts]
        choices = await asyncio.to_thread(completion_choices, call, prompts, model.tokens, model.decode)
        self._refuse_if_draining()
        opening = Opening(
            request_id=new_request_id(),
            model=model.name,
            n_prompt=sum(len(prompt.ids) for prompt in prompts),
            n_prompts=len(prompts),
            has_events=call.stream,
            sends_usage=call.include_usage,
            door=Door.COMPLETIONS,
        )
        generation = Generation(opening, choices)
        model.start(generation, completion_requests(opening.request_id, call, prompts))
        return generation

    def _read_prompts(self, model: ServedModel, call: CompletionCall) -> list[ReadPrompt]:
        read = []
        for prompt in call.prompts:
            ids = model.prompter.text_ids(prompt) if isinstance(prompt, str) else list(prompt)
            if not ids:
                raise invalid("prompt", "it has no tokens")
            params = self._params(model, call, len(ids), field="prompt")
            model.refuse(ids, params, len(call.prompts) * call.n, field="prompt")
            read.append(ReadPrompt(prompt, ids, params))
        return read

    def _params(self, model: ServedModel, call: Call, n_prompt: int, *, field: str) -> SamplingParams:
        """How to sample after a prompt of so many tokens. Raises: WorkerError (context_length_exceeded)."""
        from gpu_worker.prompts.chat import context_exceeded

        n_free = model.context.room(n_prompt)
        if n_free < (0 if call.max_tokens == 0 else 1):
            raise context_exceeded(n_prompt, model.context, field=field)
        return call.params(n_free, model.sampling_defaults)

    async def embed(self, call: EmbeddingCall) -> "tuple[Tensor, int]":
        """Vectors `[inputs, size]` and the number of tokens that they were made of. Raises: WorkerError."""
        model = self.pool.get(call.model)
        embedder = model.embedder
        self._refuse_if_draining()
        embedder.check(call)
        texts = await asyncio.to_thread(embedder.token_ids, call)
        self._refuse_if_draining()
        try:
            return await embedder.vectors(new_request_id(), texts), sum(map(len, texts))
        finally:
            model.ended_one.set()
            self._ended_one.set()

    async def tokenize(self, call: TokenizeCall) -> Json:
        """The tokens of a chat or a text as the model would read them; of a chat its text too. Raises: WorkerError."""
        model = self.pool.get(call.model)
        prompter = model.prompter
        if isinstance(call.content, str):
            encode = partial(prompter.text_ids, call.content, add_special_tokens=call.add_special_tokens)
            ids = await prompter.in_thread(encode)
            return {"count": len(ids), "max_model_len": model.context_length, "tokens": ids}
        render = partial(
            prompter.chat,
            call.content,
            template=call.template,
            tools=[] if call.tools is None else call.tools.tools,
            add_generation_prompt=call.add_generation_prompt,
        )
        prompt = await prompter.in_thread(render)
        return {
            "count": len(prompt.ids),
            "max_model_len": model.context_length,
            "tokens": prompt.ids,
            "rendered": prompt.text,
        }

    def cancel(self, generation: Generation, reason: str) -> None:
        self.pool.cancel(generation, reason)

    def load(self, call: LoadCall) -> ServedModel:
        """Begin to load one more model. Raises: WorkerError."""
        self._refuse_if_draining()
        return self.pool.load(call)

    def lease_request(self, base_url: str, speed: float) -> LeaseRequest:
        return LeaseRequest(
            protocol=PROTOCOL_VERSION,
            base_url=base_url,
            access_token=self.access_token,
            device=self.pool.device,
            speed=speed,
            queue_length=self.pool.n_requests,
            version=version(),
            draining=self.is_draining,
            models=[replace(report, slots=self.pool.max_batch) for report in self.pool.reports()],
        )

    async def idle(self) -> None:
        """Return when nothing runs or waits."""
        while self.pool.n_requests:
            self._ended_one.clear()
            await self._ended_one.wait()

    def _refuse_if_draining(self) -> None:
        if self.is_draining:
            raise WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker is shutting down")

    def _ended(self, generation: Generation) -> None:
        self._ended_one.set()
        if generation.opening.generation_id is not None:
            self.store.end(generation.opening.generation_id)


def version() -> str:
    """The installed release, or `source` when run from a checkout that is not installed."""
    try:
        return metadata.version("fastchat-site")
    except metadata.PackageNotFoundError:
        return "source"
