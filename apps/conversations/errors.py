"""Errors of conversations, in the words of docs/chat_socket.md."""

from apps.core.errors import SiteError, Whose


class EmptyMessage(SiteError):
    """Nothing but white space."""

    code = "chat.empty_message"
    http_status = 400
    whose = Whose.USER


class MessageTooLong(SiteError):
    """Over `MESSAGE_MAX_CHARS`."""

    code = "chat.message_too_long"
    http_status = 400
    whose = Whose.USER


class AnswerRunning(SiteError):
    """The conversation has an unfinished answer."""

    code = "chat.answer_running"
    http_status = 409
    retryable = True
    whose = Whose.USER


class ChatNotFound(SiteError):
    """No such conversation, message or generation for this person: somebody else's looks the same as none."""

    code = "chat.not_found"
    http_status = 404
    whose = Whose.USER


class BadFrame(SiteError):
    """A frame that is not in the contract of the chat socket."""

    code = "chat.bad_frame"
    http_status = 400
    whose = Whose.USER


class SignInRequired(SiteError):
    """Visitors may not chat here, or this one keeps no cookie to be known by."""

    code = "chat.sign_in_required"
    http_status = 403
    whose = Whose.USER


class TitleEmpty(SiteError):
    """A conversation needs a name to be found by."""

    code = "chat.title_empty"
    http_status = 400
    whose = Whose.USER


class TooManyAttached(SiteError):
    """One page follows more answers at once than a page can show."""

    code = "chat.too_many_attached"
    http_status = 429
    retryable = True
    whose = Whose.USER
