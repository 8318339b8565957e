"""Doors for keeping chats in order: the list of all of them, what is done with many at once, and the search."""

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.conversations.errors import SearchTooBroad, UnknownChange
from apps.conversations.selectors.history import chats_page, folders_list
from apps.conversations.selectors.search import Hit, chats_search
from apps.conversations.services.keeping import Change, chats_found, conversations_change, folder_checked
from apps.conversations.setup import names_pass
from apps.conversations.views.support import actor_of, for_people, tell_pages, tell_pages_gone, uuid_or_none, wants_json
from apps.core.texts import clean_text

QUERY = "q"


@never_cache
@require_GET
def chats(request: HttpRequest) -> HttpResponse:
    """All chats, a page at a time, with boxes to tick."""
    actor, folder = actor_of(request), clean_text(request.GET.get("folder", ""))
    is_archived = request.GET.get("archived") == "1"
    before = uuid_or_none(request.GET.get("before", ""))
    context = {
        "page": chats_page(actor, folder=folder, is_archived=is_archived, before=before),
        "folders": folders_list(actor),
        "folder": folder,
        "here": urlencode({"folder": folder, "archived": "1" if is_archived else ""}),
        "is_archived": is_archived,
        "changes": _changes(is_archived),
    }
    return render(request, "conversations/chats.html", context)


@require_POST
@for_people
def change(request: HttpRequest) -> HttpResponse:
    """Do something with the chats that were ticked, or with one."""
    actor = actor_of(request)
    try:
        wanted = Change(request.POST.get("change", ""))
    except ValueError as exc:
        raise UnknownChange from exc
    ids = [found for text in request.POST.getlist("chat") if (found := uuid_or_none(text)) is not None]
    folder = folder_checked(request.POST.get("folder", ""))
    if wanted is Change.MOVE:
        # Nobody looks at a name of somebody who has nothing to put there.
        [first, *_] = chats_found(actor, ids)
        async_to_sync(names_pass)(actor, [folder], reference=str(first))
    changed = conversations_change(actor=actor, conversation_ids=ids, change=wanted, folder=folder)
    # One hint is enough to make the pages look at the history again.
    for one in changed[:1]:
        (tell_pages_gone if wanted is Change.DELETE else tell_pages)(actor, one)
    # The address of the form says which list it stood in.
    return (
        HttpResponse(status=204)
        if wants_json(request)
        else redirect(f"{reverse('chat:all')}?{request.GET.urlencode()}")
    )


@never_cache
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What was found: a page, or for the side bar its list alone."""
    text = request.GET.get(QUERY, "")
    context: dict[str, Any] = {"query": text, "hits": list[Hit](), "is_too_broad": False}
    try:
        context["hits"] = chats_search(actor_of(request), text)
    except SearchTooBroad as exc:
        context |= {"is_too_broad": True, "words": exc.message}
    template = "_found.html" if request.GET.get("part") else "search.html"
    return render(request, f"conversations/{template}", context)


def _changes(is_archived: bool) -> list[tuple[Change, str]]:
    if is_archived:
        return [(Change.RESTORE, "Put back"), (Change.DELETE, "Delete")]
    return [(Change.PIN, "Pin"), (Change.UNPIN, "Unpin"), (Change.ARCHIVE, "Archive"), (Change.DELETE, "Delete")]
