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


class NothingToContinue(SiteError):
    """The last answer is whole, or nothing came of it."""

    code = "chat.nothing_to_continue"
    http_status = 409
    whose = Whose.USER


class ColumnsWrong(SiteError):
    """Fewer or more models side by side than may be, or others than are shown."""

    code = "chat.columns_wrong"
    http_status = 400
    whose = Whose.USER


class ChooseOne(SiteError):
    """Something that is about one branch, while several are shown side by side."""

    code = "chat.choose_one"
    http_status = 409
    whose = Whose.USER


class NothingToAnswer(SiteError):
    """An answer to which there is no question: an imported chat may begin with one."""

    code = "chat.nothing_to_answer"
    http_status = 409
    whose = Whose.USER


class ImageNotTaken(SiteError):
    """What was attached is no image that is read here, or too much of one."""

    code = "chat.image_not_taken"
    http_status = 400
    whose = Whose.USER


class ImagesBusy(SiteError):
    """As many images as may be are read at the moment."""

    code = "chat.images_busy"
    http_status = 503
    retryable = True


class ImageNotFound(SiteError):
    """No such image for this person: somebody else's looks the same as none."""

    code = "chat.image_not_found"
    http_status = 404
    whose = Whose.USER


class TooManyImages(SiteError):
    """A model would be shown more than one request may have."""

    code = "chat.too_many_images"
    http_status = 400
    whose = Whose.USER


class TooManyImagesKept(SiteError):
    """The person has as many as may be."""

    code = "chat.too_many_images_kept"
    http_status = 400
    whose = Whose.USER


class ChatNotFound(SiteError):
    """No such conversation, message or generation for this person: somebody else's looks the same as none."""

    code = "chat.not_found"
    http_status = 404
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


class SettingRefused(SiteError):
    """A setting of a chat outside of its limits."""

    code = "chat.setting_refused"
    http_status = 400
    whose = Whose.USER


class PresetNameWrong(SiteError):
    """No name, or too long a one."""

    code = "chat.preset_name_wrong"
    http_status = 400
    whose = Whose.USER


class TooManyPresets(SiteError):
    """A person keeps as many as may be."""

    code = "chat.too_many_presets"
    http_status = 409
    whose = Whose.USER


class TooManyAtOnce(SiteError):
    """More chats than may be changed in one go."""

    code = "chat.too_many_at_once"
    http_status = 400
    whose = Whose.USER


class UnknownChange(SiteError):
    """Something is to be done with chats that nobody knows."""

    code = "chat.unknown_change"
    http_status = 400
    whose = Whose.USER


class SearchTooBroad(SiteError):
    """A search that took longer than searches may."""

    code = "chat.search_too_broad"
    http_status = 400
    whose = Whose.USER


class ImportRefused(SiteError):
    """A file that holds no chats, or none that can be read."""

    code = "chat.import_refused"
    http_status = 400
    whose = Whose.USER


class TooManyShares(SiteError):
    """A person shares as much as may be."""

    code = "chat.too_many_shares"
    http_status = 409
    whose = Whose.USER


class NothingToShare(SiteError):
    """A chat without a finished answer."""

    code = "chat.nothing_to_share"
    http_status = 409
    whose = Whose.USER


class ShareNotFound(SiteError):
    """No such link, or it was revoked, or has expired: the three are not told apart."""

    code = "chat.share_not_found"
    http_status = 404
    whose = Whose.USER


class ShareTooLong(SiteError):
    """A chat of which the page for everybody would be too long, or too much work."""

    code = "chat.share_too_long"
    http_status = 409
    whose = Whose.USER


class ChatBehind(SiteError):
    """The chat is not any more as it was when this was asked."""

    code = "chat.behind"
    http_status = 409
    retryable = True
    whose = Whose.USER


class TooManyChats(SiteError):
    """A person keeps as many chats as may be; a new one by hand is still begun."""

    code = "chat.too_many_chats"
    http_status = 409
    whose = Whose.USER


class FeedbackRefused(SiteError):
    """An opinion about something that is no answer, or one that is none of those that there are."""

    code = "chat.feedback_refused"
    http_status = 400
    whose = Whose.USER


class CommentTooLong(SiteError):
    """A comment on an answer that is longer than comments may be."""

    code = "chat.comment_too_long"
    http_status = 400
    whose = Whose.USER
