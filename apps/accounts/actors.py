"""Who acts: a user, or a visitor by signed cookie. Owners are compared here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from django.core import signing

if TYPE_CHECKING:
    from apps.accounts.models import ApiKey

VISITOR_COOKIE = "visitor"
VISITOR_COOKIE_AGE_S = 400 * 24 * 3600
"""Browsers cap cookies at 400 days. Source: RFC 6265bis, section 5.5."""

_SALT = "accounts.visitor"


@dataclass(frozen=True, slots=True)
class Actor:
    """A user (`user_id`), a program with a key, a known visitor (`visitor_public_id`), the installation, or unknown."""

    user_id: int | None = None
    visitor_public_id: UUID | None = None
    api_key_id: int | None = None
    """A key of the installation itself has no user, so a program may have this alone."""
    is_installation: bool = False
    """An operator who tries something at the command line. No request from outside ever is this."""
    api_key: "ApiKey | None" = field(default=None, compare=False, repr=False)
    """The key itself, for the length of one request, by whoever has just found that it opens."""

    @property
    def is_authenticated(self) -> bool:
        return self.user_id is not None or self.api_key_id is not None or self.is_installation


def actor_get(user: object, cookies: Mapping[str, str]) -> Actor:
    """Read the actor from a request's or a socket's user and cookies. A forged or broken cookie counts as none."""
    user_id = getattr(user, "pk", None)
    if getattr(user, "is_authenticated", False) and isinstance(user_id, int):
        return Actor(user_id=user_id)
    try:
        return Actor(visitor_public_id=UUID(signing.loads(cookies[VISITOR_COOKIE], salt=_SALT)))
    except (KeyError, ValueError, TypeError, signing.BadSignature):
        return Actor()


def visitor_cookie_value(public_id: UUID) -> str:
    return signing.dumps(str(public_id), salt=_SALT)
