"""Keeping chats in order: pins, folders, the archive, many at once; and finding what was said."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.errors import ChatNotFound, SearchTooBroad, TooManyAtOnce
from apps.conversations.models import Conversation, Message
from apps.conversations.selectors import search
from apps.conversations.selectors.history import PAGE_SIZE, chats_page, folders_list, history_list
from apps.conversations.selectors.search import chats_search
from apps.conversations.services.keeping import AT_ONCE_MAX, Change, conversations_change
from apps.conversations.snippets import Snippet, snippet_of
from tests.conversations.conftest import Opens, until_hints_are_heard
from tests.conversations.test_branches import edited
from tests.conversations.test_services import answered, start
from tests.fake_worker import FakeWorker, Gate

Chat = Callable[..., Conversation]


@pytest.fixture
def chat(alices: Actor, model: LanguageModel) -> Chat:
    """Makes one of Alice's chats."""

    def make(title: str, answer: str = "Yes.", actor: Actor = alices) -> Conversation:
        return answered(actor, title, answer=answer).conversation

    return make


def change(actor: Actor, what: Change, *chats: Conversation, folder: str = "") -> None:
    conversations_change(actor=actor, conversation_ids=[chat.public_id for chat in chats], change=what, folder=folder)


def history(actor: Actor) -> list[tuple[str, list[str]]]:
    return [(group.label, [item.title for item in group.items]) for group in history_list(actor)]


# --- Order ------------------------------------------------------------------------------------------------------------


