"""Who somebody is cannot be told from what stands beside a conversation: ids are replaced, and rare values go."""

import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from apps.datasets.records import Record
from apps.datasets.steps.base import ChoiceStep, Key, MapStep, OptionWrong, Outcome, step
from apps.datasets.steps.duplicates import digest_of

KEY_MIN_BYTES = 32


@step
@dataclass(frozen=True)
class Pseudonyms(MapStep):
    """Put a pseudonym in place of what stands in `fields`, as "user_id": the same for the same value in all of them, so
    that what one user said can still be known as such.

    It is made with the secret in `key_file` (32 bytes or more), by HMAC-SHA-256, of which 16 digits are kept: without
    the secret nobody can try values out. Keep the file apart from what is released, and for the next release.
    """

    name = "pseudonyms"
    fields: list[str] = field(default_factory=list)
    key_file: str = ""

    def __post_init__(self) -> None:
        if not self.fields or not self.key_file:
            raise OptionWrong("fields, key_file: give at least one field, and the file with the secret")
        self._key()

    def files(self) -> tuple[Path, ...]:
        return (Path(self.key_file),)

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        key = self._key()
        for name in self.fields:
            value = record.fields.get(name)
            if value is None or value == "":
                continue
            digest = hmac.digest(key, str(value).encode("utf-8", "replace"), "sha256").hex()
            record.fields[name] = f"u{digest[:16]}"
            notes[f"{name} replaced"] += 1
        return record

    def _key(self) -> bytes:
        """Raises: OptionWrong."""
        try:
            stat = Path(self.key_file).stat()
            key = _key_of(self.key_file, (stat.st_mtime_ns, stat.st_size))
        except OSError as exc:
            raise OptionWrong(f"key_file: {self.key_file}: {exc.strerror}") from exc
        if len(key) < KEY_MIN_BYTES:
            raise OptionWrong(f"key_file: {self.key_file} has fewer than {KEY_MIN_BYTES} bytes; `openssl rand -hex 32`")
        return key


@lru_cache(maxsize=4)
def _key_of(file: str, stat: object) -> bytes:
    """`stat`: of the file, so that a changed one is read again. Raises: OSError."""
    return Path(file).read_bytes().strip()


@step
@dataclass(frozen=True)
class KAnonymous(ChoiceStep):
    """Drop rows whose values of `fields`, taken together, fewer than `k` rows have; `model` counts as a field.

    `people`: a field that says who it is; then fewer than `k` people.

    Source: Sweeney (2002), k-anonymity: a model for protecting privacy.
    """

    name = "k_anonymous"
    fields: list[str] = field(default_factory=list)
    k: int = 5
    people: str = ""

    def __post_init__(self) -> None:
        if not self.fields or self.k < 2:
            raise OptionWrong("fields, k: give at least one field, and at least 2")

    def key(self, record: Record) -> Key:
        told = {"model": record.model, **record.fields}
        values = digest_of(*(repr(told.get(name)) for name in self.fields))
        return [values, digest_of(str(record.fields.get(self.people))) if self.people else 0]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        here = list(keys)
        n_rows = Counter(values for values, _ in here)
        if self.people:
            people: defaultdict[int, set[int]] = defaultdict(set)
            for values, person in here:
                people[values].add(person)
            n_rows = Counter({values: len(them) for values, them in people.items()})
        for values, _ in here:
            yield f"fewer than {self.k} have the same {', '.join(self.fields)}" if n_rows[values] < self.k else None
