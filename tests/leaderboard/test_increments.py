"""Boards of more votes that are made without reading the old ones: the same numbers, whatever happens between."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from random import Random
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.arena.models import Arena, Battle, Contestant, Integrity, Verdict, Vote
from apps.arena.services.votes import vote_overrule
from apps.leaderboard import services
from apps.leaderboard.errors import RatingRefused
from apps.leaderboard.increments import snapshot_extend
from apps.leaderboard.models import CategoryBoard, Refresh, Snapshot, VoteTally, VoteTraits
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.slices import boards_make
from apps.leaderboard.rating.tally import Tally, boards_of_tally
from apps.leaderboard.rating.ties import TieModel
from apps.leaderboard.refresh import board_refresh
from apps.leaderboard.services import Made, snapshot_build, snapshot_rebuild, snapshot_verify
from apps.leaderboard.tallies import IN_FULL_AFTER
from apps.leaderboard.traits import traits_write
from apps.leaderboard.votes import votes_hash, votes_lines, votes_read, votes_text
from tests.leaderboard.support import command, said, vote, votes_file, while_rating

pytestmark = pytest.mark.django_db

PROMPTS = (
    "Write a Python function, please.",
    "Tell me about the city of Lisbon.",
    "Wie geht es dir heute, mein Freund?",
)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also few votes are counted."""
    monkeypatch.setattr(services, "COUNTED_FROM", 1)


@pytest.fixture
def base(arena: Arena, votes: None) -> Snapshot:
    """Of forty votes."""
    return snapshot_build(arena, BoardConfig(min_battles=1))[0]


def refreshed(arena: Arena) -> Snapshot:
    outcome = board_refresh(arena)
    assert outcome is not None and outcome.snapshot is not None, Refresh.objects.get().refusal
    return outcome.snapshot


def numbers(snapshot: Snapshot) -> str:
    """Of all its boards as voted."""
    boards = CategoryBoard.objects.filter(snapshot=snapshot, is_styled=False).order_by("category")
    return json.dumps([snapshot.board, snapshot.pairs, [(of.category, of.board) for of in boards]], sort_keys=True)


def numbers_in_full(arena: Arena, snapshot: Snapshot) -> str:
    """As `numbers`, of all votes as they are now."""
    battles, reading = votes_read(BytesIO(votes_text(arena)))
    made = Made.of(boards_make(battles, reading.categories, (), BoardConfig.of(snapshot.config)), battles)
    boards = sorted((of.category, board) for of, board in made.boards.items() if of.category != "overall")
    main = next(board for of, board in made.boards.items() if of.category == "overall")
    return json.dumps([main, made.pairs, boards], sort_keys=True)


@pytest.mark.parametrize(
    ("seed", "config"),
    [
        (1, BoardConfig(min_battles=1)),
        (2, BoardConfig(TieModel.DAVIDSON, min_battles=3)),
        (3, BoardConfig(covariance=Covariance.MODEL, has_side=True, anchor="bug", min_battles=2)),
    ],
)
def test_after_any_votes_and_changes_the_numbers_are_those_of_all_votes(
    arena: Arena, three: list[Contestant], votes: None, alice: User, admin_user: User, seed: int, config: BoardConfig
) -> None:
    random = Random(seed)
    snapshot_build(arena, config)
    entered = [*three, Contestant.objects.create(arena=arena, name="axolotl")]

    def cast() -> None:
        fields: dict[str, Any] = {
            "weight": random.choice([1.0, 1.0, 0.25, 0.0]),
            "integrity": random.choice([Integrity.COUNTED] * 3 + [Integrity.NOT_COUNTED]),
            "is_anonymous": random.random() < 0.9,
            "user": random.choice([alice, None]),
        }
        a, b = random.sample(entered, 2)
        fresh = vote(a, b, random.choice(list(Verdict)), **fields)
        if random.random() < 0.5:
            said(fresh, [random.choice(PROMPTS)], (["One"], ["Two"]))

    def decide() -> None:
        one = random.choice(list(Vote.objects.all()))
        vote_overrule(vote=one, decision=random.choice([*Integrity, None]), why="Looked", admin=admin_user)

    changes: list[Callable[[], object]] = [
        decide,
        lambda: Vote.objects.filter(pk=random.choice(Vote.objects.values_list("pk", flat=True))).update(weight=0.5),
        lambda: Contestant.objects.filter(pk=entered[-1].pk).update(name=f"newt {random.random()}"),
        lambda: Battle.objects.filter(user=alice).update(user=None),
    ]
    n_extended = 0
    for _ in range(8):
        for _ in range(random.randint(1, 4)):
            cast()
        vote(three[0], three[1])
        if random.random() < 0.3:
            random.choice(changes)()
        snapshot, _ = snapshot_extend(arena) or snapshot_rebuild(arena)
        n_extended += snapshot.base is not None
        assert numbers(snapshot) == numbers_in_full(arena, snapshot)
        assert snapshot.n_votes == len(list(votes_lines(snapshot))) == Vote.objects.rated(arena).count()
    assert n_extended >= 3
    assert snapshot_verify(Snapshot.objects.exclude(base=None).latest("pk")).is_right


