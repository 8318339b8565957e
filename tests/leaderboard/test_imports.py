"""FastChat's logs and clean-battle files as battles that a board counts in: once, and without their people."""

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from apps.arena.models import Arena, Contestant
from apps.catalog.models import LanguageModel, Visibility
from apps.leaderboard.battle_files.fastchat_log import battle_of
from apps.leaderboard.battle_files.rows import FieldWrong, row_parse
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.imports import Imported, battles_import, import_withdraw, voter_of
from apps.leaderboard.models import ImportedBattle, ImportedFile, LiveRating, Snapshot
from apps.leaderboard.refresh import board_refresh
from apps.leaderboard.votes import votes_text
from tests.background import in_background, is_somebody_waiting_for_a_lock
from tests.leaderboard.support import command, published, vote
from tests.leaderboard.test_battle_files import row, talk
from tests.live import wait_until

pytestmark = pytest.mark.django_db

ADDRESS = "203.0.113.77"
SAID = "zanzibarquokka"


def state(model: str | None, *said: Any, conv_id: str = "c1") -> dict[str, Any]:
    messages: list[list[Any]] = [["USER", "Hello"], ["ASSISTANT", "Hi"]]
    for number, text in enumerate(said):
        messages.append(["ASSISTANT" if number % 2 else "USER", text])
    return {"roles": ["USER", "ASSISTANT"], "messages": messages, "offset": 2, "conv_id": conv_id, "model_name": model}


def line(kind: str = "leftvote", number: int = 0, **fields: Any) -> dict[str, Any]:
    """Of a log: a vote on owl and fox, whose names were hidden."""
    states = [state(model, SAID, f"Well, {model}s.", conv_id=f"{number}-{model}") for model in ("owl", "fox")]
    return {
        "tstamp": 1.7e9 + number, "type": kind, "models": ["", ""], "states": states, "ip": ADDRESS,
    } | fields  # fmt: skip


def written(folder: Path, rows: list[dict[str, Any]], name: str = "battles.json", *, lines: bool = False) -> Path:
    path = folder / name
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rows) if lines else json.dumps(rows))
    return path


def bring(*paths: Path, options: tuple[str, ...] = ()) -> tuple[str, str]:
    out, told = io.StringIO(), io.StringIO()
    call_command("leaderboard", "import", *map(str, paths), *options, stdout=out, stderr=told)
    return out.getvalue(), told.getvalue()


@pytest.fixture
def battles(tmp_path: Path) -> Path:
    """Twenty that count and three that do not."""
    rows = [row(n, winner="model_a" if n % 3 else "model_b", judge=f"judge-{n % 5}") for n in range(20)]
    rows += [row(20, anony=False), row(21, winner="?"), row(0)]
    return written(tmp_path, rows)


def test_a_file_becomes_battles_of_the_next_board_which_says_where_they_are_from(
    client: Client, arena: Arena, battles: Path
) -> None:
    out, told = bring(battles)
    assert out.startswith("battles.json: 20 new battles, 0 were there before")
    assert "left out, duplicate: 1" in told
    printed = json.loads(command("build", "--json"))
    assert {name: of["votes"] for name, of in printed.items()} == {"owl": 20, "fox": 20}
    assert printed == json.loads(command("build", str(battles), "--json"))
    board = Snapshot.objects.get()
    left_out = {"bad_field": 1, "duplicate": 1, "not_anonymous": 1}
    file = ImportedFile.objects.get()
    assert board.imports == [
        {"file": "battles.json", "sha256": file.sha256, "rows": 23, "battles": 20, "left_out": left_out}
    ]
    assert (file.n_rows, file.n_battles, file.dropped) == (23, 20, left_out)
    page = client.get("/leaderboard").content.decode()
    assert all(text in page for text in ("Where these votes come from", file.sha256, "not_anonymous: 1"))
    assert client.get("/leaderboard/of/public/board.json").json()["imports"] == board.imports
    rows = list(csv.DictReader(io.StringIO(client.get("/leaderboard/of/public/board.csv").content.decode())))
    assert [one["name"] for one in rows] == ["owl", "fox"]
    assert f"{board.n_votes} votes give the same numbers" in command("verify", str(board.public_id))


