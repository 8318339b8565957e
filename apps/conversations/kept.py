"""What the chat keeps of a text that moderation has an incident about, for moderators: read, and taken out.

Source of the shape: `apps.moderation.kept`.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.conversations.errors import AnswerRunning
from apps.conversations.image_marks import image_ids, without
from apps.conversations.kept_lines import Held, lines_of
from apps.conversations.markdown import message_html
from apps.conversations.models import UNFINISHED, Conversation, Feedback, Generation, Message, Preset, Role, Share
from apps.conversations.selectors.held import conversations_not_held, kept_by
from apps.conversations.selectors.images import images_owned
from apps.conversations.services.conversations import TITLE_MAX_CHARS
from apps.conversations.services.images import images_untie
from apps.conversations.services.keeping import FOLDER_MAX_CHARS
from apps.conversations.services.openings import conversation_opened
from apps.conversations.services.settings import PRESET_NAME_MAX_CHARS
from apps.conversations.services.shares import images_at
from apps.conversations.stored_images import ChatImage
from apps.conversations.texts import title_from
from apps.holds.selectors import held_ids, not_held_require
from apps.moderation.actions import REMOVED
from apps.moderation.kept import FOUND_SOMETHING, Kept, TakenOut
from apps.moderation.services.openings import opening_record

COMMENT_MARK = "comment:"
"""An incident about what somebody said of an answer has this and the answer's id as its reference."""


class ChatKeeper:
    """Of chats, and of the sides of battles, which are kept alike.

    An incident's reference is the id of a message or of the generation that wrote one; of a chat, for its title, folder
    and system prompt; of a preset; of the answer that a comment is about; or of an image. Only what is the author's own
    is found.
    """

    def open(self, reference: str, *, author: Actor, reader: User) -> Kept | None:
        held = _held(reference, author)
        if isinstance(held, ChatImage):
            held = held.messages.select_related("conversation__visitor", "parent").last() or held
        if isinstance(held, Preset | ChatImage):
            opening_record(reader=reader, owner=author, what=str(held), address="", why=FOUND_SOMETHING)
            return Kept(str(held), lines_of(held))
        if held is None:
            return None
        chat = _conversation(held)
        conversation_opened(chat, reader=reader, why=FOUND_SOMETHING)
        return Kept(str(chat), lines_of(held))

    def redact(self, reference: str, *, author: Actor, taken_out: TakenOut) -> bool:
        """Raises: AnswerRunning while it is being written; Held, by law."""
        with transaction.atomic():
            held = _held(reference, author)
            if held is not None:
                not_held_require(_kept_by(held))
            match held:
                case Message() as message:
                    versions = _versions(message)
                    messages_replace([message], author, taken_out)
                    _versions_replace(message, versions, author, taken_out)
                case Conversation() as chat:
                    _chat_replace(chat, author, taken_out)
                case Preset() as preset:
                    _preset_replace(preset, author, taken_out)
                case ChatImage() as image:
                    _image_take_out(image, author)
                case Feedback() as feedback:
                    [feedback.comment] = taken_out([feedback.comment])
                    feedback.save(update_fields=["comment"])
                case None:
                    return False
        return True


def messages_replace(messages: Sequence[Message], author: Actor, taken_out: TakenOut) -> None:
    """Take it out of them, and wherever their author has the same text: in forks, in the other side of a battle, in
    what is shared; as a title. Call it in a transaction. Raises: AnswerRunning; Held, by law.
    """
    for message in messages:
        not_held_require(kept_by(Conversation.objects.select_for_update(of=("self",)).get(pk=message.conversation_id)))
    if Generation.objects.filter(message__in=messages, state__in=UNFINISHED).exists():
        raise AnswerRunning
    for message, text in zip(messages, taken_out([message.content for message in messages]), strict=True):
        _message_replace(message, text, author, taken_out)


def _versions(message: Message) -> list[Message]:
    """Those beside it that went on with its text, or with whose text it went on."""
    beside = Message.objects.filter(conversation_id=message.conversation_id, parent=message.parent, role=message.role)
    written = beside.exclude(pk=message.pk).exclude(content="")
    return [other for other in written if message.content and _is_beginning(message.content, other.content)]