def test_counted_battles_give_the_bytes_of_battles(drawn: Battles) -> None:
    """In as many parts as one likes, with models that only some parts have."""
    random = Random(5)
    tags = [random.randrange(4) for _ in range(len(drawn))]
    weight = [random.choice([1.0, 1.0, 0.3]) for _ in range(len(drawn))]
    columns = {name: getattr(drawn, name) for name in ("first", "second", "outcome", "voter")}
    whole = Battles.of(drawn.names, **columns, weight=np.array(weight), tags=np.array(tags))
    part = np.array([random.randrange(3) for _ in tags])
    tally = None
    for number in range(3):
        few = Tally.of(whole.where(part == number), ("code", "maths"))
        tally = few if tally is None else Tally.from_bytes(tally.to_bytes()).plus(few)
    assert tally is not None
    for config in (BoardConfig(), BoardConfig(TieModel.RAO_KUPPER), BoardConfig(has_side=True)):
        assert boards_of_tally(tally, config) == boards_make(whole, ("code", "maths"), (), config)


def test_new_votes_are_added_and_no_old_one_is_read(arena: Arena, three: list[Contestant], base: Snapshot) -> None:
    old = set(Vote.objects.values_list("pk", flat=True))
    fresh = [vote(three[0], three[1], Verdict.B) for _ in range(3)]
    with CaptureQueriesContext(connection) as asked:
        snapshot = refreshed(arena)
    assert snapshot.base == base
    assert bytes(snapshot.votes) != bytes(base.votes)
    assert snapshot.n_votes == 43
    of_votes = [query["sql"] for query in asked.captured_queries if '"arena_vote"."verdict"' in query["sql"]]
    assert of_votes
    for sql in of_votes:
        assert " IN (" in sql or '"leaderboard_votetraits"."vote_id" IS NULL' in sql
        assert not any(f"({pk}," in sql or f" {pk}," in sql for pk in old - {one.pk for one in fresh})


