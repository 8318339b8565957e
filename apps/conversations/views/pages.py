"""Pages of the chat: shape only. What is sent and answered goes through the socket (`consumers`)."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.accounts.actors import Actor
from apps.accounts.visits import visitor_remember
from apps.conversations.composing import composer_limits
from apps.conversations.models import UNFINISHED, Conversation, Feedback
from apps.conversations.routing import SOCKET_PATH
from apps.conversations.selectors.conversations import conversation_get, message_get
from apps.conversations.selectors.history import history_list
from apps.conversations.selectors.pages import ShownThread, thread_shown
from apps.conversations.views.support import actor_of, for_people, uuid_or_none
from apps.workers.selectors import models_offered


@never_cache
@require_GET
def chat_new(request: HttpRequest) -> HttpResponse:
    """An empty conversation; its row is made with the first message."""
    return _chat_page(request, None)


@never_cache
@require_GET
@for_people
def chat_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    return _chat_page(request, conversation_get(actor_of(request), conversation_id))


@never_cache
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    """The side bar alone, to be put in again after a change."""
    groups = history_list(actor_of(request), current=uuid_or_none(request.GET.get("current", "")))
    return render(request, "conversations/_history.html", {"history": groups})


@never_cache
@require_GET
def models(request: HttpRequest) -> HttpResponse:
    """What the model picker offers, with states."""
    return JsonResponse({"models": [asdict(model) for model in models_offered(actor_of(request))]})


@never_cache
@require_GET
@for_people
def messages(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The shown path alone, for a page that has fallen behind."""
    return messages_page(request, conversation_get(actor_of(request), conversation_id))


@never_cache
@require_GET
@for_people
def message_text(request: HttpRequest, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """A message as it was typed or written, to be changed or copied."""
    message = message_get(conversation_get(actor_of(request), conversation_id), message_id)
    return HttpResponse(message.content, content_type="text/plain; charset=utf-8")


def messages_page(request: HttpRequest, conversation: Conversation) -> HttpResponse:
    """The shown path as it stands in the page."""
    shown = thread_shown(conversation)
    context = {"messages": shown.messages, "columns": shown.columns}
    return render(request, "conversations/_messages.html", context)


def _chat_page(request: HttpRequest, conversation: Conversation | None) -> HttpResponse:
    actor = actor_of(request)
    if not actor.is_authenticated and not settings.VISITORS_MAY_CHAT:
        return redirect_to_login(request.get_full_path())
    response = render(request, "conversations/chat.html", _chat_context(request, actor, conversation))
    visitor_remember(request, response, actor)
    return response


def _chat_context(request: HttpRequest, actor: Actor, conversation: Conversation | None) -> dict[str, Any]:
    shown = thread_shown(conversation) if conversation else ShownThread([], [])
    running = next((m.generation for m in shown.all_messages if m.state in UNFINISHED), None)
    conversation_id = conversation.public_id if conversation else None
    return {
        "conversation": conversation,
        "messages": shown.messages,
        "columns": shown.columns,
        "history": history_list(actor, current=conversation_id),
        "models": models_offered(actor),
        "viewer": {
            "name": request.user.get_username(),
            "is_authenticated": actor.is_authenticated,
            "is_visitor": not actor.is_authenticated,
        },
        "feedback_reasons": Feedback.Reason.choices,
        "page_data": {
            "socket_path": SOCKET_PATH,
            "conversation": conversation_id,
            "generation": running,
            "limits": composer_limits(),
        },
    }
