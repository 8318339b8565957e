"""What the API keeps of a text that moderation has an incident about: the responses that a program may continue.

Other requests leave nothing here, and the files of batches are for their owner to delete.
Source of the shape: `apps.moderation.kept`.
"""

from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.holds.selectors import not_held_require
from apps.moderation.errors import StillWritten
from apps.moderation.kept import FOUND_SOMETHING, Kept, Line, TakenOut
from apps.moderation.services.openings import opening_record
from apps.openai_api.models import StoredResponse
from apps.openai_api.prompt_texts import places, tell_at, told_at
from apps.openai_api.selectors import RESPONSE_MARK
from apps.openai_api.services.responses import n_bytes

MAX_LINES = 20
"""Items that are shown, the last ones."""

Json = dict[str, Any]


class ResponseKeeper:
    """An incident's reference is the id of a response, as its program knows it."""

    def open(self, reference: str, *, author: Actor, reader: User) -> Kept | None:
        response = _response(reference, author)
        if response is None:
            return None
        name = f"Response {response.public_id.hex[:8]}"
        opening_record(reader=reader, owner=author, what=name, address="", why=FOUND_SOMETHING)
        lines = [Line(_speaker(item), text) for item in _items(response) if (text := _text(item))]
        instructions = response.repeated.get("instructions")
        return Kept(name, [*([Line("Instructions", instructions)] if instructions else []), *lines[-MAX_LINES:]])

    def redact(self, reference: str, *, author: Actor, taken_out: TakenOut) -> bool:
        """Raises: StillWritten; Held, by law."""
        with transaction.atomic():
            response = _response(reference, author, is_locked=True)
            if response is None:
                return False
            not_held_require(response.kept_by)
            if not response.is_ended:
                raise StillWritten
            body: Json = {"input": _items(response), "instructions": response.repeated.get("instructions")}
            texts = taken_out([told_at(place) for place in places(body)])
            for place, text in zip(places(body), texts, strict=True):
                tell_at(place, text)
            response.repeated["instructions"] = body["instructions"]
            response.n_bytes = n_bytes(response)
            response.save(update_fields=["items", "output", "repeated", "n_bytes"])
        return True


def _response(reference: str, author: Actor, *, is_locked: bool = False) -> StoredResponse | None:
    if not reference.startswith(RESPONSE_MARK) or not (author.user_id or author.api_key_id):
        return None
    try:
        public_id = UUID(reference.removeprefix(RESPONSE_MARK))
    except ValueError:
        return None
    found = StoredResponse.objects.of_owner(author).filter(public_id=public_id)
    return (found.select_for_update() if is_locked else found).first()


def _items(response: StoredResponse) -> list[Json]:
    return [*response.items, *response.output]


def _speaker(item: Json) -> str:
    return str(item.get("role") or item.get("type") or "message").replace("_", " ").capitalize()


def _text(item: Json) -> str:
    return "\n".join(told_at(place) for place in places({"input": [item]}))