def test_the_same_file_twice_adds_nothing_and_an_overlapping_one_only_what_is_new(
    arena: Arena, battles: Path, tmp_path: Path
) -> None:
    bring(battles)
    published()
    before = ImportedFile.objects.values().get()
    assert "0 new battles, 20 were there before" in bring(battles)[0]
    assert ImportedFile.objects.values().get() == before
    published()
    assert Snapshot.objects.count() == 1
    larger = written(tmp_path, [row(n) for n in range(15, 25)], "later.json")
    assert "5 new battles, 5 were there before" in bring(larger)[0]
    later = ImportedFile.objects.get(name="later.json")
    assert (later.n_battles, later.dropped) == (5, {"already_imported": 5})
    assert ImportedBattle.objects.count() == 25


def test_rows_without_an_id_that_are_alike_are_as_many_battles_as_they_are(arena: Arena, tmp_path: Path) -> None:
    one = {"model_a": "owl", "model_b": "fox", "winner": "tie"}
    twice, thrice = (written(tmp_path, [one] * n, f"{n}.json") for n in (2, 3))
    assert "2 new battles" in bring(twice)[0]
    assert "1 new battles, 2 were there before" in bring(thrice)[0]


def test_a_log_becomes_battles_and_no_word_or_address_of_it_is_kept(arena: Arena, tmp_path: Path) -> None:
    log = [line(number=1), line("bothbad_vote", 2), line("chat"), line("upvote"), line("rightvote", 3)]
    log += [line(number=4, models=["### Model A: owl", "### Model B: fox"]), line(number=5, models=["owl", ""])]
    _, told = bring(written(tmp_path, log, "2024-08-14-conv.json", lines=True))
    assert "7 rows, 3 battles" in told
    assert all(f"left out, {of}" in told for of in ("not_a_vote: 2", "not_anonymous: 1", "bad_field: 1"))
    kept = ImportedBattle.objects.order_by("line")
    assert [(one.line, one.verdict, one.model_a.name, one.voter) for one in kept] == [
        (number, verdict, "owl", voter_of(ADDRESS)) for number, verdict in ((1, "a"), (2, "both_bad"), (5, "b"))
    ]
    assert kept[0].style_a == [len("Well, owls."), 0, 0, 0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(b)::text FROM leaderboard_importedbattle b")
        stored = " ".join(text for (text,) in cursor.fetchall()) + votes_text(arena).decode()
    assert SAID not in stored and ADDRESS not in stored


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"models": None}, "models"),
        ({"models": ["", None]}, "models"),
        ({"models": ["bat", "fox"]}, "models"),
        ({"models": [f"Model A:{' ' * 500_000}x", "fox"]}, "longer than names"),
        ({"states": [{}]}, "states"),
        ({"states": [state("owl"), state("fox")]}, "have no messages"),
        ({"states": [state("owl", "Hi", 7), state("fox", "Hi", "Hi")]}, "not text"),
    ],
)
def test_a_vote_of_a_log_that_cannot_be_read_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(FieldWrong, match=named):
        battle_of(line(**fields))


def test_a_log_s_battle_is_as_a_clean_file_has_it() -> None:
    wide = line(states=[state("owl", "Hi", "Hoo"), state("fox", ["Hi", ["image"]], None)])
    found = row_parse(battle_of(wide))
    assert (found.model_a, found.model_b, found.is_anonymous, found.judge) == ("owl", "fox", True, ADDRESS)
    assert (found.question_id, found.time, found.answers) == ("c1", 1.7e9, ("Hoo", ""))
    named = battle_of(line(models=["<h3>Model A: owl</h3>", "fox"]))
    assert (named["model_a"], named["anony"], named["turn"]) == ("owl", False, 1)


