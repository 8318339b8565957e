"""Chat messages to token ids, by the tokenizer's own chat template or by one of ours that was chosen by name.

It knows no HTTP: messages arrive checked.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gpu_worker.engine.context import Context
from gpu_worker.engine.picture import Picture
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.images import ImageRefused, read_image
from gpu_worker.modeling.source import ModelRefused
from gpu_worker.prompts.continuing import begins_with, joined, split_partial, split_thoughts
from gpu_worker.prompts.conversation import ConversationTemplate
from gpu_worker.prompts.encoding import Cover, Encoding, Shield, TextEncoder
from gpu_worker.prompts.message import Message
from gpu_worker.prompts.own_template import OwnTemplate
from gpu_worker.prompts.template_runner import TemplateFailed
from gpu_worker.prompts.turns import texts_in, turns_of, with_texts
from gpu_worker.protocol import Json, WorkerErrorCode
from gpu_worker.tools.formats import MISTRAL, ToolFormat, format_of

if TYPE_CHECKING:
    from gpu_worker.modeling.processor import ImageProcessor

MAX_THREADS = 4
"""Of one model. Its own template is rendered by one at a time, while others cut their texts into tokens."""

SAFETY = 4
"""A normaliser may shorten text before it is cut into tokens; none in use shortens it fourfold."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads, as tokens and as text, and what ends its answer because of the format."""

    ids: list[int]
    text: str
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    pictures: tuple[Picture, ...] = ()
    """What the model sees, in the order of the places that are kept for it."""
    begins_with: str = ""
    """What stands at the end of the prompt and is the beginning of the answer: the mark of thoughts, or nothing."""


