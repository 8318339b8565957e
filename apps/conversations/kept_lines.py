"""What moderators are shown of a chat: the text in question, its images, and what was said before it."""

from apps.conversations.models import Conversation, Feedback, Message, Preset
from apps.conversations.selectors.images import data_url, data_urls
from apps.conversations.stored_images import ChatImage
from apps.moderation.kept import Line

N_BEFORE = 10
"""Messages before the one in question."""

Held = Message | Feedback | Conversation | Preset | ChatImage


def lines_of(held: Held) -> list[Line]:
    """With what came before it, if it is a message."""
    match held:
        case Message():
            return [*map(line_of, _before(held)), line_of(held, is_subject=True)]
        case Feedback():
            return [line_of(held.message), Line("Comment", held.comment, is_subject=True)]
        case Conversation():
            said = [("Title", held.title), ("Folder", held.folder), ("System prompt", held.system_prompt)]
        case Preset():
            said = [("Preset", held.name), ("System prompt", held.system_prompt)]
        case ChatImage():
            return [Line("Image", "", is_subject=True, images=(data_url(held.media_type, bytes(held.data)),))]
    return [Line(name, text, is_subject=True) for name, text in said if text]


def _before(message: Message) -> list[Message]:
    """The last messages before it on its path, the oldest first."""
    before: list[Message] = []
    parent = message.parent
    while parent is not None and len(before) < N_BEFORE:
        before.insert(0, parent)
        parent = parent.parent
    return before


def line_of(message: Message, *, is_subject: bool = False) -> Line:
    # What a file says that a model said, no model may have said.
    speaker = f"{message.get_role_display()}{' (imported)' if message.is_imported else ''}"
    images = tuple(data_urls(message.images.all()).values()) if is_subject else ()
    return Line(speaker, message.content, is_subject, images)
