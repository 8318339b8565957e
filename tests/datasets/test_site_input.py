"""Chats and battles of the site as input: whose, which part of them, and what is left out and why."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.appeals.models import Appeal
from apps.arena.models import Battle, Integrity, Verdict, Vote
from apps.arena.services.votes import vote_cast
from apps.consents.models import Kind
from apps.conversations.models import Conversation, End, Feedback, Message, Role
from apps.datasets.models import DatasetVersion
from apps.datasets.site import snapshot
from apps.moderation.models import Incident
from tests.arena.support import fought, model_ready
from tests.datasets.site import agree, chat, clean_site, dropped, rows_in, said_in

pytestmark = pytest.mark.django_db

IMAGE = "![a cat](image:5f0c2a1e-0000-4000-8000-000000000000)"


@pytest.fixture
def owls(db: None) -> None:
    """Two models that can meet."""
    for name in ("owl-7b", "fox-13b"):
        model_ready(name)


def test_only_chats_of_people_who_agree_are_taken(
    tmp_path: Path, alices: Actor, bob: User, charlies: Actor, visitor: UUID
) -> None:
    agree(alices, Kind.CHATS)
    agree(Actor(visitor_public_id=visitor), Kind.CHATS)
    agree(Actor(user_id=bob.pk), Kind.BATTLES)
    agree(charlies)
    agree(charlies, is_given=False)
    for owner, text in ((alices, "Alice"), (Actor(user_id=bob.pk), "Bob"), (charlies, "Charlie")):
        chat(owner, text, "Yes.")
    chat(Actor(visitor_public_id=visitor), "Visitor", "Yes.")
    told = clean_site(tmp_path)
    assert said_in(tmp_path / "out") == ["Alice", "Visitor"]
    assert dropped(tmp_path / "out") == {"no consent in force": 2}
    assert "2 dropped: no consent in force" in told
    assert not (tmp_path / "out.site").exists()
    version = DatasetVersion.objects.get()
    assert version.inputs == [{"file": "site:chats", "format": "messages"}]


def test_of_a_program_the_owner_of_the_key_is_asked_and_a_key_without_one_gives_nothing(
    tmp_path: Path, alice: User, alices: Actor
) -> None:
    agree(alices)
    own, of_nobody = (api_key_create(name="k", user=user).key for user in (alice, None))
    Conversation.objects.filter(pk=chat(alices, "Of a program", "Yes.").pk).update(api_key=own)
    Conversation.objects.filter(pk=chat(alices, "Of nobody", "Yes.").pk).update(api_key=of_nobody, user=None)
    clean_site(tmp_path)
    assert said_in(tmp_path / "out") == ["Of a program"]


def test_whoever_cannot_come_in_any_more_gives_nothing(tmp_path: Path, alice: User, alices: Actor) -> None:
    agree(alices)
    chat(alices, "Hello", "Yes.")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    clean_site(tmp_path)
    assert dropped(tmp_path / "out") == {"no consent in force": 1}


def test_a_row_has_what_was_shown_and_nothing_by_which_its_person_is_known(
    tmp_path: Path, alice: User, alices: Actor
) -> None:
    agree(alices)
    asked = chat(alices, "How?", "So.", "And then?", "Then so.", prompt="Be brief.")
    question, first, _, last = asked.messages.order_by("pk")
    Message.objects.create(conversation=asked, parent=question, role=Role.ASSISTANT, content="Not shown.")
    Feedback.objects.create(message=first, is_good=False, comment="Alice would know")
    Feedback.objects.create(message=last, is_good=True)
    clean_site(tmp_path)
    [row] = rows_in(tmp_path / "out")
    assert row["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": "So.", "feedback": "down"},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "Then so.", "feedback": "up"},
    ]
    assert (row["model"], row["feedback_up"], row["feedback_down"]) == ("owl-7b", 1, 1)
    assert row["source"] == {"file": "site:chats", "record": 0, "steps": []}
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir()).decode().lower()
    known = (alice.username, str(alice.public_id), str(asked.public_id), str(question.public_id))
    assert not [name for name in known if name in everything]
    clean_site(tmp_path, name="again", dataset="again")
    assert [one["id"] for one in rows_in(tmp_path / "again")] == [row["id"]]


def test_a_chat_ends_before_the_first_answer_that_is_not_whole(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    broken = {"copied_end": End.FAILED}, {"copied_end": End.STOPPED}, {"copied_end": End.LENGTH}, {"is_whole": False}
    for change in (*broken, {"content": " "}, {"content": "<think>only that</think>"}):
        one = chat(alices, "Whole?", "Yes.", "And this?", "Half of i")
        one.messages.filter(parent__parent__isnull=False, role=Role.ASSISTANT).update(**change)
    waiting = chat(alices, "Whole?", "Yes.", "Waits for its answer")
    nothing = chat(alices, "Nothing", "", copied_end=End.FAILED)
    clean_site(tmp_path)
    assert [len(row["messages"]) for row in rows_in(tmp_path / "out")] == [2] * 7
    assert dropped(tmp_path / "out") == {"no whole answer": 1}
    assert waiting.pk < nothing.pk


def incident(public_id: object, **more: Any) -> Incident:
    return Incident.objects.create(
        surface="chat", action="flag", categories=["rude"], found_by=["words"], reference=str(public_id), **more
    )


def imported(one: Conversation) -> None:
    one.messages.filter(role=Role.ASSISTANT).update(is_imported=True)


def pictured(one: Conversation) -> None:
    one.messages.filter(role=Role.USER).update(content=f"Look: {IMAGE}")


def redacted(one: Conversation) -> None:
    one.messages.filter(role=Role.USER).update(content="My name is [removed]")


def prompt_redacted(one: Conversation) -> None:
    Conversation.objects.filter(pk=one.pk).update(system_prompt="Speak as [removed]")


def looked_at(one: Conversation) -> None:
    incident(one.messages.all()[0].public_id)


def prompt_looked_at(one: Conversation) -> None:
    incident(one.public_id)


def found_harmful(one: Conversation) -> None:
    incident(one.messages.all()[1].public_id, review="blocked")


def appealed(one: Conversation) -> None:
    against = incident(one.messages.all()[0].public_id, review="approved")
    Appeal.objects.create(incident=against, text="It was harmless")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (imported, "brought in a file"),
        (pictured, "with images"),
        (redacted, "moderators took something out"),
        (prompt_redacted, "moderators took something out"),
        (found_harmful, "moderators took something out"),
        (looked_at, "moderators still look at it"),
        (prompt_looked_at, "moderators still look at it"),
        (appealed, "moderators still look at it"),
    ],
)
def test_what_is_left_out_is_counted_with_its_reason(
    tmp_path: Path, alices: Actor, change: Callable[[Conversation], None], why: str
) -> None:
    agree(alices)
    change(chat(alices, "First", "Yes."))
    chat(alices, "Second", "Yes.")
    approved = chat(alices, "Third", "Yes.")
    incident(approved.messages.all()[0].public_id, review="approved")
    clean_site(tmp_path)
    assert said_in(tmp_path / "out") == ["Second", "Third"]
    assert dropped(tmp_path / "out") == {why: 1}


def test_a_chat_that_is_too_long_is_counted_and_not_read(
    tmp_path: Path, alices: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.datasets.site.paths.ROW_MAX_CHARS", 40)
    agree(alices)
    chat(alices, "Long", "word " * 8)
    chat(alices, "Short", "Yes.")
    clean_site(tmp_path)
    assert said_in(tmp_path / "out") == ["Short"]
    assert dropped(tmp_path / "out") == {"too long": 1}


def test_what_is_wanted_can_be_chosen_by_time_and_model(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    for day in (1, 2, 3):
        one = chat(alices, f"Day {day}", "Yes.", model="fox-13b" if day == 3 else "owl-7b")
        Conversation.objects.filter(pk=one.pk).update(created_at=datetime(2026, 11, day, tzinfo=UTC))
    clean_site(tmp_path, "--since", "2026-11-02", "--until", "2026-11-03", name="day", dataset="day")
    assert said_in(tmp_path / "day") == ["Day 2"]
    times = {"since": "2026-11-02T00:00:00+00:00", "until": "2026-11-03T00:00:00+00:00"}
    assert DatasetVersion.objects.get().inputs == [{"file": "site:chats", "format": "messages", **times}]
    clean_site(tmp_path, "--model", "fox-13b", name="fox", dataset="fox")
    assert said_in(tmp_path / "fox") == ["Day 3"]
    assert dropped(tmp_path / "fox") == {"another model": 2}


def test_many_are_read_some_at_a_time_in_the_order_of_their_beginning(
    tmp_path: Path, alices: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "AT_ONCE", 3)
    monkeypatch.setattr("apps.datasets.site.paths.CHARS_AT_ONCE", 20)
    agree(alices)
    texts = [f"Number {n}" for n in range(10)]
    for text in texts:
        chat(alices, text, "Yes.")
    clean_site(tmp_path)
    assert said_in(tmp_path / "out") == texts
    clean_site(tmp_path, "--workers", "2", name="two", dataset="two")
    for name in ("all.jsonl", "report.json", "README.md"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


# --- Battles ----------------------------------------------------------------------------------------------------------


def judged(owner: Actor, text: str, verdict: Verdict, **of_vote: Any) -> Battle:
    battle = fought(owner, text, texts=("<think>hm</think>Yes.", "No."))
    vote_cast(actor=owner, battle_id=battle.public_id, verdict=verdict)
    Vote.objects.filter(battle=battle).update(**{"integrity": Integrity.COUNTED, **of_vote})
    return battle


def test_a_battle_becomes_both_its_conversations_with_the_verdict(tmp_path: Path, alices: Actor, owls: None) -> None:
    agree(alices, Kind.BATTLES)
    chat(alices, "A chat", "Yes.")
    for text, verdict in (("One", Verdict.A), ("Two", Verdict.TIE), ("Three", Verdict.BOTH_BAD)):
        judged(alices, text, verdict)
    judged(alices, "Four", Verdict.B, integrity=Integrity.NOT_COUNTED)
    fought(alices, "Five")
    clean_site(tmp_path, of="site:battles")
    rows = rows_in(tmp_path / "out")
    assert [row["messages"][0]["content"] for row in rows[::2]] == ["One", "Two", "Three", "Four", "Five"]
    assert rows[0]["messages"][1] == {"role": "assistant", "content": "Yes."}
    assert [row.get("winner") for row in rows[::2]] == ["model_a", "tie", "tie (bothbad)", None, None]
    assert rows[6]["vote_not_counted"] == "model_b"
    assert {rows[0]["model"], rows[1]["model"]} == {"owl-7b", "fox-13b"}
    assert (rows[0]["model_a"], rows[0]["anony"], rows[0]["turn"]) == (rows[0]["model"], True, 1)
    assert dropped(tmp_path / "out") == {}


def test_a_battle_becomes_the_better_and_the_worse_answer(tmp_path: Path, alices: Actor, owls: None) -> None:
    agree(alices, Kind.BATTLES)
    for verdict in Verdict:
        judged(alices, f"Which, {verdict}?", verdict)
    judged(alices, "Which?", Verdict.B, integrity=Integrity.NOT_COUNTED)
    fought(alices, "Never judged")
    clean_site(tmp_path, "--format", "preference", of="site:battles")
    of_a, of_b = rows_in(tmp_path / "out")
    assert of_a["prompt"] == [{"role": "user", "content": "Which, a?"}]
    assert [of_a[which][0]["content"] for which in ("chosen", "rejected")] == ["Yes.", "No."]
    assert [of_b[which][0]["content"] for which in ("chosen", "rejected")] == ["No.", "Yes."]
    assert (of_b["vote"], of_b["model"], of_b["model_rejected"]) == ("model_b", of_b["model_b"], of_b["model_a"])
    assert dropped(tmp_path / "out") == {"neither answer is better": 2, "no vote": 1, "the vote does not count": 1}


def test_what_was_said_after_the_vote_is_not_taken(tmp_path: Path, alices: Actor, owls: None) -> None:
    agree(alices, Kind.BATTLES)
    battle = judged(alices, "Judged", Verdict.A)
    for side in battle.sides.all():
        assert side.conversation is not None
        leaf = side.conversation.active_leaf
        for role, text in ((Role.USER, "Later"), (Role.ASSISTANT, "Later too")):
            leaf = Message.objects.create(conversation=side.conversation, parent=leaf, role=role, content=text)
        Conversation.objects.filter(pk=side.conversation.pk).update(active_leaf=leaf)
    clean_site(tmp_path, of="site:battles")
    assert [len(row["messages"]) for row in rows_in(tmp_path / "out")] == [2, 2]


def test_battles_of_others_and_such_that_moderators_look_at_are_left_out(
    tmp_path: Path, alices: Actor, charlies: Actor, owls: None
) -> None:
    agree(alices, Kind.BATTLES)
    agree(charlies, Kind.CHATS)
    looked = judged(alices, "Looked at", Verdict.A)
    incident(looked.public_id)
    judged(charlies, "Charlie's", Verdict.A)
    deleted = judged(alices, "Deleted", Verdict.A)
    Conversation.objects.filter(side__battle=deleted).delete()
    judged(alices, "Left", Verdict.A)
    clean_site(tmp_path, "--arena", "public", "--model", "owl-7b", of="site:battles")
    assert said_in(tmp_path / "out") == ["Left", "Left"]
    assert dropped(tmp_path / "out") == {"no consent in force": 1, "moderators still look at it": 1}
    clean_site(tmp_path, "--arena", "elsewhere", of="site:battles", name="none", dataset="none")
    assert rows_in(tmp_path / "none") == []


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "of", "told"),
    [
        ([], "site:users", "is nothing that this site has: give site:chats or site:battles"),
        (["--format", "alpaca"], "site:chats", "can be had as messages, not as alpaca"),
        (["--arena", "public"], "site:chats", "--arena is of battles"),
        (["--split", "train"], "site:chats", "site:chats is no dataset of Hugging Face: leave --split out"),
        (["--config", ""], "site:battles", "site:battles is no dataset of Hugging Face: leave --config out"),
        (["--since", "2026-11-01"], "tidy.yaml", "--since chooses among what people wrote here"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str], of: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        clean_site(tmp_path, *arguments, of=of)


def test_without_a_version_nothing_is_written(tmp_path: Path, alices: Actor) -> None:
    from django.core.management import call_command  # this one alone speaks to the command itself

    agree(alices)
    chat(alices, "Hello", "Yes.")
    clean_site(tmp_path)
    files = [str(tmp_path / "tidy.yaml"), "--input", "site:chats"]
    with pytest.raises(CommandError, match="give --dataset NAME"):
        call_command("clean", *files, "--output", str(tmp_path / "bare"))
    with pytest.raises(CommandError, match="each input once"):
        call_command("clean", *files, "site:chats", "--dry-run", "5")
    assert {path.name for path in tmp_path.iterdir()} == {"tidy.yaml", "out"}


def test_a_look_writes_nothing(tmp_path: Path, alices: Actor, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command  # this one alone speaks to the command itself

    agree(alices)
    for n in range(4):
        chat(alices, f"Number {n}", "Yes.")
    (tmp_path / "tidy.yaml").write_text("name: tidy\nsteps: [trim_turns]\n")
    call_command("clean", str(tmp_path / "tidy.yaml"), "--input", "site:chats", "--dry-run", "3", "--workers", "1")
    assert "tidy: 3 conversations" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["tidy.yaml"]
    assert not DatasetVersion.objects.exists()


def test_reports_quote_nobody(tmp_path: Path, alices: Actor) -> None:
    agree(alices)
    chat(alices, "zanzibarquokka", "<script>only</script>")
    clean_site(tmp_path)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    version = DatasetVersion.objects.get()
    for steps in (report["steps"], version.steps, *(one["steps"] for one in version.sets.values())):
        assert all(step["examples"] == {} for step in steps)