class Prompter:
    """Renders and counts prompts for one model. Safe to use from several threads."""

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        context: Context,
        template: ConversationTemplate | None = None,
        image_processor: "ImageProcessor | None" = None,
    ) -> None:
        """`template`: used instead of the tokenizer's own. `image_processor`: of a model that sees images.

        Raises: ModelRefused: the tokenizer's own is no template.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._context = context
        self._n_tokens = len(tokenizer)
        self._vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._longest_token = max(map(len, self._vocabulary), default=1)
        self._encoder = TextEncoder(tokenizer)
        self._images = image_processor
        image_words = [] if image_processor is None else [image_processor.image_token]
        self._shield = Shield(tokenizer, self._encoder, image_words)
        self._template = template
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix=f"prompts of {model}")
        self._own = OwnTemplate(tokenizer) if tokenizer.chat_template and template is None else None
        if self._own is not None:
            self._try_own(self._own)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        template: ConversationTemplate | None = None,
        tools: Sequence[Json] = (),
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> Prompt:
        """The prompt of a chat, ending where the assistant's answer begins. `template`: for this chat alone.

        `tools`: functions that the model may call, in OpenAI's shape. `continue_final_message`: the last message is the
        beginning of the answer, and the prompt ends with it.
        Raises: WorkerError: no chat template, a template that refuses these messages or knows no tools, or more than
        the context.
        """
        template = template or self._template
        texts = (message.content for message in messages)
        self._refuse_hopeless(sum(map(len, texts)) + sum(map(len, texts_in(list(tools)))))
        partial = ""
        if continue_final_message:
            messages, partial = split_partial(messages)
        words, pictures = self._prepared(messages, template)
        if template is None:
            rendered, cover = self._render_own(messages, tools, partial, add_generation_prompt)
            rendered = self._with_images(rendered, words)
        else:
            rendered, cover = self._render_named(template, messages, tools, partial, add_generation_prompt)
        ids = self._encoded(rendered, cover)
        if template is not None:
            ids = self._as_tokenizer_wants(rendered, ids)
        if self._context.room(len(ids)) < 1:
            raise context_exceeded(len(ids), self._context)
        text = rendered if cover is None else cover.reveal(rendered)
        begins = begins_with(rendered) if add_generation_prompt and not partial else ""
        if template is None:
            return Prompt(ids, text, pictures=pictures, begins_with=begins)
        # A format knows the numbers of its own models' tokens; another model may have fewer.
        known = tuple(token for token in template.stop_token_ids if token < self._n_tokens)
        return Prompt(ids, text, template.stop, known, begins_with=begins)

    def _prepared(
        self, messages: Sequence[Message], template: ConversationTemplate | None
    ) -> tuple[list[str], tuple[Picture, ...]]:
        """What stands in the prompt for each image, and what the model sees. Raises: WorkerError.

        Images are decoded one by one, and none after the context is full: each costs up to a second and much memory.
        """
        parts = [part for message in messages for part in message.images]
        if not parts:
            return [], ()
        if self._images is None:
            raise invalid(parts[0].param, f"the model {self._model} cannot see images; send text, or choose another")
        if template is not None:
            raise invalid(parts[0].param, "prompt formats that are chosen by name know no images")
        prepared = []
        n_tokens = 0
        for part in parts:
            try:
                image = read_image(part.file)
            except ImageRefused as exc:
                raise invalid(part.param, str(exc)) from exc
            words, picture = self._images.prepare(image, part.param)
            n_tokens += picture.n_tokens
            if self._context.room(n_tokens) < 1:
                raise context_exceeded(f"at least {n_tokens}", self._context)
            prepared.append((words, picture))
        return [words for words, _ in prepared], tuple(picture for _, picture in prepared)

    def _with_images(self, rendered: str, words: Sequence[str]) -> str:
        """The rendered chat with all places of each image, where the template has put one. Raises: WorkerError."""
        if self._images is None:
            return rendered
        pieces = rendered.split(self._images.image_token)
        if len(pieces) != len(words) + 1:
            found = f"{len(pieces) - 1} of {len(words)} images"
            raise invalid("messages", f"the chat template of {self._model} has places for {found}")
        return "".join(piece + word for piece, word in zip(pieces, [*words, ""], strict=True))

    def text_ids(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of plain text. `add_special_tokens`: with those that the tokenizer adds by itself.

        Raises: WorkerError (context_length_exceeded) for what is far beyond the context.
        """
        self._refuse_hopeless(len(text), field="prompt")
        return self._encoder.encode(text, add_special_tokens=add_special_tokens).ids

    @property
    def sees_images(self) -> bool:
        return self._images is not None

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Render or count off the event loop, in threads of this model: a slow template delays no other model."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """End the threads and the process that renders the tokenizer's chat template."""
        self._threads.shutdown(wait=False)
        if self._own is not None:
            self._own.close()

    def _try_own(self, own: OwnTemplate) -> None:
        """At loading, not at the first request, an operator should read what is wrong with a template."""
        try:
            own.check()
        except TemplateFailed as exc:
            own.close()
            raise ModelRefused(f"{self._model}: its chat template {exc}; --template replaces it") from exc

    @property
    def tool_format(self) -> ToolFormat | None:
        """How the model's chat template teaches it to write calls; None if that is not known here."""
        return None if self._own is None else format_of(self._own.tool_text, self._vocabulary)

    def _render_named(
        self,
        template: ConversationTemplate,
        messages: Sequence[Message],
        tools: Sequence[Json],
        partial: str,
        add_generation_prompt: bool,
    ) -> tuple[str, Cover | None]:
        if tools:
            raise invalid("tools", "prompt formats that are chosen by name know no tools")
        if any(message.tool_calls or message.role == "tool" for message in messages):
            raise invalid("messages", "prompt formats that are chosen by name know no tool calls")
        mark, rest = split_thoughts(partial)
        (*texts, rest), cover = self._shield.cover([*(message.content for message in messages), rest])
        covered = [Message(message.role, text) for message, text in zip(messages, texts, strict=True)]
        rendered = template.render(covered, add_generation_prompt=add_generation_prompt or bool(partial))
        return joined(rendered, mark, rest) if partial else rendered, cover

    def _render_own(
        self, messages: Sequence[Message], tools: Sequence[Json], partial: str, add_generation_prompt: bool
    ) -> tuple[str, Cover | None]:
        if self._own is None:
            raise invalid(
                "messages",
                f"the model {self._model} has no chat template, so it cannot answer a chat: choose one with the "
                "worker's --template or the field prompt_template; `python -m gpu_worker serve --help` lists them",
            )
        if not self._own.knows_calls and any(message.tool_calls for message in messages):
            raise invalid("messages", f"the chat template of {self._model} knows no tool_calls")
        has_short_ids = self.tool_format is MISTRAL
        turns = turns_of(messages, has_short_ids=has_short_ids, in_parts=self._images is not None)
        mark, rest = split_thoughts(partial)
        texts, cover = self._shield.cover(list(texts_in([turns, list(tools), rest])))
        turns, covered_tools, rest = with_texts([turns, list(tools), rest], iter(texts))
        opens = add_generation_prompt or bool(partial)
        try:
            rendered = self._own.render(turns, tools=covered_tools or None, add_generation_prompt=opens)
            if tools and rendered == self._own.render(turns, add_generation_prompt=opens):
                raise invalid("tools", f"the chat template of {self._model} knows no tools")
        except TemplateFailed as exc:
            raise invalid("messages", f"the chat template of {self._model} {exc}") from exc
        return joined(rendered, mark, rest) if partial else rendered, cover

    def _encoded(self, rendered: str, cover: Cover | None) -> list[int]:
        if cover is not None:
            return self._shield.encode(rendered, cover)
        encoding: Encoding = self._encoder.encode(rendered, add_special_tokens=False)
        # Ids are copied out one by one, which is not worth it for a megabyte that is refused.
        if self._context.room(len(encoding)) < 1:
            raise context_exceeded(len(encoding), self._context)
        return encoding.ids

    def _as_tokenizer_wants(self, rendered: str, ids: list[int]) -> list[int]:
        """With the begin token, where the tokenizer wants one and the format has none; and for an encoder, with the end
        token. A chat template writes its own."""
        # Asked of the tokenizer, because having such a token and wanting it are two things.
        wanted = self._encoder.encode("a", add_special_tokens=True).ids
        begin, end = self._tokenizer.bos_token, self._tokenizer.eos_token_id
        if begin is not None and not rendered.startswith(begin) and wanted[0] == self._tokenizer.bos_token_id:
            ids = [wanted[0], *ids]
        if not self._context.is_shared and end is not None and wanted[-1] == end:
            ids = [*ids, end]
        return ids

    def _refuse_hopeless(self, n_characters: int, *, field: str = "messages") -> None:
        """Megabytes that cannot fit are not worth the seconds that it takes to cut them into tokens."""
        fewest = n_characters // (self._longest_token * SAFETY)
        if fewest > self._context.reads:
            raise context_exceeded(f"more than {fewest}", self._context, field=field)


def context_exceeded(n_prompt: int | str, context: Context, *, field: str = "messages") -> WorkerError:
    subject = "the messages are" if field == "messages" else f"the {field} is"
    limit = f"{context.reads}, answer included" if context.is_shared else str(context.reads)
    return WorkerError(
        WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED,
        f"{subject} {n_prompt} tokens long, and the model reads at most {limit}",
        param=field,
    )
