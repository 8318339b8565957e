"""What becomes of battles when somebody asks to be erased. What was said in them goes with their conversations.

A battle that was judged stays without its person: who met whom and what the verdict was, so that boards that count the
vote can be made again. One without a vote is nothing without its texts, and goes.
"""

from collections.abc import Collection
from uuid import UUID

from django.contrib.postgres.functions import RandomUUID

from apps.accounts.actors import Actor
from apps.arena.models import Battle, Vote

ERASED_AT_ONCE = 500


def battles_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Take the person out of battles with a vote, and delete those without one; 0 when there are none."""
    if actor.user_id is not None:
        theirs = Battle.objects.filter(user_id=actor.user_id).exclude(user__public_id__in=held)
    elif actor.visitor_public_id is not None and actor.visitor_public_id not in held:
        theirs = Battle.objects.filter(visitor__public_id=actor.visitor_public_id)
    else:
        return 0
    some = theirs.exclude(public_id__in=held).order_by("pk")
    judged = list(some.filter(vote__isnull=False).values_list("pk", flat=True)[:ERASED_AT_ONCE])
    Vote.objects.filter(battle__in=judged).exclude(network="").update(network="")
    # Nothing that is in an address or in a log leads there any more, nor from one of their battles to the next.
    n_judged = Battle.objects.filter(pk__in=judged).update(
        public_id=RandomUUID(), user=None, visitor=None, api_key=None, prompt_digest="", previous=None
    )
    unjudged = some.filter(vote__isnull=True).values_list("pk", flat=True)[:ERASED_AT_ONCE]
    Battle.objects.filter(pk__in=(pks := list(unjudged)), vote__isnull=True).delete()
    return n_judged + len(pks)
