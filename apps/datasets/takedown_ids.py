"""Which conversation a row is of, by its id: all that was made of one conversation is taken down together. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from apps.core.texts import clean_text

# Of what has nothing before it nothing would be left, which is the id of every row that has none.
_PART, _SIDE = re.compile(r"(?<!^)_\d+\Z"), re.compile(r"(?<!^)_[ab]\Z")


def ids_of(value: Mapping[str, Any]) -> list[str]:
    """Its own id, that of the conversation of which it is a part, and that of the battle of which it is a side. As
    Postgres keeps them."""
    found = [clean_text(str(value.get("id", "")))]
    source = value.get("source")
    steps = source.get("steps") if isinstance(source, Mapping) else None
    if isinstance(steps, list) and "split_long" in steps and _PART.search(found[-1]):
        found.append(_PART.sub("", found[-1]))
    if all(isinstance(value.get(name), str) for name in ("model_a", "model_b")) and _SIDE.search(found[-1]):
        found.append(_SIDE.sub("", found[-1]))
    return found
