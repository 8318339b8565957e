"""Images of chats: kept when they are attached, tied to the messages that show them, and forgotten with these."""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from threading import BoundedSemaphore
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.catalog.errors import ModelSeesNothing
from apps.catalog.models import LanguageModel
from apps.conversations.errors import ImageNotFound, ImageNotTaken, ImagesBusy, TooManyImages, TooManyImagesKept
from apps.conversations.image_marks import image_ids
from apps.conversations.models import Conversation, Message, Role
from apps.conversations.selectors.conversations import messages_get
from apps.conversations.selectors.images import images_owned, n_images_in
from apps.conversations.selectors.tree import tree_get
from apps.conversations.stored_images import ChatImage
from apps.holds.selectors import held_ids
from apps.moderation.services.incidents import incidents_lead_to
from apps.workers.image_files import MAX_IMAGES, ImageRefused, KeptFile, kept_file

IMAGES_OF_OWNER_MAX = 1000
UNSENT_FOR = timedelta(days=1)
"""An image that no message shows is a draft's for so long."""
PRUNED_AT_ONCE = 500

reading = BoundedSemaphore(16)
"""So many images are read at once, by this process: most of them wait for the decoder, each with its file in memory."""


def file_read(data: bytes, media_type: str) -> KeptFile:
    """What a person attached, as it may be kept. Raises: ImageNotTaken, ImagesBusy."""
    if not reading.acquire(blocking=False):
        raise ImagesBusy
    try:
        return kept_file(data, media_type)
    except ImageRefused as exc:
        raise ImageNotTaken(reason=str(exc)) from exc
    finally:
        reading.release()


def image_keep(*, actor: Actor, file: KeptFile, public_id: UUID | None = None) -> ChatImage:
    """Keep it for a message to come; the same one is not kept twice. The caller has let it pass the gate.

    `public_id`: by which incidents know it; they lead to the one that is kept.
    Raises: TooManyImagesKept; ImageNotFound for somebody unknown.
    """
    with transaction.atomic():
        owner = _owner_fields(actor)
        owned = images_owned(actor)
        if (same := owned.filter(digest=file.digest).first()) is not None:
            ChatImage.objects.filter(pk=same.pk).update(created_at=timezone.now())
            if public_id is not None and public_id != same.public_id:  # it came a second time while it was looked at
                incidents_lead_to(same.public_id, instead_of=public_id)
            return same
        if owned.count() >= IMAGES_OF_OWNER_MAX:
            raise TooManyImagesKept(limit=f"{IMAGES_OF_OWNER_MAX:,}")
        return ChatImage.objects.create(
            **owner,
            public_id=public_id or uuid4(),
            digest=file.digest,
            media_type=file.media_type,
            width=file.width,
            height=file.height,
            data=file.data,
        )


def images_tie(conversation: Conversation, messages: Sequence[Message], *, must_be_there: bool = False) -> None:
    """Tie the images that these messages of a person show to them. Call it in a transaction.

    `must_be_there`: a mark that leads to none of the owner's is refused. Raises: ImageNotFound.
    """
    marked = [(message, image_ids(message.content)) for message in messages if message.role == Role.USER]
    wanted = {image_id for _, ids in marked for image_id in ids}
    if not wanted:
        return
    owned = ChatImage.objects.filter(user=conversation.user, visitor=conversation.visitor, public_id__in=wanted)
    # Locked, so that none is forgotten meanwhile.
    found = dict(owned.select_for_update(no_key=True).values_list("public_id", "pk"))
    if must_be_there and wanted - found.keys():
        raise ImageNotFound
    tie = ChatImage.messages.through
    shown = [(found[id_], message.pk) for message, ids in marked for id_ in ids if id_ in found]
    rows = [tie(chatimage_id=image_pk, message_id=message_pk) for image_pk, message_pk in shown]
    tie.objects.bulk_create(rows, ignore_conflicts=True)


def sight_check(conversation: Conversation, question: Message, model: LanguageModel) -> None:
    """Whether the model may be asked this: what was said before counts too. Raises: TooManyImages, ModelSeesNothing."""
    if not ChatImage.objects.filter(messages__conversation=conversation).exists():
        return
    path = messages_get(tree_get(conversation.pk).path(question.pk))
    n_images = n_images_in(path)
    if n_images > MAX_IMAGES:
        raise TooManyImages(limit=MAX_IMAGES)
    if n_images and not model.sees_images:
        raise ModelSeesNothing(model=str(model))


def images_shown_in(conversation: Conversation) -> list[int]:
    """Keys of the images of all its branches, before it is deleted."""
    return list(ChatImage.objects.filter(messages__conversation=conversation).values_list("pk", flat=True).distinct())


def images_forget(keys: Iterable[int]) -> int:
    """Delete those of them that no message shows any more; return how many."""
    unshown = ChatImage.objects.filter(pk__in=list(keys), messages=None)
    with transaction.atomic():
        # Looked at again under the lock: a message may have been sent meanwhile (`images_tie` locks them too).
        locked = list(unshown.select_for_update(of=("self",)).values_list("pk", flat=True))
        return unshown.filter(pk__in=locked).delete()[0]


def images_untie(messages: Collection[int], gone: Collection[UUID]) -> None:
    """Their marks were taken out of these messages, by their keys: forget those that no other message shows."""
    ties = ChatImage.messages.through.objects.filter(message__in=messages, chatimage__public_id__in=gone)
    keys = set(ties.values_list("chatimage_id", flat=True))
    ties.delete()
    images_forget(keys)


def images_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Those of this person that no message shows any more: what their chats showed has gone with these."""
    return images_forget(_of_nobody_held(images_owned(actor), held).values_list("pk", flat=True))


def images_adopt(*, user: User, visitor_public_id: UUID) -> None:
    """Give a visitor's images to the account that this person signed in to."""
    ChatImage.objects.filter(visitor__public_id=visitor_public_id).update(user=user, visitor=None)


def images_prune() -> int:
    """Forget what was attached and never sent and is not held, a bounded number in each transaction."""
    unsent = ChatImage.objects.filter(messages=None, created_at__lt=timezone.now() - UNSENT_FOR).order_by("pk")
    unsent = _of_nobody_held(unsent, held_ids())
    n_pruned = 0
    while pks := list(unsent.values_list("pk", flat=True)[:PRUNED_AT_ONCE]):
        n_pruned += images_forget(pks)
    return n_pruned


def _of_nobody_held(images: QuerySet[ChatImage], held: Collection[UUID]) -> QuerySet[ChatImage]:
    return images.exclude(user__public_id__in=held).exclude(visitor__public_id__in=held)


def _owner_fields(actor: Actor) -> dict[str, object]:
    """Locked, so that of two images at once the second one waits and the limit holds."""
    if actor.user_id is not None:
        User.objects.select_for_update(no_key=True).get(pk=actor.user_id)
        return {"user_id": actor.user_id}
    if actor.visitor_public_id is None:
        raise ImageNotFound
    visitor, _ = Visitor.objects.get_or_create(public_id=actor.visitor_public_id)
    Visitor.objects.select_for_update(no_key=True).get(pk=visitor.pk)
    return {"visitor": visitor}
