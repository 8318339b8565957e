"""Pages of the chat: shape only. What is sent and answered goes through the socket (`consumers`)."""

import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.actors import VISITOR_COOKIE, VISITOR_COOKIE_AGE_S, Actor, actor_get, visitor_cookie_value
from apps.conversations.hints import Hint, hint_send
from apps.conversations.models import UNFINISHED, Conversation
from apps.conversations.routing import SOCKET_PATH
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.pages import history_list, messages_shown
from apps.conversations.services.conversations import conversation_delete, conversation_rename
from apps.core.errors import SiteError
from apps.workers.selectors import models_offered

View = Callable[..., HttpResponse]


def _wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _for_people(view: View) -> View:
    """Translate our errors: JSON for a script, the 404 page or a plain sentence for a person."""

    @wraps(view)
    def translated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except SiteError as exc:
            if _wants_json(request):
                error = {"code": exc.code, "message": exc.message, "retryable": exc.retryable}
                return JsonResponse({"error": error}, status=exc.http_status)
            if exc.http_status == 404:
                raise Http404(exc.message) from exc
            return HttpResponse(exc.message, status=exc.http_status, content_type="text/plain; charset=utf-8")

    return translated


@never_cache
@require_GET
def chat_new(request: HttpRequest) -> HttpResponse:
    """An empty conversation; its row is made with the first message."""
    return _chat_page(request, None)


@never_cache
@require_GET
@_for_people
def chat_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    return _chat_page(request, conversation_get(_actor(request), conversation_id))


@never_cache
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    """The side bar alone, to be put in again after a change."""
    groups = history_list(_actor(request), current=_uuid_or_none(request.GET.get("current", "")))
    return render(request, "conversations/_history.html", {"history": groups})


@never_cache
@require_GET
def models(request: HttpRequest) -> HttpResponse:
    """What the model picker offers, with states."""
    return JsonResponse({"models": [asdict(model) for model in models_offered(_actor(request))]})


@require_POST
@_for_people
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    actor = _actor(request)
    conversation = conversation_rename(
        actor=actor, conversation_id=conversation_id, title=request.POST.get("title", "")
    )
    async_to_sync(hint_send)(actor, Hint(conversation.public_id, conversation.title))
    if _wants_json(request):
        return HttpResponse(status=204)
    return redirect("chat:conversation", conversation_id)


@require_POST
@_for_people
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    conversation_delete(actor=_actor(request), conversation_id=conversation_id)
    return HttpResponse(status=204) if _wants_json(request) else redirect("chat:new")


def _actor(request: HttpRequest) -> Actor:
    return actor_get(request.user, request.COOKIES)


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _chat_page(request: HttpRequest, conversation: Conversation | None) -> HttpResponse:
    actor = _actor(request)
    if not actor.is_authenticated and not settings.VISITORS_MAY_CHAT:
        return redirect_to_login(request.get_full_path())
    response = render(request, "conversations/chat.html", _chat_context(request, actor, conversation))
    if actor == Actor():
        # The socket's handshake carries it, so the first message already has an owner. The row comes with that.
        response.set_cookie(
            VISITOR_COOKIE,
            visitor_cookie_value(uuid.uuid4()),
            max_age=VISITOR_COOKIE_AGE_S,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure(),
        )
    return response


def _chat_context(request: HttpRequest, actor: Actor, conversation: Conversation | None) -> dict[str, Any]:
    messages = messages_shown(conversation) if conversation else []
    running = next((m.generation for m in messages if m.state in UNFINISHED), None)
    conversation_id = conversation.public_id if conversation else None
    limits = {"message_max_chars": settings.MESSAGE_MAX_CHARS}
    return {
        "conversation": conversation,
        "messages": messages,
        "history": history_list(actor, current=conversation_id),
        "models": models_offered(actor),
        "viewer": {
            "name": request.user.get_username(),
            "is_authenticated": actor.is_authenticated,
            "is_visitor": not actor.is_authenticated,
        },
        "limits": limits,
        "page_data": {
            "socket_path": SOCKET_PATH,
            "conversation": conversation_id,
            "generation": running,
            "limits": limits,
        },
    }
