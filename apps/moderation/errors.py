"""Errors of moderation."""

from apps.core.errors import SiteError, Whose


class TextRefused(SiteError):
    """A text is not accepted; `reason` names what found it and its category, never the text."""

    code = "moderation.refused"
    http_status = 403
    whose = Whose.USER


class ImageNotAccepted(TextRefused):
    """The same of an image."""

    code = "moderation.image_refused"


class Banned(SiteError):
    """A moderator keeps somebody from taking part, `until` a time; `reason` is the moderator's."""

    code = "moderation.banned"
    http_status = 403
    whose = Whose.USER


class ClassifierAway(SiteError):
    """The classifier did not judge the texts; `reason` is for the log and for whoever asks for a judgement alone."""

    code = "moderation.unavailable"
    http_status = 503
    retryable = True


class AlreadyReviewed(SiteError):
    """A moderator has decided about the incident."""

    code = "moderation.already_reviewed"
    http_status = 409
    whose = Whose.USER


class NothingKept(SiteError):
    """The site keeps nothing of the text that an incident is about."""

    code = "moderation.nothing_kept"
    http_status = 409
    whose = Whose.USER


class StillWritten(SiteError):
    """What an incident is about has not ended."""

    code = "moderation.still_written"
    http_status = 409
    retryable = True
    whose = Whose.USER


class CannotBlock(SiteError):
    """The author of a text cannot be blocked, or not by this moderator."""

    code = "moderation.cannot_block"
    http_status = 403
    whose = Whose.USER


class NothingSetUp(SiteError):
    """There is no rule and no classifier to judge a text."""

    code = "moderation.nothing_set_up"
    http_status = 404
    whose = Whose.USER
