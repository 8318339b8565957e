"""What `ratings` asks of a site with many votes: how long a board takes with all of them, and with those since.

Runs inside the site's Django and prints one line of JSON.
"""

import json
from time import perf_counter
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.arena.models import Arena, Battle, Contestant, Position, Side, Verdict, Vote
from apps.arena.models.entries import DEFAULT_SLUG
from apps.conversations.models import Conversation, Role
from apps.conversations.services.planting import Seed, messages_plant
from apps.leaderboard.battle_files.style import FEATURES
from apps.leaderboard.increments import snapshot_extend
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.services import snapshot_build
from apps.leaderboard.tallies import IN_FULL_AFTER
from benchmarks.report import peak_mib

N_FRESH, ROUNDS = 1_000, 3
CATEGORIES = ["code", "hard", "instructions", "lang_en", "long", "maths", "multi_turn"]
FILLED = """
WITH drawn AS (SELECT random() AS one, random() AS two FROM generate_series(1, %(n)s)),
battle AS (
    INSERT INTO arena_battle (public_id, arena_id, user_id, is_anonymous, prompt_digest, n_turns, follows, created_at)
    SELECT gen_random_uuid(), %(arena)s, %(user)s, true, md5(random()::text), 1, '', %(voted_at)s
    FROM drawn RETURNING id
),
pair AS (SELECT id, floor(random() * %(models)s)::int AS x, floor(random() * (%(models)s - 1))::int AS y FROM battle),
side AS (
    INSERT INTO arena_side (battle_id, position, contestant_id)
    SELECT id, 'a', (%(entries)s::bigint[])[x + 1] FROM pair
    UNION ALL SELECT id, 'b', (%(entries)s::bigint[])[(x + 1 + y) %% %(models)s + 1] FROM pair
),
vote AS (
    INSERT INTO arena_vote
        (battle_id, verdict, n_turns, integrity, reasons, weight, overruled, overruled_why, network, created_at)
    SELECT id, (ARRAY['a', 'b', 'tie'])[floor(random() * 3) + 1], 1, 'counted', '{}', 1.0, '', '', '', %(voted_at)s
    FROM pair RETURNING id
)
INSERT INTO leaderboard_votetraits (vote_id, judge, categories, style_a, style_b)
SELECT id, '', (%(categories)s::text[])[1 + floor(random() * 4)::int : 4 + floor(random() * 4)::int],
    (SELECT array_agg(floor(random() * 200)) FROM generate_series(1, %(features)s) WHERE id > 0),
    (SELECT array_agg(floor(random() * 200)) FROM generate_series(1, %(features)s) WHERE id > 0)
FROM vote
"""
"""Votes of earlier days, whose texts were looked at, as those of all old ones were."""


def measure(n_votes: int, n_models: int) -> None:
    arena = Arena.objects.get(slug=DEFAULT_SLUG)
    voter = User.objects.create_user("bench-voter")
    names = (f"model-{number:03d}" for number in range(n_models))
    entries = Contestant.objects.bulk_create(Contestant(arena=arena, name=name, is_automatic=False) for name in names)
    keys = [entry.pk for entry in entries]
    filling: dict[str, Any] = {"n": n_votes, "arena": arena.pk, "user": voter.pk, "models": n_models, "entries": keys}
    with connection.cursor() as cursor:
        voted_at = timezone.now() - 2 * IN_FULL_AFTER
        cursor.execute(FILLED, filling | {"categories": CATEGORIES, "features": len(FEATURES), "voted_at": voted_at})
        cursor.execute("ANALYZE")
    started = perf_counter()
    snapshot_build(arena, BoardConfig())
    full_s, full_mib = perf_counter() - started, peak_mib()
    took, n_voted = [], 0
    for _ in range(ROUNDS):
        _vote(arena, voter, entries)
        started = perf_counter()
        extended = snapshot_extend(arena)
        took.append(perf_counter() - started)
        if extended is None:
            raise RuntimeError("the board was not extended: all votes would be read")
        n_voted = extended[0].n_votes
    extended_s = sorted(took)[ROUNDS // 2]
    print(json.dumps({"full_s": full_s, "full_mib": full_mib, "extended_s": extended_s, "n_votes": n_voted}))


@transaction.atomic
def _vote(arena: Arena, voter: User, entries: list[Contestant]) -> None:
    """A thousand battles with texts, each voted on."""
    now = timezone.now()
    for number in range(N_FRESH):
        battle = Battle.objects.create(arena=arena, user=voter, n_turns=1)
        other = (number + 1 + number // len(entries)) % len(entries)
        for position, entry in zip(Position, (entries[number % len(entries)], entries[other]), strict=True):
            chat = Conversation.objects.create(user=voter, title="", updated_at=now)
            said = (
                (None, Role.USER, f"Write a function for number {number}"),
                (0, Role.ASSISTANT, f"# Number\n\n- {number}"),
            )
            seeds = [Seed(parent, role, text, None, "", now) for parent, role, text in said]
            chat.active_leaf = messages_plant(chat, seeds)[-1]
            chat.save()
            Side.objects.create(battle=battle, position=position, contestant=entry, conversation=chat)
        Vote.objects.create(battle=battle, verdict=Verdict.A, n_turns=1)