def test_what_a_refusal_left_out_is_in_the_next_board(
    arena: Arena, three: list[Contestant], base: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote(three[0], three[1])
    with monkeypatch.context() as patch:
        patch.setattr("apps.leaderboard.rating.battles.MAX_MODELS", 2)
        with pytest.raises(RatingRefused):
            snapshot_extend(arena)
    assert VoteTraits.objects.count() == 40
    assert refreshed(arena).n_votes == 41
    assert Snapshot.objects.latest("pk").base == base


def test_votes_that_do_not_count_make_no_board(arena: Arena, three: list[Contestant], base: Snapshot) -> None:
    vote(three[0], three[1], integrity=Integrity.NOT_COUNTED)
    assert snapshot_extend(arena) == (base, False)
    vote(three[0], three[1])
    assert refreshed(arena).n_votes == 41


@pytest.mark.parametrize(
    "config",
    [BoardConfig(covariance=Covariance.CLUSTERED, min_battles=1), BoardConfig(deduplicates=True, min_battles=1)],
)
def test_what_needs_single_votes_reads_all_of_them(
    arena: Arena, three: list[Contestant], votes: None, config: BoardConfig
) -> None:
    snapshot_build(arena, config)
    vote(three[0], three[1])
    assert refreshed(arena).base is None


def test_few_votes_are_all_read(
    arena: Arena, three: list[Contestant], votes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "COUNTED_FROM", 41)
    snapshot_build(arena, BoardConfig())
    vote(three[0], three[1])
    assert refreshed(arena).base is None
    vote(three[0], three[1])
    assert refreshed(arena).base is not None


def test_once_a_day_all_votes_are_read_also_while_votes_come(
    arena: Arena, three: list[Contestant], base: Snapshot
) -> None:
    vote(three[0], three[1])
    assert refreshed(arena).base == base
    Snapshot.objects.update(created_at=timezone.now() - IN_FULL_AFTER - timedelta(minutes=1))
    assert refreshed(arena).base is None  # without a new vote too, for the page without style and for the erased
    assert Refresh.objects.get().refusal == ""


def test_a_build_of_which_nothing_is_new_keeps_the_counts_for_as_long_as_they_are_of_use(
    arena: Arena, three: list[Contestant], base: Snapshot
) -> None:
    config = BoardConfig.of(base.config)
    assert snapshot_build(arena, config) == (base, False)
    vote(three[0], three[1])
    assert refreshed(arena).base == base
    newest, _ = snapshot_build(arena, config)
    Snapshot.objects.update(created_at=timezone.now() - IN_FULL_AFTER - timedelta(minutes=1))
    for _ in range(2):
        outcome = board_refresh(arena)
        assert outcome is not None and outcome.snapshot is None
    assert not VoteTally.objects.exclude(base=None).exists()  # or each look would have all votes read
    assert Snapshot.objects.latest("pk") == newest


def test_a_build_of_which_nothing_is_new_counts_no_vote_that_has_changed_meanwhile(
    arena: Arena, three: list[Contestant], base: Snapshot, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = Vote.objects.earliest("pk")

    def hash_later(text: bytes) -> str:
        vote_overrule(vote=decided, decision=Integrity.NOT_COUNTED, why="Spam", admin=admin_user)
        return votes_hash(text)

    monkeypatch.setattr(services, "votes_hash", hash_later)
    assert snapshot_build(arena, BoardConfig.of(base.config)) == (base, False)
    assert not VoteTally.objects.exists()


def test_another_version_of_the_code_reads_all_votes(arena: Arena, three: list[Contestant], base: Snapshot) -> None:
    Snapshot.objects.update(code_version="older")
    vote(three[0], three[1])
    assert refreshed(arena).base is None


def test_votes_that_got_their_traits_elsewhere_are_not_lost(
    arena: Arena, three: list[Contestant], base: Snapshot
) -> None:
    """As by a build that was refused."""
    vote(three[0], three[1])
    command_refused(arena)
    assert not VoteTally.objects.exclude(base=None).exists()
    assert refreshed(arena).n_votes == 41


def command_refused(arena: Arena) -> None:
    with pytest.raises(RatingRefused):
        snapshot_build(arena, BoardConfig(anchor="nobody"))


def test_what_changes_while_a_board_is_made_is_in_the_next_one(
    arena: Arena, three: list[Contestant], votes: None, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = Vote.objects.earliest("pk")
    while_rating(
        monkeypatch,
        lambda: vote_overrule(vote=decided, decision=Integrity.NOT_COUNTED, why="Spam", admin=admin_user),
    )
    assert snapshot_build(arena, BoardConfig())[0].n_votes == 40
    vote(three[0], three[1])
    vote(three[0], three[1])

    def read_by_another() -> None:
        vote(three[0], three[1])
        traits_write(arena)  # as a build that began before this one, and ends after it

    while_rating(monkeypatch, read_by_another)
    assert refreshed(arena).n_votes == 41
    assert refreshed(arena).n_votes == 42


def test_a_changed_base_is_found_out(arena: Arena, three: list[Contestant], base: Snapshot) -> None:
    vote(three[0], three[1])
    snapshot = refreshed(arena)
    assert snapshot_verify(snapshot).is_right
    Snapshot.objects.filter(pk=base.pk).update(votes=snapshot.votes)
    assert not snapshot_verify(Snapshot.objects.get(pk=snapshot.pk)).has_its_votes


def test_pages_tell_the_base_and_show_the_board_without_style_of_all_votes(
    client: Client, arena: Arena, three: list[Contestant], base: Snapshot
) -> None:
    vote(three[0], three[1])
    snapshot = refreshed(arena)
    page = client.get("/leaderboard").content.decode()
    assert all(str(one.public_id) in page for one in (base, snapshot))
    assert "41 votes" in page
    told = client.get("/leaderboard/of/public/board.json").json()
    assert (told["id"], told["base"]) == (str(snapshot.public_id), str(base.public_id))
    styled = client.get("/leaderboard?style=controlled").content.decode()
    assert "40 votes" in styled
    assert str(snapshot.public_id) not in styled
    counts = [votes_file(client, query).count(b"\n") for query in ("", "?style=controlled")]
    assert counts == [41, 40]
    assert command("export", str(snapshot.public_id)).count("\n") == 41
    assert "41 votes give the same numbers" in command("verify", str(snapshot.public_id))
