"""Battles of other sites: FastChat's logs and clean-battle files become rows that an arena's boards count in.

Neither texts nor voters are kept, and live ratings do not move. What a file has brought can be withdrawn.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.arena.models import Arena, Contestant
from apps.core.texts import clean_text
from apps.leaderboard.battle_files.categories import categories_in
from apps.leaderboard.battle_files.frequency import prompt_number, share_in
from apps.leaderboard.battle_files.reading import Reading, opened, rows_kept
from apps.leaderboard.battle_files.rows import BattleRow
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.battle_files.style import counts_in
from apps.leaderboard.errors import BattleFileUnreadable, ImportUnknown, TooManyModels
from apps.leaderboard.models import ImportedBattle, ImportedFile
from apps.leaderboard.rating.battles import MAX_MODELS
from apps.leaderboard.tallies import votes_changed
from apps.leaderboard.vote_lines import WINNERS

ALREADY_IMPORTED = "already_imported"
"""Beside the codes of `Reason`: another file had brought it."""
_AT_ONCE = 2_000
_CHUNK_BYTES = 1024 * 1024
_LOCK = 7003
"""Of our advisory locks the one for imports; the second number is the arena's."""
_VOTER_CHARS = 32
_VERDICTS = {winner: verdict for verdict, winner in WINNERS.items()}


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file. `n_new` of its battles were not there before."""

    file: ImportedFile
    reading: Reading
    n_new: int
    n_there: int
    """Which were there before: an earlier import of it or of another file had brought them."""


@transaction.atomic
def battles_import(arena: Arena, path: Path, cleaning: Cleaning, *, is_strict: bool = False) -> Imported:
    """All of a file or nothing. Battles that are there already are not added, whichever file brought them.

    A model that never was in the arena enters it without taking part.
    Raises: BattleFileUnreadable, BattleFileCut, BattleFileRefused, TooManyModels.
    """
    reading = Reading()
    with opened(path) as text:
        sha256 = _sha256(path, text)
        _hold(arena.pk)
        file = _file(arena, path.name, sha256)
        entrance, n_before = _Entrance(file), file.battles.count()
        rows = (entrance.battle(line, row) for line, row in rows_kept(text, cleaning, reading, is_strict=is_strict))
        while some := list(islice(rows, _AT_ONCE)):
            ImportedBattle.objects.bulk_create(some, ignore_conflicts=True)
    n_battles = file.battles.count()
    n_new = n_battles - n_before
    if n_new or file.imported_at is None:
        _check_models(arena)
        others = {ALREADY_IMPORTED: reading.n_kept - n_battles} if reading.n_kept > n_battles else {}
        file.n_rows, file.n_battles = reading.n_rows, n_battles
        file.dropped = {reason.value: count for reason, count in sorted(reading.dropped.items())} | others
        _changed(file)
    return Imported(file, reading, n_new, reading.n_kept - n_new)


@transaction.atomic
def import_withdraw(public_id: UUID) -> tuple[ImportedFile, int]:
    """Take out what a file has brought, and say how many; it can be imported again. Raises: ImportUnknown."""
    file = ImportedFile.objects.select_related("arena").filter(public_id=public_id).first()
    if file is None:
        raise ImportUnknown
    _hold(file.arena_id)
    file.refresh_from_db()
    n_battles, _ = ImportedBattle.objects.filter(file=file).delete()
    if n_battles:
        _changed(file, is_withdrawn=True)
    return file, n_battles


def _hold(arena_pk: int) -> None:
    """Until the transaction ends: of an arena's files one comes or goes at a time, or what they bring is miscounted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, arena_pk])


def _sha256(path: Path, text: TextIO) -> str:
    """Of the very bytes that are read then. Raises: BattleFileUnreadable."""
    if not text.seekable():
        reason = "it is a pipe or a device, and is read twice: write it into a file first"
        raise BattleFileUnreadable(path=str(path), reason=reason)
    digest = hashlib.sha256()
    while chunk := text.buffer.read(_CHUNK_BYTES):
        digest.update(chunk)
    text.seek(0)
    return digest.hexdigest()


def _file(arena: Arena, name: str, sha256: str) -> ImportedFile:
    fresh = {"name": clean_text(name), "n_rows": 0, "n_battles": 0, "dropped": {}}
    found, _ = ImportedFile.objects.get_or_create(arena=arena, sha256=sha256, defaults=fresh)
    return found


def _changed(file: ImportedFile, *, is_withdrawn: bool = False) -> None:
    """The next board is made of all votes, and knows of this."""
    votes_changed(file.arena)
    now = timezone.now()
    file.imported_at, file.withdrawn_at = (file.imported_at, now) if is_withdrawn else (now, None)
    file.save()


def _check_models(arena: Arena) -> None:
    """With more of them no board could be made any more. Raises: TooManyModels."""
    n_models = Contestant.objects.filter(arena=arena).count()
    if n_models > MAX_MODELS:
        raise TooManyModels(n_models=n_models, limit=MAX_MODELS)


class _Entrance:
    """Makes battles of the rows of one file."""

    def __init__(self, file: ImportedFile) -> None:
        self._file = file
        self._contestants: dict[str, int] = {}
        self._seen: Counter[bytes] = Counter()

    def battle(self, line: int, row: BattleRow) -> ImportedBattle:
        style = counts_in(row.raw)
        return ImportedBattle(
            file=self._file,
            arena=self._file.arena,
            key=self._key(row),
            line=line,
            model_a_id=self._contestant(row.model_a),
            model_b_id=self._contestant(row.model_b),
            verdict=_VERDICTS[row.raw["winner"]],
            weight=row.weight,
            voter=voter_of(row.judge) if row.judge else "",
            prompt=prompt_number(row.raw),
            prompt_share=share_in(row.raw),
            categories=sorted(categories_in(row.raw)),
            style_a=list(style[0]) if style else None,
            style_b=list(style[1]) if style else None,
        )

    def _contestant(self, name: str) -> int:
        if name not in self._contestants:
            found, _ = Contestant.objects.get_or_create(
                arena=self._file.arena, name=name, defaults={"is_available": False, "awaits_model": True}
            )
            self._contestants[name] = found.pk
        return self._contestants[name]

    def _key(self, row: BattleRow) -> str:
        """Of its id, or of all that is in it; rows without an id that are alike are told apart by their number."""
        if row.question_id is not None:
            return _digest(f"id {row.question_id}").hex()
        content = _digest(json.dumps(row.raw, sort_keys=True))
        self._seen[content] += 1
        return _digest(f"row {content.hex()} {self._seen[content]}").hex()


def voter_of(judge: str) -> str:
    """The same for the same voter in every file: a log has addresses of people, which nobody may read here."""
    return salted_hmac("leaderboard.imported_voter", _encoded(judge), algorithm="sha256").hexdigest()[:_VOTER_CHARS]


def _digest(text: str) -> bytes:
    return hashlib.sha256(_encoded(text)).digest()


def _encoded(text: str) -> bytes:
    """Also of a file that is not UTF-8 all over."""
    return text.encode("utf-8", "surrogatepass")
