"""Errors of moderation."""

from apps.core.errors import SiteError, Whose


class TextRefused(SiteError):
    """A text is not accepted; `reason` names what found it and its category, never the text."""

    code = "moderation.refused"
    http_status = 403
    whose = Whose.USER


class ClassifierAway(SiteError):
    """The classifier did not judge the texts; `reason` is for the log and for whoever asks for a judgement alone."""

    code = "moderation.unavailable"
    http_status = 503
    retryable = True


class NothingSetUp(SiteError):
    """There is no rule and no classifier to judge a text."""

    code = "moderation.nothing_set_up"
    http_status = 404
    whose = Whose.USER
