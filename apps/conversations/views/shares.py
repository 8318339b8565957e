"""Doors of shared chats: the page for everyone who has the address, and the owner's links."""

from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.actors import Actor
from apps.conversations.models import Share
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.shares import share_get, shares_list
from apps.conversations.services.shares import share_create, share_revoke
from apps.conversations.views.support import actor_of, for_people, wants_json

LASTS = {
    "7": ("a week", timedelta(days=7)),
    "1": ("a day", timedelta(days=1)),
    "30": ("30 days", timedelta(days=30)),
    "": ("until it is revoked", None),
}
"""How long a link may work, the first one is offered first."""


@never_cache
@require_GET
@for_people
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The copy. Search engines are asked to leave it alone, and no address that it links to learns its own."""
    share = share_get(token)
    response = render(request, "conversations/shared.html", {"share": share, "copied": share.messages})
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_GET
@for_people
def links(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The links of one chat, and the form for another one."""
    actor = actor_of(request)
    conversation_get(actor, conversation_id)
    return _links(request, actor, conversation_id)


@require_POST
@for_people
def create(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    actor = actor_of(request)
    _, lasts = LASTS.get(request.POST.get("lasts", "7"), LASTS["7"])
    share_create(actor=actor, conversation_id=conversation_id, lasts=lasts)
    return _links(request, actor, conversation_id)


@require_POST
@for_people
def revoke(request: HttpRequest, share_id: int) -> HttpResponse:
    share_revoke(actor=actor_of(request), share_id=share_id)
    return HttpResponse(status=204) if wants_json(request) else redirect("chat:shares")


@never_cache
@require_GET
def shares(request: HttpRequest) -> HttpResponse:
    """All links of this person."""
    return render(request, "conversations/shares.html", _shown(request, shares_list(actor_of(request))))


def _shown(request: HttpRequest, shares: list[Share]) -> dict[str, object]:
    urls = [request.build_absolute_uri(reverse("chat:shared", args=[share.token])) for share in shares]
    return {"links": list(zip(shares, urls, strict=True))}


def _links(request: HttpRequest, actor: Actor, conversation_id: UUID) -> HttpResponse:
    context = _shown(request, shares_list(actor, conversation_id)) | {
        "conversation_id": conversation_id,
        "lasts": [(days, words) for days, (words, _) in LASTS.items()],
    }
    return render(request, "conversations/_links.html", context)
