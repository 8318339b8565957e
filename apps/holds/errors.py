"""Errors of legal holds."""

from apps.core.errors import SiteError, Whose


class Held(SiteError):
    """Something must be kept as it is. The words do not say why: whoever reads them may not be meant to know."""

    code = "holds.held"
    http_status = 409
    whose = Whose.USER


class AlreadyHeld(SiteError):
    """There is a hold in force on the same thing."""

    code = "holds.already"
    http_status = 409
    whose = Whose.USER


class NotInForce(SiteError):
    """A hold was lifted before."""

    code = "holds.not_in_force"
    http_status = 409
    whose = Whose.USER
