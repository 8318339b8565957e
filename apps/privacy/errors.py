"""Errors of privacy."""

from apps.core.errors import SiteError, Whose


class SubjectUnknown(SiteError):
    """There is nobody and nothing that this names."""

    code = "privacy.unknown"
    http_status = 404
    whose = Whose.USER


class StaffNotErased(SiteError):
    """An account that works in the admin."""

    code = "privacy.staff"
    http_status = 403
    whose = Whose.USER
