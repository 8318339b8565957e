"""The cookie by which somebody without an account is known again."""

import uuid
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from apps.accounts.actors import VISITOR_COOKIE, VISITOR_COOKIE_AGE_S, Actor, actor_get, visitor_cookie_value


def visitor_remember(request: HttpRequest, response: HttpResponse, actor: Actor) -> None:
    """Give it to whoever has none and is not signed in.

    A socket's handshake carries it, so the first message already has an owner. The visitor's row comes with that.
    """
    if actor == Actor():
        response.set_cookie(
            VISITOR_COOKIE,
            visitor_cookie_value(uuid.uuid4()),
            max_age=VISITOR_COOKIE_AGE_S,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure(),
        )


def visitor_of(request: HttpRequest | None) -> UUID | None:
    """Who somebody that signs in just now was before; None if nobody, or on no request."""
    return None if request is None else actor_get(AnonymousUser(), request.COOKIES).visitor_public_id