def test_the_history_shows_pins_then_folders_then_days_in_one_query(
    alices: Actor, chat: Chat, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    work, zoo, pinned, gone = chat("Work"), chat("Zoo"), chat("Pinned"), chat("Gone")
    chat("Today")
    change(alices, Change.MOVE, work, pinned, folder=" At  work ")
    change(alices, Change.MOVE, zoo, folder="animals")
    change(alices, Change.PIN, pinned)
    change(alices, Change.ARCHIVE, gone)

    with django_assert_num_queries(1):
        groups = history(alices)

    assert groups == [
        ("Pinned", ["Pinned"]),
        ("animals", ["Zoo"]),
        ("At work", ["Work"]),
        ("Today", ["Today"]),
    ]
    assert set(folders_list(alices)) == {"At work", "animals"}


def test_a_pin_stays_on_top_however_old_it_is(alices: Actor, chat: Chat) -> None:
    old = chat("Old")
    Conversation.objects.update(updated_at=timezone.now() - timedelta(days=400))
    change(alices, Change.PIN, old)
    chat("New")
    assert history(alices)[0] == ("Pinned", ["Old"])
    change(alices, Change.UNPIN, old)
    assert history(alices) == [("Today", ["New"]), ("Older", ["Old"])]


def test_an_archived_chat_comes_back_when_somebody_speaks_in_it(alices: Actor, chat: Chat) -> None:
    kept = chat("Kept")
    change(alices, Change.ARCHIVE, kept)
    assert history(alices) == []
    assert [item.title for item in chats_page(alices, is_archived=True).items] == ["Kept"]
    answered(alices, "Again", kept)
    assert history(alices) == [("Today", ["Kept"])]


def test_many_are_deleted_at_once_also_one_that_is_being_answered(alices: Actor, chat: Chat) -> None:
    chats = [chat(str(n)) for n in range(3)]
    chats.append(start(alices, "running").conversation)
    stays = chat("stays")
    change(alices, Change.DELETE, *chats)
    assert list(Conversation.objects.values_list("title", flat=True)) == [stays.title]


def test_charlie_changes_nothing_of_alices_and_what_is_gone_does_no_harm(
    alices: Actor, charlies: Actor, chat: Chat
) -> None:
    alice_s, charlie_s = chat("Alice's"), chat("Charlie's", actor=charlies)
    for what in Change:
        with pytest.raises(ChatNotFound):
            conversations_change(actor=charlies, conversation_ids=[alice_s.public_id], change=what, folder="mine")
    conversations_change(
        actor=charlies, conversation_ids=[alice_s.public_id, charlie_s.public_id, uuid4()], change=Change.DELETE
    )
    assert Conversation.objects.get() == alice_s
    alice_s.refresh_from_db()
    assert (alice_s.is_pinned, alice_s.is_archived, alice_s.folder) == (False, False, "")


def test_so_many_at_once_and_no_more(alices: Actor, chat: Chat) -> None:
    with pytest.raises(TooManyAtOnce):
        conversations_change(
            actor=alices, conversation_ids=[uuid4() for _ in range(AT_ONCE_MAX + 1)], change=Change.DELETE
        )


def test_all_chats_are_read_page_by_page_without_a_gap(
    alice: User, alices: Actor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    n_chats = 2 * PAGE_SIZE + 3
    Conversation.objects.bulk_create(
        # Some at the same moment: the order must be certain all the same.
        Conversation(user=alice, title=str(n), updated_at=now - timedelta(minutes=n // 4))
        for n in range(n_chats)
    )
    seen: list[str] = []
    before = None
    while True:
        with django_assert_num_queries(1 if before is None else 2):
            page = chats_page(alices, before=before)
        seen += [item.title for item in page.items]
        if not page.older:
            break
        before = page.items[-1].id
    assert sorted(map(int, seen)) == list(range(n_chats))


def test_the_doors_of_order(alice: User, alices: Actor, chat: Chat) -> None:
    client = Client()
    client.force_login(alice)
    first, second = chat("First"), chat("Second")
    ids = [str(first.public_id), str(second.public_id)]

    response = client.post("/chats/change?folder=", {"change": "move", "chat": ids, "folder": "Work"})

    assert response["Location"] == "/chats?folder="
    page = client.get("/chats?folder=Work").content.decode()
    assert "First" in page
    assert "Second" in page
    assert "First" not in client.get("/chats?archived=1").content.decode()
    rename = f"/chat/{first.public_id}/rename"
    assert client.post(rename, {"title": "Uno", "folder": ""}).status_code == 302
    first.refresh_from_db()
    assert (first.title, first.folder) == ("Uno", "")
    client.post(f"/chat/{second.public_id}/rename", {"title": "Dos"})
    second.refresh_from_db()
    assert second.folder == "Work"
    wrong = client.post("/chats/change", {"change": "burn", "chat": ids}, headers={"Accept": "application/json"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "chat.unknown_change")
    assert client.post("/chats/change", {"change": "pin", "chat": "7"}).status_code == 404
    assert client.post("/chats/change", {"change": "delete", "chat": ids}).status_code == 302
    assert not Conversation.objects.exists()


async def test_other_pages_hear_that_an_answer_has_ended(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    worker.play("Yes", gate, ".")
    async with opens(alice) as page, opens(alice) as other:
        await until_hints_are_heard()
        accepted = await page.ask("Hi")
        begun = await other.until("conversation.changed")
        gate.open()
        ended = await other.until("conversation.changed")
        await page.until_end(accepted["generation"])
    assert begun == ended
    assert ended["leaf"] == accepted["assistant_message"]["id"]


# --- Search -----------------------------------------------------------------------------------------------------------


def found(actor: Actor, text: str) -> list[str]:
    return [hit.title if hit.snippet is None else hit.snippet.found for hit in chats_search(actor, text)]


def test_words_are_found_in_titles_and_texts_from_their_beginnings_on(alices: Actor, chat: Chat) -> None:
    chat("About foxes", "The quick brown fox jumps.")
    chat("Something else", "A QUICKLY written note.")
    assert found(alices, "fox") == ["About foxes", "fox", "fox"]
    assert found(alices, "quick") == ["QUICK", "quick"]
    assert found(alices, "quick jumps") == ["quick"]
    assert found(alices, '"brown fox"') == ["brown"]
    assert found(alices, "uick") == []


def test_a_hit_in_another_branch_leads_there(alice: User, alices: Actor, chat: Chat, model: LanguageModel) -> None:
    turn = answered(alices, "First words", answer="An old answer")
    edited(alices, turn, "Other words")
    (hit,) = [hit for hit in chats_search(alices, "old") if hit.snippet]
    assert hit.url == f"/chat/{turn.conversation.public_id}#message-{turn.assistant_message.public_id}"
    assert hit.who == str(model)
    client = Client()
    client.force_login(alice)
    page = client.get("/chats/search?q=old").content.decode()
    assert hit.url in page
    assert "An <mark>old</mark> answer" in page


def test_languages_without_spaces_are_searched_letter_by_letter(alices: Actor, chat: Chat) -> None:
    chat("Chinese", "我喜欢狐狸和狗")
    assert found(alices, "狐狸") == ["狐狸"]
    chat("Accents", "Überraschung für Åse")
    assert found(alices, "überr") == ["Überr"]


@pytest.mark.parametrize(
    "text", ["", "  ", "!!!", "'", "fox' OR 1=1 --", "a & | ! (b:*)", "\0", "\\", "x" * 5000, ":*", "<->", "😀"]
)
def test_no_text_breaks_the_search(alices: Actor, chat: Chat, text: str) -> None:
    chat("A chat")
    assert chats_search(alices, text) is not None


def test_what_was_found_is_text_and_no_markup(alice: User, alices: Actor, chat: Chat) -> None:
    chat("<b>bold</b> title", "needle <img src=x onerror=alert(1)>")
    client = Client()
    client.force_login(alice)
    for query in ("needle", "bold", "<img"):
        html = client.get("/chats/search", {"q": query, "part": "1"}).content.decode()
        assert "<img" not in html
        assert "<b>" not in html


def test_charlie_finds_nothing_of_alices(charlies: Actor, chat: Chat, charlie: User) -> None:
    chat("A secret", "secret answer")
    assert chats_search(charlies, "secret") == []
    assert chats_search(Actor(), "secret") == []
    client = Client()
    client.force_login(charlie)
    assert b"secret answer" not in client.get("/chats/search?q=secret").content
    assert b"A secret" not in client.get("/chats").content


def test_the_words_of_messages_come_from_an_index(chat: Chat) -> None:
    chat("A chat")
    with connection.cursor() as cursor:
        # On a table this small reading all of it would be cheaper, in whichever order.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plan = search._matching(Message.objects.filter(is_whole=True), "fox", ["fox"]).explain()
    assert "message_words" in plan


def test_a_search_that_takes_too_long_is_given_up_and_said_so(
    alice: User, alices: Actor, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(actor: Actor, text: str) -> list[object]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
        return []

    monkeypatch.setattr(search, "WITHIN_MS", 50)
    monkeypatch.setattr(search, "_titles", slow)
    with pytest.raises(SearchTooBroad):
        chats_search(alices, "fox")
    client = Client()
    client.force_login(alice)
    assert "rarer" in client.get("/chats/search?q=fox").content.decode()


def test_a_message_of_any_words_can_be_stored_and_indexed(alices: Actor, model: LanguageModel) -> None:
    many = " ".join(chr(0x20000 + n) * 2 for n in range(33_000))
    answered(alices, "x" * 100_000, answer=many)
    answered(alices, "Hi", answer=" ".join(f"{n}é{n}" for n in range(100_000)))


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("A fox.", ["fox"], Snippet("A ", "fox", ".")),
        ("A\n\nFOX", ["fox"], Snippet("A ", "FOX", "")),
        ("Nothing", ["fox"], Snippet("", "", "Nothing")),
        ("x" * 50 + " fox " + "y" * 200, ["fox"], Snippet("…" + "x" * 39 + " ", "fox", " " + "y" * 99 + "…")),
    ],
    ids=["in a sentence", "over lines", "not there", "far inside"],
)
def test_a_snippet_shows_the_word_with_a_little_around_it(text: str, words: list[str], expected: Snippet) -> None:
    assert snippet_of(text, words) == expected


def test_what_is_left_out_is_not_found_and_a_phrase_is_one(alices: Actor, chat: Chat) -> None:
    chat("First", "The quick brown fox jumps.")
    chat("Second", "A fox and a dog, brown.")
    assert [hit.title for hit in chats_search(alices, "fox -dog")] == ["First"]
    assert [hit.title for hit in chats_search(alices, '"brown fox"')] == ["First"]
    assert {hit.title for hit in chats_search(alices, "jumps or dog")} == {"First", "Second"}


def test_a_word_far_inside_of_a_long_text_is_shown_and_the_text_stays_where_it_is(alices: Actor, chat: Chat) -> None:
    chat("A chat", f"concatenate {'x ' * 40_000}the CAT\nsat down. {'y ' * 1000}")
    with CaptureQueriesContext(connection) as asked:
        (hit,) = chats_search(alices, "cat")
    assert hit.snippet is not None
    assert (hit.snippet.before[-5:], hit.snippet.found, hit.snippet.after[:9]) == (" the ", "CAT", " sat down")
    assert (hit.snippet.before[0], hit.snippet.after[-1]) == ("…", "…")
    (message,) = [
        query["sql"] for query in asked.captured_queries if "message_words" in query["sql"] or "FROM '" in query["sql"]
    ]
    with connection.cursor() as cursor:
        cursor.execute(message)
        assert max(len(str(value)) for row in cursor.fetchall() for value in row) < 1000
