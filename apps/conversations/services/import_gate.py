"""The texts of a file that is imported on their way through the gate, group by group.

A file can hold more than the gate has time for in one go, so here nothing passes that was not judged.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from uuid import UUID

from apps.accounts.actors import Actor
from apps.conversations.errors import ImportRefused
from apps.conversations.exchange.drafts import FOLDER_MAX_CHARS, TITLE_MAX_CHARS, Draft, DraftMessage
from apps.conversations.models import Role
from apps.moderation.batches import batches
from apps.moderation.choices import Direction, Surface
from apps.moderation.gate import texts_pass

PASS_WITHIN_S = 60.0

SAID = (Direction.IN,)
WRITTEN = (Direction.IN, Direction.OUT)
"""A person brings the answers too, and they will be read as a model's: both kinds of policies hold for them."""


async def drafts_pass(actor: Actor, drafts: Sequence[Draft]) -> None:
    """Let every text through the gate, as if it were said now; redact it in place.

    Raises: TextRefused; ClassifierAway, if one could not be judged; ImportRefused, if all of it takes too long.
    """
    messages = [message for draft in drafts for message in draft.messages]
    said = [message for message in messages if message.role == Role.USER]
    written = [message for message in messages if message.role == Role.ASSISTANT]
    try:
        async with asyncio.timeout(PASS_WITHIN_S):
            await _names_pass(actor, drafts)
            await _labels_pass(actor, drafts)
            await _contents_pass(actor, said, SAID)
            await _contents_pass(actor, written, WRITTEN)
    except TimeoutError as exc:
        raise ImportRefused(reason=f"its texts take longer to look at than {PASS_WITHIN_S:.0f} s; split it") from exc


async def _names_pass(actor: Actor, drafts: Sequence[Draft]) -> None:
    """What nothing can be taken out of."""
    models = ((message.model, draft) for draft in drafts for message in draft.messages)
    stops = ((stop, draft) for draft in drafts for stop in draft.sampling.get("stop", ()))
    # Of a name that comes often, the chat in which it comes last.
    named = {name: str(draft.public_id) for name, draft in chain(models, stops) if name}
    for names in batches(named):
        references = [named[name] for name in names]
        await texts_pass([], surface=Surface.CHAT, actor=actor, fixed=names, references=references, must_be_judged=True)


async def _labels_pass(actor: Actor, drafts: Sequence[Draft]) -> None:
    # Redacted texts may be longer than they were, so they are cut afterwards.
    def take(texts: Iterator[str]) -> None:
        for draft in drafts:
            draft.title = next(texts)[:TITLE_MAX_CHARS].rstrip()
            draft.folder = next(texts)[:FOLDER_MAX_CHARS].rstrip()
            draft.system_prompt = next(texts)

    texts = [(text, draft.public_id) for draft in drafts for text in (draft.title, draft.folder, draft.system_prompt)]
    await _pass(actor, texts, SAID, take)


async def _contents_pass(actor: Actor, messages: Sequence[DraftMessage], directions: Sequence[Direction]) -> None:
    def take(texts: Iterator[str]) -> None:
        for message in messages:
            message.content = next(texts)

    await _pass(actor, [(message.content, message.public_id) for message in messages], directions, take)


async def _pass(
    actor: Actor,
    texts: Sequence[tuple[str, UUID]],
    directions: Sequence[Direction],
    take: Callable[[Iterator[str]], None],
) -> None:
    """`take` gets the texts in their order as they may go on; empty ones are not sent anywhere. Each comes with the id
    by which what is found in it is found."""
    passed: list[str] = []
    references = iter([str(reference) for text, reference in texts if text])
    for batch in batches(text for text, _ in texts if text):
        passed += await texts_pass(
            batch,
            surface=Surface.CHAT,
            actor=actor,
            references=list(islice(references, len(batch))),
            directions=directions,
            must_be_judged=True,
        )
    kept = iter(passed)
    take(iter([next(kept) if text else "" for text, _ in texts]))
