"""Errors of accounts and keys."""

from apps.core.errors import SiteError, Whose


class KeyInvalid(SiteError):
    """Missing, unknown or revoked: one text for all, so that nobody can probe."""

    code = "accounts.key_invalid"
    http_status = 401
    whose = Whose.USER


class KeyNameTaken(SiteError):
    """The owner has an active key of this name."""

    code = "accounts.key_name_taken"
    http_status = 409
    whose = Whose.USER


class KeyNameEmpty(SiteError):
    """A key must have a name, to be told apart."""

    code = "accounts.key_name_empty"
    http_status = 400
    whose = Whose.USER