def _is_beginning(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _versions_replace(message: Message, versions: Sequence[Message], author: Actor, taken_out: TakenOut) -> None:
    """Where nothing was taken out of the part that is theirs too, they stay as they are."""
    left = Message.objects.values_list("content", flat=True).get(pk=message.pk)
    for version in versions:
        if not left.startswith(version.content):
            messages_replace([version], author, taken_out)


def _message_replace(message: Message, text: str, author: Actor, taken_out: TakenOut) -> None:
    old, chats = message.content, _changeable(author)
    # A title is the beginning of the first message, until its owner gives another.
    _titles_replace(chats, title_from(old), title_from(text))
    for share in _shares_of(chats, message):
        for shared in share.messages:
            if shared["content"] == old:
                new = text
            elif shared.get("id") == str(message.public_id):
                [new] = taken_out([shared["content"]])  # something had been taken out of it before it was shared
            else:
                continue
            is_answer = shared["role"] == Role.ASSISTANT
            html = message_html(new, is_answer=is_answer, images_at=images_at(share.token))
            shared |= {"content": new, "html": html}
        share.save(update_fields=["messages"])
    same = list(Message.objects.filter(conversation__in=chats, content=old).values_list("pk", flat=True))
    Message.objects.filter(pk__in=same).update(content=text)
    images_untie(same, set(image_ids(old)) - set(image_ids(text)))


def _shares_of(chats: QuerySet[Conversation], message: Message) -> QuerySet[Share]:
    same = Q(messages__contains=[{"content": message.content}])
    its_own = Q(messages__contains=[{"id": str(message.public_id)}])
    return Share.objects.filter(same | its_own, conversation__in=chats)


def _chat_replace(chat: Conversation, author: Actor, taken_out: TakenOut) -> None:
    chats = _changeable(author)
    title, folder, prompt = taken_out([chat.title, chat.folder, chat.system_prompt])
    _titles_replace(chats, chat.title, title)
    if folder != chat.folder:
        chats.filter(folder=chat.folder).update(folder=folder[:FOLDER_MAX_CHARS])
    _prompts_replace(author, chat.system_prompt, prompt)


def _preset_replace(preset: Preset, author: Actor, taken_out: TakenOut) -> None:
    name, prompt = taken_out([preset.name, preset.system_prompt])
    if name != preset.name:
        # Of one person no two have the same name.
        mark = f" {str(preset.public_id)[:8]}"
        preset.name = name[: PRESET_NAME_MAX_CHARS - len(mark)] + mark
        preset.save(update_fields=["name"])
    _prompts_replace(author, preset.system_prompt, prompt)


def _image_take_out(image: ChatImage, author: Actor) -> None:
    """Of an image nothing can be left."""
    # The chats before the image, as whoever sends it or deletes a chat: else each could wait for the other.
    showing = image.messages.order_by().values("conversation")
    list(Conversation.objects.select_for_update(of=("self",)).filter(pk__in=showing).order_by("pk"))
    # Locked before they are read: a message with it that is sent meanwhile is among these, or is refused.
    ChatImage.objects.select_for_update(of=("self",)).filter(pk=image.pk).first()
    shown_in = list(image.messages.select_related("conversation"))
    messages_replace(shown_in, author, lambda texts: [without(text, image.public_id, REMOVED) for text in texts])
    image.delete()


def _titles_replace(chats: QuerySet[Conversation], old: str, new: str) -> None:
    if new != old:
        Share.objects.filter(conversation__in=chats, title=old).update(title=new[:TITLE_MAX_CHARS])
        chats.filter(title=old).update(title=new[:TITLE_MAX_CHARS])


def _prompts_replace(author: Actor, old: str, new: str) -> None:
    if new != old:
        _changeable(author).filter(system_prompt=old).update(system_prompt=new)
        _presets(author).filter(system_prompt=old).update(system_prompt=new)


def _held(reference: str, author: Actor) -> Held | None:
    """What the reference names, if it is the author's."""
    try:
        public_id = UUID(reference.removeprefix(COMMENT_MARK))
    except ValueError:
        return None
    chats = _chats(author)
    if reference.startswith(COMMENT_MARK):
        comments = Feedback.objects.filter(message__public_id=public_id, message__conversation__in=chats)
        return comments.select_related("message__conversation__visitor").first()
    named = Q(public_id=public_id) | Q(generation__public_id=public_id)
    messages = Message.objects.filter(named, conversation__in=chats)
    return (
        messages.select_related("conversation__visitor", "parent").first()
        or chats.filter(public_id=public_id).select_related("visitor").first()
        or _presets(author).filter(public_id=public_id).first()
        or images_owned(author).filter(public_id=public_id).select_related("user", "visitor").first()
    )


def _chats(author: Actor) -> QuerySet[Conversation]:
    """All that is theirs, chats and sides of battles; what a program with a key of its own asked is that key's."""
    if author.user_id is not None:
        return Conversation.objects.filter(user_id=author.user_id)
    if author.visitor_public_id is not None:
        return Conversation.objects.filter(visitor__public_id=author.visitor_public_id)
    if author.api_key_id is not None:
        return Conversation.objects.filter(user=None, visitor=None, api_key_id=author.api_key_id)
    return Conversation.objects.none()


def _changeable(author: Actor) -> QuerySet[Conversation]:
    """Those of them that no legal hold keeps as they are."""
    return conversations_not_held(_chats(author), held_ids())


def _kept_by(held: Held) -> list[UUID]:
    """Public ids a legal hold on which keeps it."""
    if isinstance(held, Preset | ChatImage):
        return [owner.public_id for owner in (held.user, getattr(held, "visitor", None)) if owner is not None]
    return kept_by(_conversation(held))


def _presets(author: Actor) -> QuerySet[Preset]:
    return Preset.objects.none() if author.user_id is None else Preset.objects.filter(user_id=author.user_id)


def _conversation(held: Message | Feedback | Conversation) -> Conversation:
    match held:
        case Conversation():
            return held
        case Message():
            return held.conversation
        case Feedback():
            return held.message.conversation
