"""What may be used now: of whom, and of what neither its person nor moderators have said otherwise."""

from collections.abc import Iterator, Sequence
from itertools import islice

from django.db.models import BooleanField, CharField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from apps.appeals.models import Outcome
from apps.consents.models import Kind
from apps.consents.selectors import consents_in_force
from apps.conversations.models import Conversation, Message, Purpose
from apps.datasets.errors import ConsentGone, SiteFolder
from apps.datasets.models import DatasetRow, DatasetVersion, SourceRecord
from apps.datasets.site.asked import UNUSABLE, Origin, What, Why
from apps.moderation.actions import REMOVED
from apps.moderation.choices import Review
from apps.moderation.models import Incident

_REMOVED = ExpressionWrapper(Q(content__contains=REMOVED), output_field=BooleanField())
_HARMFUL = ~Q(review=Review.APPROVED) | Q(appeal__outcome=Outcome.OPEN)
_NAMES = ("public_id", "generation__public_id", "conversation__public_id", "conversation__side__battle__public_id")
"""By which of a message's names an incident may be about it, or about all that it is in."""
_REMOVED_PROMPT = ExpressionWrapper(Q(system_prompt__contains=REMOVED), output_field=BooleanField())

_AT_ONCE = 500


def of_consenting(kind: Kind) -> Q:
    """Rows whose user or visitor lets this kind be used. Whoever cannot come in any more could not take it back.

    Asked of each row by itself: a few rows at a time must not cost a look at everybody who agreed.
    """
    agreed = consents_in_force(kind)
    by_user = agreed.filter(user=OuterRef("user"), user__is_active=True)
    return Q(Exists(by_user)) | Q(Exists(agreed.filter(visitor=OuterRef("visitor"))))


def conversations_usable() -> QuerySet[Conversation]:
    return Conversation.objects.filter(
        Q(of_consenting(Kind.CHATS), purpose=Purpose.CHAT) | Q(of_consenting(Kind.BATTLES), purpose=Purpose.BATTLE_SIDE)
    )


def refusals(origins: Sequence[Origin]) -> list[Why | None]:
    """For each, why it may not be used now; in a few queries for all of them."""
    ids = {name for origin in origins for name in origin.conversations}
    talks = Conversation.objects.filter(public_id__in=ids)
    has_removed = {str(id_): gone for id_, gone in talks.values_list("public_id", _REMOVED_PROMPT)}
    usable = {str(id_) for id_ in conversations_usable().filter(public_id__in=ids).values_list("public_id", flat=True)}
    messages = Message.objects.filter(pk__in=[key for origin in origins for key in origin.messages]).order_by()
    said = {pk: rest for pk, *rest in messages.values_list("pk", _REMOVED, "public_id", "generation__public_id")}
    names = [
        {str(name) for key in origin.messages for name in said.get(key, ())[1:]} | set(origin.names())
        for origin in origins
    ]
    decided = _decided({name for some in names for name in some})
    return [
        _why(origin, has_removed, usable, said) or next(map(decided.get, sorted(some & decided.keys())), None)
        for origin, some in zip(origins, names, strict=True)
    ]


def _why(origin: Origin, has_removed: dict[str, bool], usable: set[str], said: dict[int, list[object]]) -> Why | None:
    if any(id_ not in has_removed for id_ in origin.conversations) or any(key not in said for key in origin.messages):
        return Why.GONE
    if any(id_ not in usable for id_ in origin.conversations):
        return Why.NO_CONSENT
    if any(has_removed[id_] for id_ in origin.conversations) or any(said[key][0] for key in origin.messages):
        return Why.TAKEN_OUT
    return None


def _decided(names: set[str]) -> dict[str, Why]:
    """What moderators found about any of these, where they did not find it harmless."""
    incidents = Incident.objects.filter(_HARMFUL, reference__in=names).order_by("pk")
    return {
        reference: Why.LOOKED_AT if review == Review.OPEN or outcome == Outcome.OPEN else Why.TAKEN_OUT
        for reference, review, outcome in incidents.values_list("reference", "review", "appeal__outcome")
    }


# --- Records that are in versions -------------------------------------------------------------------------------------


def sources_unusable(version: DatasetVersion) -> QuerySet[SourceRecord]:
    """Those that were made of what people wrote, and that no later version may have in it."""
    same_person = Q(user=OuterRef("user")) | Q(visitor__public_id=OuterRef("visitor_public_id"))
    usable = conversations_usable().filter(same_person, public_id=OuterRef("conversation"))
    of_people = Q(user__isnull=False) | Q(visitor_public_id__isnull=False)
    unusable = Q(of_people, ~Exists(usable)) | Q(pk__in=list(_without_all_messages(version)))
    return SourceRecord.objects.filter(unusable, version=version)


def _without_all_messages(version: DatasetVersion) -> Iterator[int]:
    """Keys of those of which a message is deleted, or moderators took something out, or still look at it."""
    sources = SourceRecord.objects.filter(version=version, messages__isnull=False).order_by("pk")
    made_of = sources.values_list("pk", "messages").iterator(chunk_size=_AT_ONCE)
    while some := list(islice(made_of, _AT_ONCE)):
        usable = set(_messages_usable({key for _, keys in some for key in keys or ()}))
        yield from (pk for pk, keys in some if not usable.issuperset(keys or ()))


def _messages_usable(keys: set[int]) -> QuerySet[Message, int]:
    """Asked for by their keys, a bounded number at a time: a look at all of a site's messages would take minutes."""
    found = Message.objects.filter(pk__in=keys).order_by()
    found = found.exclude(Q(content__contains=REMOVED) | Q(conversation__system_prompt__contains=REMOVED))
    for name in _NAMES:
        its_name = Cast(OuterRef(name), CharField())
        found = found.filter(~Exists(Incident.objects.filter(_HARMFUL, reference=its_name)))
    return found.values_list("pk", flat=True)


def version_check_people(version: DatasetVersion) -> None:
    """The last look before a version is whole. Until its transaction ends nobody's answer changes.

    Raises: ConsentGone; SiteFolder: rows do not say whose they are.
    """
    for kind in Kind:
        locked = consents_in_force(kind).order_by("pk").select_for_update(of=("self",))
        list(locked.values_list("pk", flat=True))
    if n_gone := sources_unusable(version).count():
        raise ConsentGone(reasons=f"{n_gone} {UNUSABLE}")
    of_site = Q(pk__in=[])
    for what in What:
        of_site |= Q(source_file__endswith=what)
    # One that was erased a moment ago says nothing more; whoever stores its row empties it.
    known = SourceRecord.objects.filter(version=version, file=OuterRef("source_file"), record=OuterRef("source_record"))
    if DatasetRow.objects.filter(of_site, ~Exists(known), version=version).exists():
        raise SiteFolder