def test_a_refused_file_leaves_nothing_and_those_before_it_stay(arena: Arena, battles: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps([row(n, model_a="new") for n in range(40, 50)])[:-9])
    wrong = written(tmp_path, [row(60, model_a="new"), row(61, winner="?")], "wrong.json")
    with pytest.raises(CommandError, match="Get the"):
        bring(battles, cut)
    with pytest.raises(CommandError, match="Line 1: winner"):
        bring(wrong, options=("--strict",))
    with pytest.raises(CommandError, match="cannot be read"):
        bring(tmp_path / "none.json")
    assert [file.name for file in ImportedFile.objects.all()] == ["battles.json"]
    assert not Contestant.objects.filter(name="new").exists()
    with pytest.raises(CommandError, match="no arena 'nowhere'"):
        bring(battles, options=("--arena", "nowhere"))


def test_bytes_that_are_no_text_are_in_nobodys_way(arena: Arena, tmp_path: Path) -> None:
    broken = b"\xff\xfe".decode(errors="surrogateescape")
    path = tmp_path / f"{broken}.json"
    rows = [row(1, judge=broken, question_id=broken), row(2, judge=broken, conversation_a=talk(broken, broken))]
    path.write_text(json.dumps(rows, ensure_ascii=False), errors="surrogateescape")
    assert "2 new battles" in bring(path)[0]
    assert ImportedFile.objects.get().name == "\ufffd\ufffd.json"
    assert len(set(ImportedBattle.objects.values_list("voter", flat=True))) == 1


