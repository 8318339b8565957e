"""Pages of the arena: shape only. What is sent, answered and voted goes through the socket (`consumers`)."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.accounts.actors import Actor, actor_get
from apps.accounts.visits import visitor_remember
from apps.arena import selectors
from apps.arena.errors import ArenaNotFound, BattleNotFound
from apps.arena.models import Arena
from apps.arena.models.entries import DEFAULT_SLUG
from apps.arena.pages import ShownBattle, battle_shown, contestant_told
from apps.arena.routing import SOCKET_PATH
from apps.arena.services.battles import MAX_TURNS
from apps.arena.verdicts import told_about
from apps.conversations.composing import composer_limits


@never_cache
@require_GET
def arena(request: HttpRequest, slug: str = DEFAULT_SLUG) -> HttpResponse:
    """A new battle of two that are drawn; its row is made with the first message."""
    return _arena_page(request, slug, is_named=False)


@never_cache
@require_GET
def side_by_side(request: HttpRequest, slug: str = DEFAULT_SLUG) -> HttpResponse:
    """A new battle of two that are chosen by name."""
    return _arena_page(request, slug, is_named=True)


@never_cache
@require_GET
def battle(request: HttpRequest, battle_id: UUID) -> HttpResponse:
    """A battle of one's own, with its names if they have been told."""
    actor = _actor(request)
    try:
        found = selectors.battle_get(actor, battle_id)
    except BattleNotFound as exc:
        raise Http404(exc.message) from exc
    return _page(request, actor, found.arena, is_named=not found.is_anonymous, shown=battle_shown(found))


@require_GET
def rules(request: HttpRequest) -> HttpResponse:
    """What is stored, what a vote means, and when it does not count."""
    return render(request, "arena/rules.html", {"max_turns": MAX_TURNS})


def _arena_page(request: HttpRequest, slug: str, *, is_named: bool) -> HttpResponse:
    actor = _actor(request)
    if not actor.is_authenticated and not settings.VISITORS_MAY_CHAT:
        return redirect_to_login(request.get_full_path())
    try:
        found = selectors.arena_get(actor, slug)
    except ArenaNotFound as exc:
        raise Http404(exc.message) from exc
    return _page(request, actor, found, is_named=is_named, shown=None)


def _page(
    request: HttpRequest, actor: Actor, arena: Arena, *, is_named: bool, shown: ShownBattle | None
) -> HttpResponse:
    context: dict[str, Any] = {
        "arena": arena,
        "arenas": list(selectors.arenas_visible(actor).filter(is_open=True)),
        "is_named": is_named,
        "contestants": _choosable(actor, arena) if is_named else [],
        "battle": shown,
        "recent": selectors.battles_recent(actor, arena) if shown is None else [],
        "viewer": {"name": request.user.get_username()},
        "page_data": {
            "socket_path": SOCKET_PATH,
            "arena": arena.slug,
            "is_named": is_named,
            "limits": composer_limits(),
            "battle": None if shown is None else _state(shown),
        },
    }
    response = render(request, "arena/arena.html", context)
    visitor_remember(request, response, actor)
    return response


def _choosable(actor: Actor, arena: Arena) -> list[dict[str, Any]]:
    return [
        {"id": contestant.public_id, **asdict(contestant_told(contestant))}
        for contestant in selectors.contestants_by_name(actor, arena)
    ]


def _state(shown: ShownBattle) -> dict[str, Any]:
    """What the page's script must know of a battle; nothing that would tell a name too early."""
    names = None if shown.names is None else [asdict(told) for told in shown.names]
    return {
        "id": shown.id,
        "state": shown.state,
        "error": None if shown.failure is None else asdict(shown.failure),
        "is_revealed": shown.is_revealed,
        "names": names,
        **told_about(shown.vote),
    }


def _actor(request: HttpRequest) -> Actor:
    return actor_get(request.user, request.COOKIES)
