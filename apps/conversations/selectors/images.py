"""Stored images: one for its owner, one of a shared chat, and those that a model is to see."""

from base64 import b64encode
from collections.abc import Collection, Sequence
from uuid import UUID, uuid4

from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.conversations.errors import ImageNotFound, ShareNotFound
from apps.conversations.image_marks import image_ids, marked_ids
from apps.conversations.models import Message
from apps.conversations.selectors.shares import share_get
from apps.conversations.stored_images import ChatImage


def images_owned(actor: Actor) -> QuerySet[ChatImage]:
    """None for somebody unknown, and for a program without a person."""
    if actor.user_id is not None:
        return ChatImage.objects.filter(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return ChatImage.objects.filter(visitor__public_id=actor.visitor_public_id)
    return ChatImage.objects.none()


def image_get(actor: Actor, image_id: UUID) -> ChatImage:
    """Raises: ImageNotFound, also when it is somebody else's."""
    image = images_owned(actor).filter(public_id=image_id).first()
    if image is None:
        raise ImageNotFound
    return image


def image_id_for(actor: Actor, digest: str) -> UUID:
    """By which an image is found that is about to be kept: the same one's if they have it, or a new one."""
    same = images_owned(actor).filter(digest=digest).values_list("public_id", flat=True).first()
    return same or uuid4()


def image_get_shared(token: str, image_id: UUID) -> ChatImage:
    """For anybody who has the address of a chat that shows it. Raises: ImageNotFound."""
    try:
        share = share_get(token)
    except ShareNotFound as exc:
        raise ImageNotFound from exc
    shown = {id_ for message in share.messages for id_ in image_ids(message["content"])}
    image = ChatImage.objects.filter(public_id=image_id, messages__conversation=share.conversation_id).first()
    if image is None or image_id not in shown:
        raise ImageNotFound
    return image


def data_url(media_type: str, data: bytes) -> str:
    """As models and classifiers take an image."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def data_urls(images: QuerySet[ChatImage]) -> dict[UUID, str]:
    """By id."""
    return {image.public_id: data_url(image.media_type, bytes(image.data)) for image in images.distinct()}


def urls_of_marked(actor: Actor, text: str) -> list[str]:
    """Of the actor's own images that a text shows, as classifiers take them."""
    return list(data_urls(images_owned(actor).filter(public_id__in=image_ids(text))).values())


def images_of(messages: Collection[Message]) -> QuerySet[ChatImage]:
    return ChatImage.objects.filter(messages__in=[message.pk for message in messages])


def n_images_in(messages: Sequence[Message]) -> int:
    """How many a model is shown when it reads these."""
    stored = set(images_of(messages).values_list("public_id", flat=True))
    return sum(image_id in stored for message in messages for image_id in marked_ids(message.content))
