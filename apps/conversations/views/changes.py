"""What a person changes about a chat by a form or a script: shape only, each calls one service."""

from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.history import conversation_url
from apps.conversations.services.branches import branch_show, conversation_fork
from apps.conversations.services.conversations import conversation_delete, conversation_rename, title_checked
from apps.conversations.services.keeping import Change, conversations_change, folder_checked
from apps.conversations.setup import names_pass
from apps.conversations.views.pages import messages_page
from apps.conversations.views.support import actor_of, for_people, posted_id, tell_pages, tell_pages_gone, wants_json


@require_POST
@for_people
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Another title and, if the form has that field, another folder."""
    actor = actor_of(request)
    conversation_get(actor, conversation_id)
    title, folder = title_checked(request.POST.get("title", "")), request.POST.get("folder")
    names = [title, folder_checked(folder or "")]
    async_to_sync(names_pass)(actor, names, reference=str(conversation_id))
    conversation_rename(actor=actor, conversation_id=conversation_id, title=title)
    if folder is not None:
        conversations_change(actor=actor, conversation_ids=[conversation_id], change=Change.MOVE, folder=folder)
    tell_pages(actor, conversation_id)
    if wants_json(request):
        return HttpResponse(status=204)
    return redirect("chat:conversation", conversation_id)


@require_POST
@for_people
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    actor = actor_of(request)
    conversation_delete(actor=actor, conversation_id=conversation_id)
    tell_pages_gone(actor, conversation_id)
    return HttpResponse(status=204) if wants_json(request) else redirect("chat:new")


@require_POST
@for_people
def branch(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Show another branch, and answer with its messages."""
    actor, message_id = actor_of(request), posted_id(request, "message")
    conversation = branch_show(actor=actor, conversation_id=conversation_id, message_id=message_id)
    tell_pages(actor, conversation_id)
    return messages_page(request, conversation)


@require_POST
@for_people
def fork(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    actor, message_id = actor_of(request), posted_id(request, "message")
    forked = conversation_fork(actor=actor, conversation_id=conversation_id, message_id=message_id)
    tell_pages(actor, forked.public_id)
    url = conversation_url(forked.public_id)
    return JsonResponse({"url": url}) if wants_json(request) else redirect(url)
