"""What the views share: who asks, how errors are told, and telling the other pages of a change."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from apps.accounts.actors import Actor, actor_get
from apps.conversations.errors import ChatNotFound
from apps.conversations.hints import Hint, hint_send
from apps.conversations.selectors.conversations import hint_get
from apps.core.errors import SiteError

View = Callable[..., HttpResponseBase]


def actor_of(request: HttpRequest) -> Actor:
    return actor_get(request.user, request.COOKIES)


def wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def for_people(view: View) -> View:
    """Translate our errors: JSON for a script, the 404 page or a plain sentence for a person."""

    @wraps(view)
    def translated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except SiteError as exc:
            if wants_json(request):
                error = {"code": exc.code, "message": exc.message, "retryable": exc.retryable}
                return JsonResponse({"error": error}, status=exc.http_status)
            if exc.http_status == 404:
                raise Http404(exc.message) from exc
            return HttpResponse(exc.message, status=exc.http_status, content_type="text/plain; charset=utf-8")

    return translated


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def posted_id(request: HttpRequest, name: str) -> UUID:
    """Raises: ChatNotFound: what is no id names nothing."""
    posted = uuid_or_none(request.POST.get(name, ""))
    if posted is None:
        raise ChatNotFound
    return posted


def tell_pages_gone(actor: Actor, conversation_id: UUID) -> None:
    """Hint at the end of a chat to all open pages of this person: they look at the history again."""
    async_to_sync(hint_send)(actor, Hint(conversation_id, title="", leaf=None))


def tell_pages(actor: Actor, conversation_id: UUID) -> None:
    """Hint at a change to all open pages of this person."""
    async_to_sync(hint_send)(actor, hint_get(actor, conversation_id))
