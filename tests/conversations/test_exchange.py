"""Chats as files: out and in again without a loss, from ChatGPT and FastChat, and hostile files refused in words."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import AsyncClient, Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.errors import ModelUnknown
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import settings_parse
from apps.conversations.errors import ImportRefused, SignInRequired, TooManyChats
from apps.conversations.exchange import drafts as limits
from apps.conversations.exchange.drafts import Draft
from apps.conversations.exchange.exports import Format, chat_export
from apps.conversations.exchange.reading import drafts_read
from apps.conversations.kept import ChatKeeper
from apps.conversations.models import Conversation, GenerationState, Message
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.conversations import end_of, path_list
from apps.conversations.selectors.exchange import AT_ONCE, chat_whole_get
from apps.conversations.selectors.pages import messages_shown
from apps.conversations.services import planting
from apps.conversations.services.branches import branch_show, conversation_fork
from apps.conversations.services.generations import generation_finish
from apps.conversations.services.imports import chats_import, import_alone
from apps.conversations.services.keeping import Change, conversations_change
from apps.conversations.services.settings import conversation_configure
from apps.conversations.services.shares import share_create
from apps.conversations.services.turns import turn_continue
from apps.core.threads import in_thread
from apps.moderation import selectors as moderation
from apps.moderation.models import Policy, Rule
from tests.conversations.test_branches import edited
from tests.conversations.test_services import answered, start
from tests.conversations.test_settings import ALL


def read(data: object) -> list[Draft]:
    return drafts_read(json.dumps(data).encode())


def lines(*items: object) -> bytes:
    return "\n".join(json.dumps(item) for item in items).encode()


def said(draft: Draft) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in draft.messages]


@pytest.fixture
def tree(alices: Actor, model: LanguageModel) -> Conversation:
    """A chat with two branches, of which the first is shown, and with everything that can be set."""
    first = answered(alices, "One", answer="Yes: **é** 😀")
    answered(alices, "Two", first.conversation, answer="No.")
    edited(alices, first, "Uno")
    conversation_id = first.conversation.public_id
    assert first.user_message is not None
    branch_show(actor=alices, conversation_id=conversation_id, message_id=first.user_message.public_id)
    conversation_configure(actor=alices, conversation_id=conversation_id, settings=settings_parse(ALL))
    for change in (Change.MOVE, Change.PIN):
        conversations_change(actor=alices, conversation_ids=[conversation_id], change=change, folder="Work")
    return Conversation.objects.get()


# --- Out --------------------------------------------------------------------------------------------------------------


def test_a_chat_as_markdown_and_as_openai_messages_is_what_is_shown(alices: Actor, tree: Conversation) -> None:
    chat = chat_whole_get(alices, tree.public_id)
    markdown = chat_export(chat, Format.MARKDOWN)
    assert markdown.startswith(
        "# One\n\n## System\n\nAnswer in rhymes.\n\n## You\n\nOne\n\n## scripted\n\nYes: **é** 😀"
    )
    assert "Uno" not in markdown
    (line,) = chat_export(chat, Format.OPENAI).splitlines()
    assert [m["role"] for m in json.loads(line)["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    assert json.loads(line)["messages"][-1]["content"] == "No."


def shape(conversation: Conversation) -> dict[str, Any]:
    """All that a person would miss, without ids."""
    messages = list(conversation.messages.select_related("parent", "model"))
    return {
        "title": conversation.title,
        "created_at": conversation.created_at,
        "kept": (conversation.folder, conversation.is_pinned, conversation.is_archived),
        "settings": (conversation.system_prompt, conversation.sampling),
        "messages": [
            (m.role, m.content, m.author, m.created_at, end_of(m), m.parent.content if m.parent else None)
            for m in messages
        ],
        "shown": [m.content for m in path_list(conversation)],
    }


def test_our_own_export_comes_back_as_it_was(alice: User, alices: Actor, tree: Conversation) -> None:
    before = shape(tree)
    exported = chat_export(chat_whole_get(alices, tree.public_id), Format.JSON)
    chats_import(actor=alices, drafts=drafts_read(exported.encode()))
    copy = Conversation.objects.exclude(pk=tree.pk).get()
    assert shape(copy) == before
    assert {m.public_id for m in copy.messages.all()}.isdisjoint(m.public_id for m in tree.messages.all())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wanted", list(Format))
async def test_all_chats_are_written_one_after_the_other(
    alice: User, alices: Actor, charlies: Actor, model: LanguageModel, wanted: Format
) -> None:
    n_chats = AT_ONCE + 2
    for n in range(n_chats):
        await in_thread(answered, alices, f"Question {n}")
    await in_thread(answered, charlies, "Charlie's")
    client = AsyncClient()
    await client.aforce_login(alice)
    response: Any = await client.get(f"/chats/export?format={wanted}")
    assert "attachment" in response["Content-Disposition"]
    text = b"".join([part async for part in response]).decode()
    assert "Charlie" not in text
    if wanted is Format.MARKDOWN:
        assert text.count("# Question") == n_chats
    else:
        assert [d.messages[0].content for d in drafts_read(text.encode())] == [f"Question {n}" for n in range(n_chats)]


async def test_nothing_is_a_file_too(alice: User, transactional_db: None) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    response: Any = await client.get("/chats/export?format=json")
    text = b"".join([part async for part in response]).decode()
    assert json.loads(text)["chats"] == []


def test_a_download_has_a_harmless_name_and_an_unknown_format_is_not_found(
    alice: User, alices: Actor, model: LanguageModel
) -> None:
    turn = answered(alices, '../../"evil\r\nX: y" é')
    client = Client()
    client.force_login(alice)
    url = f"/chat/{turn.conversation.public_id}/export"
    assert client.get(url)["Content-Disposition"] == 'attachment; filename="evil.json"'
    assert client.get(f"{url}?format=exe").status_code == 404


# --- From elsewhere ---------------------------------------------------------------------------------------------------


def node(name: str, parent: str | None, role: str = "user", *parts: object, **content: object) -> dict[str, Any]:
    body = {"content_type": "text", "parts": list(parts)} | content
    message = {"author": {"role": role}, "content": body, "create_time": 1.5, "metadata": {"model_slug": "gpt-4o"}}
    return {"id": name, "parent": parent, "children": [], "message": message if role else None}


CHATGPT = [
    {
        "title": "Foxes",
        "create_time": 1700000000.5,
        "current_node": "e",
        "mapping": {
            # Not in order on purpose.
            "e": node("e", "d", "assistant", "Fine."),
            "root": node("root", None, ""),
            "s": node("s", "root", "system", "Be kind."),
            "a": node("a", "s", "user", "Hi"),
            "b": node("b", "a", "assistant", "Hello"),
            "c": node("c", "a", "assistant", "Hello again"),
            "tool": node("tool", "c", "tool", "result"),
            "image": node("image", "tool", "assistant", {"asset_pointer": "x"}, content_type="multimodal_text"),
            "d": node("d", "image", "user", "How?", {"image": 1}, "are you?", content_type="multimodal_text"),
        },
    }
]


def test_chatgpts_tree_is_read_with_its_branches() -> None:
    (draft,) = read(CHATGPT)
    assert (draft.title, draft.system_prompt, draft.n_left_out) == ("Foxes", "Be kind.", 2)
    assert said(draft) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("assistant", "Hello again"),
        ("user", "How?\n\nare you?"),
        ("assistant", "Fine."),
    ]
    assert [message.parent for message in draft.messages] == [None, 0, 0, 2, 3]
    assert draft.active == 4
    assert draft.messages[1].model == "gpt-4o"


STATE: dict[str, Any] = {
    "template_name": "vicuna",
    "system_message": "A chat.",
    "roles": ["USER", "ASSISTANT"],
    "messages": [["USER", "example"], ["ASSISTANT", "example"], ["USER", "Hi"], ["ASSISTANT", "Hello"]],
    "offset": 2,
    "conv_id": "c1",
    "model_name": "vicuna-7b",
}


def test_fastchats_log_gives_one_chat_for_each_conversation() -> None:
    longer = STATE | {"messages": [*STATE["messages"], ["USER", ["And?", ["hash"]]], ["ASSISTANT", None]]}
    other = STATE | {"conv_id": "c2", "messages": [["USER", "Left"], ["ASSISTANT", "L"]], "offset": 0}
    third = other | {"conv_id": "c3", "messages": [["USER", "Right"], ["ASSISTANT", "R"]]}
    log = lines(
        {"tstamp": 1700000000.1234, "type": "chat", "model": "vicuna-7b", "state": STATE, "ip": "1.2.3.4"},
        {"tstamp": 1700000001.1, "type": "chat", "state": longer},
        {"tstamp": 1700000002.1, "type": "leftvote", "models": ["", ""], "states": [other, third]},
    )
    first, left, right = drafts_read(log)
    assert said(first) == [("user", "Hi"), ("assistant", "Hello"), ("user", "And?")]
    assert (first.system_prompt, first.messages[1].model, first.n_left_out) == ("A chat.", "vicuna-7b", 0)
    assert [said(left)[0][1], said(right)[0][1]] == ["Left", "Right"]


def test_openai_messages_are_read_line_by_line() -> None:
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    system = {"role": "system", "content": "Be kind."}
    one = {"messages": [system, {"role": "user", "content": parts}, {"role": "assistant", "content": "I do."}]}
    two = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": [1]}]}
    first, second = drafts_read(b"\xef\xbb\xbf" + lines(one, two) + b"\n\n")
    assert said(first) == [("user", "Look"), ("assistant", "I do.")]
    assert (first.system_prompt, second.n_left_out) == ("Be kind.", 1)
    (alone,) = drafts_read(lines(one))
    assert said(alone) == said(first)


def test_an_imported_answer_keeps_the_name_of_its_model(alices: Actor, model: LanguageModel) -> None:
    chats_import(actor=alices, drafts=read(CHATGPT))
    answer = Message.objects.filter(role="assistant").first()
    assert answer is not None
    assert (answer.model, answer.author) == (None, "gpt-4o")


def test_the_first_chat_of_a_file_stays_on_top_and_old_times_stay_old(alices: Actor, model: LanguageModel) -> None:
    one = {"messages": [{"role": "user", "content": "First"}]}
    two = {"messages": [{"role": "user", "content": "Second"}]}
    chats_import(actor=alices, drafts=drafts_read(lines(one, two)))
    assert [c.title for c in Conversation.objects.order_by("-updated_at", "-pk")] == ["First", "Second"]
    chats_import(actor=alices, drafts=read(CHATGPT))
    assert Conversation.objects.order_by("updated_at")[0].updated_at.year == 1970


# --- Hostile files ----------------------------------------------------------------------------------------------------

CIRCLE = {"a": node("a", "b", "user", "x"), "b": node("b", "a", "assistant", "y")}
OURS: dict[str, Any] = {"format": "fastchat-site.chats", "version": 1}


def ours(*messages: dict[str, Any], **chat: object) -> dict[str, Any]:
    return OURS | {"chats": [{"title": "t", "messages": list(messages), **chat}]}


def message(**fields: object) -> dict[str, Any]:
    return {"id": "a", "parent": None, "role": "user", "content": "x"} | fields


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \n\n ",
    "an archive": b"PK\x03\x04rest",
    "bytes": b"\xff\xfe\x00\x01",
    "no json": b"hello\nworld",
    "a number": b"7",
    "deep": b"[" * 200_000,
    "deep and closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "infinity": b'{"messages": [1e999]}',
    "an empty list": b"[]",
    "somebody else's": b'{"conversations": []}',
    "no chats": json.dumps(OURS | {"chats": []}).encode(),
    "another version": json.dumps(OURS | {"version": 2, "chats": []}).encode(),
    "chats that are text": json.dumps(OURS | {"chats": "x"}).encode(),
    "a chat that is a list": json.dumps(OURS | {"chats": [[]]}).encode(),
    "messages that are an object": json.dumps(OURS | {"chats": [{"messages": {}}]}).encode(),
    "a role of its own": json.dumps(ours(message(role="system"))).encode(),
    "content that is a list": json.dumps(ours(message(content=["x"]))).encode(),
    "an answer to nothing": json.dumps(ours(message(parent="zzz"))).encode(),
    "an answer to itself": json.dumps(ours(message(parent="a"))).encode(),
    "a parent that is a list": json.dumps(ours(message(parent=["a"]))).encode(),
    "sampling out of its limits": json.dumps(ours(message(), sampling={"temperature": 99})).encode(),
    "sampling of a wrong shape": json.dumps(ours(message(), sampling={"seed": [1]})).encode(),
    "sampling that is text": json.dumps(ours(message(), sampling="hot")).encode(),
    "a huge prompt": json.dumps(ours(message(), system_prompt="x" * 20_001)).encode(),
    "a huge message": json.dumps(ours(message(content="x" * 500_001))).encode(),
    "a circle": json.dumps([{"mapping": CIRCLE}]).encode(),
    "a mapping that is a list": b'[{"mapping": []}]',
    "a node that is text": b'[{"mapping": {"a": "b"}}]',
    "only images": json.dumps([{"mapping": {"a": node("a", None, "user", {})}}]).encode(),
    "a state that is text": lines({"state": "x"}),
    "states that are a number": lines({"states": 3}),
    "messages of three": lines({"state": {"messages": [["USER", "x", "y"]]}}),
    "a role that nobody has": lines({"state": {"roles": ["A", "B"], "messages": [["C", "x"]]}}),
    "a broken line": lines({"messages": [{"role": "user", "content": "x"}]}) + b"\n{",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_cannot_be_read_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(ImportRefused) as caught:
        drafts_read(raw)
    assert 20 < len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("MESSAGES_OF_CHAT_MAX", lambda: ours(*[message(id=str(n)) for n in range(11)])),
        ("MESSAGES_MAX", lambda: OURS | {"chats": [{"messages": [message()]} for _ in range(11)]}),
        ("CHAT_MAX_CHARS", lambda: ours(message(id="a", content="123456"), message(id="b", content="78901"))),
        ("CHATS_MAX", lambda: OURS | {"chats": [{"messages": [message()]} for _ in range(11)]}),
    ],
)
def test_so_many_and_no_more(name: str, make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, name, 10)
    with pytest.raises(ImportRefused, match=r"\b10\b"):
        read(make())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(
    json_values,
    st.sampled_from(["title", "mapping", "current_node", "messages", "state", "states", "chats", "sampling", "active"]),
)
def test_whatever_stands_in_a_file_it_is_read_or_refused(value: object, name: str) -> None:
    for data in (
        [CHATGPT[0] | {name: value}],
        {"state": STATE | {name: value}},
        ours(message(), **{name: value}),
        value,
    ):
        try:
            assert read(data)
        except ImportRefused:
            continue


# --- The door ---------------------------------------------------------------------------------------------------------


def post(client: Client, raw: bytes) -> Any:
    return client.post("/chats/import", {"file": SimpleUploadedFile("chats.json", raw)}, follow=True)


def test_a_file_is_imported_and_what_was_left_out_is_said(alice: User, model: LanguageModel) -> None:
    client = Client()
    client.force_login(alice)
    page = post(client, json.dumps(CHATGPT).encode()).content.decode()
    assert "1 chat with 5 messages imported. 2 messages without text" in page
    assert "Foxes" in page


def test_a_refused_file_leaves_nothing_behind(alice: User, model: LanguageModel) -> None:
    client = Client()
    client.force_login(alice)
    good, bad = {"messages": [{"role": "user", "content": "x"}]}, {"messages": [{"role": "user", "content": 7}, 7]}
    response = post(client, lines(good, bad))
    assert response.status_code == 400
    assert "Nothing of it was stored" in response.content.decode()
    assert client.post("/chats/import").status_code == 400
    assert post(client, b" " * (7 * 1024 * 1024 + 1)).status_code == 400
    assert not Conversation.objects.exists()


def test_visitors_import_nothing(client: Client, model: LanguageModel) -> None:
    assert post(client, json.dumps(CHATGPT).encode()).status_code == 403
    with pytest.raises(SignInRequired):
        chats_import(actor=Actor(), drafts=read(CHATGPT))
    assert "Sign in" in client.get("/chats/import").content.decode()


def test_what_is_imported_passes_the_gate(alice: User, transactional_db: None) -> None:
    Rule.objects.create(name="House words", category="rude", kind="words", pattern="again")
    Policy.objects.create(surface="chat", action="refuse", category="rude")
    moderation.forget()
    client = Client()
    client.force_login(alice)
    response = post(client, json.dumps(CHATGPT).encode())
    moderation.forget()
    assert response.status_code != 200
    assert "House words" in response.content.decode()
    assert not Conversation.objects.exists()


def test_an_imported_answer_is_marked_as_one_wherever_it_goes(
    alice: User, alices: Actor, model: LanguageModel, client: Client
) -> None:
    answer = message(id="b", parent="a", role="assistant", content="I, said the fox.", model=model.name)
    chats_import(actor=alices, drafts=read(ours(message(id="a"), answer)))
    chat = Conversation.objects.get()
    last = chat.messages.last()
    assert last is not None
    fork = conversation_fork(actor=alices, conversation_id=chat.public_id, message_id=last.public_id)
    share = share_create(actor=alices, conversation_id=fork.public_id, lasts=None)
    client.force_login(alice)
    for url in (f"/chat/{chat.public_id}", f"/chat/{fork.public_id}", f"/shared/{share.token}"):
        assert client.get(url).content.decode().count(">imported<") == 1
    written = answered(alices, "Hi").conversation
    assert ">imported<" not in client.get(f"/chat/{written.public_id}").content.decode()


def test_files_and_forks_add_no_more_chats_than_a_person_may_keep(
    alices: Actor, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planting, "CHATS_OF_OWNER_MAX", 1)
    turn = answered(alices, "Hi")
    with pytest.raises(TooManyChats):
        chats_import(actor=alices, drafts=read(ours(message())))
    with pytest.raises(TooManyChats):
        conversation_fork(
            actor=alices,
            conversation_id=turn.conversation.public_id,
            message_id=turn.assistant_message.public_id,
        )
    assert Conversation.objects.count() == 1


def test_of_one_person_one_file_is_imported_at_a_time(transactional_db: None, alice: User, charlie: User) -> None:
    begun, done = threading.Event(), threading.Event()

    def import_slowly() -> None:
        with import_alone(Actor(user_id=alice.pk)):
            begun.set()
            done.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(import_slowly)
        assert begun.wait(10)
        client = Client()
        client.force_login(alice)
        response = post(client, lines({"messages": [{"role": "user", "content": "x"}]}))
        with import_alone(Actor(user_id=charlie.pk)):
            done.set()
        slow.result()
    assert response.status_code == 400
    assert "another file of yours" in response.content.decode()
    assert post(client, lines({"messages": [{"role": "user", "content": "x"}]})).status_code == 200


def test_a_time_in_the_future_becomes_now(alices: Actor, model: LanguageModel) -> None:
    later = "2099-01-01T00:00:00+00:00"
    chats_import(actor=alices, drafts=read(ours(message(created_at=later), created_at=later)))
    chat, now = Conversation.objects.get(), timezone.now()
    assert max(chat.created_at, chat.updated_at, chat.messages.get().created_at) <= now


def test_staff_see_that_an_answer_came_in_a_file(
    admin_client: Client, alices: Actor, model: LanguageModel, admin_user: User
) -> None:
    answer = message(id="b", parent="a", role="assistant", content="I, said the fox.", model="a stranger")
    chats_import(actor=alices, drafts=read(ours(message(id="a"), answer)))
    chat = Conversation.objects.get()
    page = admin_client.get(f"/admin/conversations/conversation/{chat.pk}/change/").content.decode()
    assert "Is imported" in page
    assert "a stranger" in page
    answer_id = str(chat.messages.get(role="assistant").public_id)
    kept = ChatKeeper().open(answer_id, author=alices, reader=admin_user)
    assert kept is not None
    assert [line.speaker for line in kept.lines] == ["User (imported)", "Assistant (imported)"]


@pytest.mark.parametrize(("end", "heading"), [("stopped", "(stopped)"), ("length", "(cut"), ("failed", "(failed)")])
def test_how_an_answer_broke_off_goes_along_in_a_file_and_a_fork(
    alices: Actor, model: LanguageModel, end: str, heading: str
) -> None:
    outcomes = {
        "stopped": Outcome(GenerationState.STOPPED),
        "length": Outcome(GenerationState.COMPLETE, finish_reason="length"),
        "failed": Outcome(GenerationState.FAILED, error=Failure("workers.died", "It died.", retryable=True)),
    }
    turn = start(alices, "Count")
    generation_finish(turn.generation.public_id, outcomes[end], "One, two")
    whole = chat_whole_get(alices, turn.conversation.public_id)
    assert f"## {model} {heading}" in chat_export(whole, Format.MARKDOWN)

    chats_import(actor=alices, drafts=drafts_read(chat_export(whole, Format.JSON).encode()))
    answer_id = turn.assistant_message.public_id
    conversation_fork(actor=alices, conversation_id=turn.conversation.public_id, message_id=answer_id)

    copies = Conversation.objects.exclude(pk=turn.conversation.pk)
    assert copies.count() == 2
    for copy in copies:
        assert end_of(path_list(copy)[-1]) == end
        _, shown = messages_shown(copy)
        of_end = shown.finish_reason if end == "length" else shown.state
        assert of_end == end
        rest = turn_continue(actor=alices, conversation_id=copy.public_id)
        assert rest.assistant_message.content == "One, two"


def test_a_rest_of_a_foreign_models_answer_is_refused_by_that_models_name(alices: Actor, model: LanguageModel) -> None:
    answer = message(id="b", parent="a", role="assistant", content="One, two", model="gpt-x", end="stopped")
    chats_import(actor=alices, drafts=read(ours(message(id="a"), answer)))
    with pytest.raises(ModelUnknown, match="gpt-x"):
        turn_continue(actor=alices, conversation_id=Conversation.objects.get().public_id)


@pytest.mark.parametrize("end", ["exploded", 7, None, ["stopped"]])
def test_an_end_that_there_is_not_is_none(end: object) -> None:
    (draft,) = read(ours(message(id="a", role="assistant", end=end)))
    assert draft.messages[0].end == ""