def test_a_pipe_is_refused_and_not_taken_for_an_empty_file(arena: Arena, battles: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb") as pipe:
        pipe.write(battles.read_bytes())
        pipe.close()
        with pytest.raises(CommandError, match="write it into a file first"):
            bring(Path(f"/dev/fd/{reading}"))
    assert not ImportedFile.objects.exists()


def test_a_model_of_a_file_takes_no_part_in_battles_and_one_of_the_arena_is_the_same(
    arena: Arena, three: list[Contestant], tmp_path: Path
) -> None:
    bring(written(tmp_path, [row(n, model_a="ant", model_b="dodo") for n in range(3)]))
    assert Contestant.objects.filter(name="ant").get() == three[0]
    dodo = Contestant.objects.get(name="dodo")
    assert (dodo.is_available, dodo.model) == (False, None)
    assert not LiveRating.objects.exists()


def test_a_model_that_comes_after_its_battles_takes_part_as_any_other(arena: Arena, tmp_path: Path) -> None:
    bring(written(tmp_path, [row(n, model_a="dodo") for n in range(3)]))
    model = LanguageModel.objects.create(name="dodo", visibility=Visibility.HIDDEN)
    dodo = Contestant.objects.get(name="dodo")
    assert (dodo.model, dodo.is_available, dodo.is_automatic) == (model, True, True)  # for those who see the model
    assert ImportedBattle.objects.filter(model_a=dodo).count() == 3


def test_one_that_an_admin_switched_off_stays_off_when_its_model_comes_back(arena: Arena) -> None:
    Contestant.objects.create(arena=arena, name="dodo", is_available=False)
    model = LanguageModel.objects.create(name="dodo")
    dodo = Contestant.objects.get(name="dodo")
    assert (dodo.model, dodo.is_available) == (model, False)


def test_an_admin_decides_about_one_that_awaits_its_model(arena: Arena, admin_client: Client, tmp_path: Path) -> None:
    bring(written(tmp_path, [row(n, model_a="dodo", model_b="auk") for n in range(3)]))
    switched: dict[str, list[dict[str, str]]] = {"dodo": [{"is_available": "on"}, {}], "auk": [{}]}
    for name, times in switched.items():
        page = f"{reverse('admin:arena_contestant_changelist')}?q={name}"
        form = {"id": Contestant.objects.get(name=name).pk, "weight": "2", "boost": "1"}
        for decided in times:
            told = {f"form-0-{field}": value for field, value in (form | decided).items()}
            admin_client.post(page, {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "_save": "Save"} | told)
        LanguageModel.objects.create(name=name)
    found = Contestant.objects.filter(name__in=switched)
    assert {one.name: (one.weight, one.is_available) for one in found} == {"dodo": (2, False), "auk": (2, True)}


def test_one_that_awaits_its_model_is_changed_on_its_page_too(
    arena: Arena, admin_client: Client, tmp_path: Path
) -> None:
    bring(written(tmp_path, [row(0, model_a="dodo")]))
    dodo = Contestant.objects.get(name="dodo")
    form = {"arena": arena.pk, "name": "dodo", "weight": "3", "boost": "1"}
    change = reverse("admin:arena_contestant_change", args=[dodo.pk])
    assert admin_client.post(change, form).status_code == 302
    dodo.refresh_from_db()
    assert (dodo.weight, dodo.awaits_model, dodo.is_available) == (3, True, False)
    refused = admin_client.post(reverse("admin:arena_contestant_add"), form | {"name": "new"})
    assert "This field is required." in refused.content.decode()


def test_too_many_models_are_refused_before_they_spoil_the_board(
    arena: Arena, battles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.leaderboard.imports.MAX_MODELS", 1)
    with pytest.raises(CommandError, match="at most 1"):
        bring(battles)
    assert not Contestant.objects.filter(name="owl").exists()


def test_what_a_file_brought_can_be_taken_out_and_brought_again(arena: Arena, battles: Path) -> None:
    bring(battles)
    published()
    file = ImportedFile.objects.get()
    assert f"{file.public_id}\tpublic" in command("imports")
    assert "20 battles taken out" in command("withdraw", str(file.public_id))
    assert "\twithdrawn\t" in command("imports")
    assert votes_text(arena) == b""
    with pytest.raises(CommandError, match="no battles"):
        command("build")
    assert Snapshot.objects.get().imports
    bring(battles)
    assert ImportedFile.objects.get().withdrawn_at is None
    published()
    with pytest.raises(CommandError, match="no such import"):
        command("withdraw", str(uuid4()))


@pytest.mark.django_db(transaction=True)
def test_a_file_that_comes_again_while_it_is_taken_out_waits_and_is_there(battles: Path) -> None:
    arena, came = Arena.objects.get(), list[Imported]()
    file = battles_import(arena, battles, Cleaning()).file
    with transaction.atomic():
        import_withdraw(file.public_id)
        other = in_background(lambda: came.append(battles_import(arena, battles, Cleaning())))
        wait_until(is_somebody_waiting_for_a_lock, what="the import to wait")
    other.join()
    assert [(one.n_new, one.n_there) for one in came] == [(20, 0)]
    assert ImportedFile.objects.get().withdrawn_at is None


def test_a_refresh_sees_an_import_and_its_own_votes_beside_it(
    arena: Arena, three: list[Contestant], votes: None, battles: Path
) -> None:
    board_refresh(arena)
    bring(battles)
    outcome = board_refresh(arena)
    assert outcome and outcome.snapshot and outcome.snapshot.n_votes == 60
    assert not Snapshot.objects.earliest("pk").imports
    again = board_refresh(arena)
    assert again and again.snapshot is None
    vote(three[0], three[1])
    outcome = board_refresh(arena)
    assert outcome and outcome.snapshot
    assert (outcome.snapshot.n_votes, outcome.snapshot.imports[0]["battles"]) == (61, 20)


def test_voters_of_files_hang_together_and_are_numbers(arena: Arena, battles: Path) -> None:
    bring(battles)
    rows = [json.loads(text) for text in votes_text(arena).splitlines()]
    counts = Counter(one["judge"] for one in rows)
    assert sorted(counts.values()) == [4, 4, 4, 4, 4]
    assert set(counts) == {f"voter-{n}" for n in range(1, 6)}


def test_frequent_prompts_and_what_a_file_says_of_them_reach_the_board(arena: Arena, tmp_path: Path) -> None:
    asked = talk("Hay.", "Hello?")
    rows = [row(n, conversation_a=asked, conversation_b=talk("Oats.", "Hello?")) for n in range(20)]
    rows += [row(30, dedup_tag={"high_freq": True, "sampled": False})]
    bring(written(tmp_path, rows))
    shares = Counter(json.loads(text).get("prompt_share", 1) for text in votes_text(arena).splitlines())
    assert shares == {0.5: 20, 0: 1}
