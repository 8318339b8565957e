"""Errors of appeals."""

from apps.core.errors import SiteError, Whose


class AppealTextWrong(SiteError):
    """An appeal says nothing, or too much."""

    code = "appeals.text_wrong"
    http_status = 400
    whose = Whose.USER


class AlreadyAppealed(SiteError):
    """There is an appeal about this incident."""

    code = "appeals.already_made"
    http_status = 409
    whose = Whose.USER


class AlreadyAnswered(SiteError):
    """A moderator has answered the appeal."""

    code = "appeals.already_answered"
    http_status = 409
    whose = Whose.USER
