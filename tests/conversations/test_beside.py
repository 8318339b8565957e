"""Several models answer one message side by side, each in a branch of its own."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry, User
from apps.catalog.errors import ModelUnknown
from apps.catalog.models import LanguageModel
from apps.conversations.errors import AnswerRunning, ChatNotFound, ChooseOne, ColumnsWrong, EmptyMessage
from apps.conversations.models import Conversation, Generation, GenerationState, Message
from apps.conversations.outcomes import Outcome
from apps.conversations.selectors.conversations import conversation_get, hint_get
from apps.conversations.selectors.pages import thread_shown
from apps.conversations.selectors.reading import prompt_messages
from apps.conversations.services.beside import COLUMNS_MAX, Said, TurnBeside, turn_beside, turn_regenerate_beside
from apps.conversations.services.branches import branch_show
from apps.conversations.services.conversations import conversation_delete
from apps.conversations.services.generations import generation_finish
from apps.conversations.services.shares import share_create
from apps.conversations.services.turns import Turn
from tests.conversations.conftest import MODEL, Opens
from tests.conversations.test_services import COMPLETE, answered, start
from tests.fake_worker import Fail, FakeWorker, Gate, enrol, fake_worker

OTHER = "another"
BOTH = (MODEL, OTHER)


@pytest.fixture
def models(model: LanguageModel) -> list[LanguageModel]:
    return [model, LanguageModel.objects.create(name=OTHER)]


@pytest.fixture
def other(worker: FakeWorker) -> Iterator[FakeWorker]:
    """Serves the other model."""
    with fake_worker() as second:
        enrol(second, OTHER)
        yield second


def beside(
    actor: Actor,
    text: str = "Fox?",
    conversation: Conversation | None = None,
    names: tuple[str, ...] = BOTH,
    leaves: list[UUID] | None = None,
) -> TurnBeside:
    return turn_beside(
        actor=actor,
        conversation_id=conversation.public_id if conversation else None,
        model_names=names,
        said=Said(text, uuid4(), uuid4()),
        leaf_ids=leaves,
    )


def both_answered(actor: Actor, *answers: str, **said: object) -> TurnBeside:
    turn = beside(actor, **said)  # type: ignore[arg-type]  # as `beside` takes them
    for generation, answer in zip(turn.generations, answers, strict=True):
        assert generation_finish(generation.public_id, COMPLETE, answer)
    return turn


def regenerate(actor: Actor, turn: TurnBeside, message_id: UUID, model_name: str | None = None) -> Turn:
    conversation_id = turn.conversation.public_id
    return turn_regenerate_beside(
        actor=actor, conversation_id=conversation_id, model_name=model_name, message_id=message_id
    )


def leaves_of(turn: TurnBeside) -> list[UUID]:
    return [generation.message.public_id for generation in turn.generations]


def shown(actor: Actor, conversation: Conversation) -> tuple[list[str], list[list[str]]]:
    """The words of what is common, and of each column."""
    thread = thread_shown(conversation_get(actor, conversation.public_id))
    words = dict(Message.objects.values_list("public_id", "content"))
    return (
        [words[message.id] for message in thread.messages],
        [[words[message.id] for message in column.messages] for column in thread.columns],
    )


def test_one_message_has_an_answer_of_each_model_side_by_side(alices: Actor, models: list[LanguageModel]) -> None:
    turn = both_answered(alices, "A red one.", "A grey one.")
    assert shown(alices, turn.conversation) == (["Fox?"], [["A red one."], ["A grey one."]])
    thread = thread_shown(conversation_get(alices, turn.conversation.public_id))
    assert [(column.model, column.leaf) for column in thread.columns] == list(zip(BOTH, leaves_of(turn), strict=True))
    assert Message.objects.filter(role="user").count() == 1
    hint = hint_get(alices, turn.conversation.public_id)
    assert (hint.leaf, list(hint.columns)) == (leaves_of(turn)[0], leaves_of(turn))


def test_all_go_on_each_in_its_own_branch(alices: Actor, models: list[LanguageModel]) -> None:
    first = both_answered(alices, "A red one.", "A grey one.")
    second = both_answered(
        alices, "There.", "Here.", text="Where?", conversation=first.conversation, leaves=leaves_of(first)
    )
    assert shown(alices, first.conversation) == (
        ["Fox?"],
        [["A red one.", "Where?", "There."], ["A grey one.", "Where?", "Here."]],
    )
    prompts = [
        [message["content"] for message in prompt_messages(first.conversation.pk, before=generation.public_id)]
        for generation in second.generations
    ]
    assert prompts == [["Fox?", "A red one.", "Where?"], ["Fox?", "A grey one.", "Where?"]]


def test_one_goes_on_alone_and_the_others_stay_as_versions(alices: Actor, models: list[LanguageModel]) -> None:
    turn = both_answered(alices, "A red one.", "A grey one.")
    branch_show(actor=alices, conversation_id=turn.conversation.public_id, message_id=leaves_of(turn)[1])
    assert shown(alices, turn.conversation) == (["Fox?", "A grey one."], [])
    answered(alices, "Where?", turn.conversation, answer="There.")
    assert shown(alices, turn.conversation) == (["Fox?", "A grey one.", "Where?", "There."], [])
    _, answer, *_ = thread_shown(conversation_get(alices, turn.conversation.public_id)).messages
    assert (answer.siblings.index, answer.siblings.count) == (2, 2)


@pytest.mark.parametrize("place", [0, 1])
def test_the_end_of_a_column_is_answered_again_there(alices: Actor, models: list[LanguageModel], place: int) -> None:
    turn = both_answered(alices, "A red one.", "A grey one.")
    turn = both_answered(
        alices, "There.", "Here.", text="Where?", conversation=turn.conversation, leaves=leaves_of(turn)
    )
    old = leaves_of(turn)
    again = regenerate(alices, turn, old[place])
    assert generation_finish(again.generation.public_id, COMPLETE, "Far.")
    ends = ["There.", "Here."]
    ends[place] = "Far."
    assert shown(alices, turn.conversation) == (
        ["Fox?"],
        [["A red one.", "Where?", ends[0]], ["A grey one.", "Where?", ends[1]]],
    )
    leaves = list(old)
    leaves[place] = again.assistant_message.public_id
    hint = hint_get(alices, turn.conversation.public_id)
    assert (hint.leaf, list(hint.columns)) == (leaves[0], leaves)
    assert again.assistant_message.model == models[place]
    with pytest.raises(ColumnsWrong, match="in another column"):
        regenerate(alices, turn, leaves[place], BOTH[1 - place])
    assert hint_get(alices, turn.conversation.public_id) == hint


def test_a_new_answer_before_the_end_of_a_column_is_shown_alone(alices: Actor, models: list[LanguageModel]) -> None:
    first = both_answered(alices, "A red one.", "A grey one.")
    both_answered(alices, "There.", "Here.", text="Where?", conversation=first.conversation, leaves=leaves_of(first))
    regenerate(alices, first, leaves_of(first)[0])
    assert shown(alices, first.conversation) == (["Fox?", ""], [])


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ((MODEL,), ColumnsWrong),
        ((MODEL, MODEL), ColumnsWrong),
        (tuple(f"m{n}" for n in range(COLUMNS_MAX + 1)), ColumnsWrong),
        ((MODEL, "nobody"), ModelUnknown),
    ],
    ids=["one", "twice the same", "too many", "unknown"],
)
def test_which_models_can_be_side_by_side(
    alices: Actor, models: list[LanguageModel], names: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        beside(alices, names=names)
    assert not Conversation.objects.exists()


def test_what_is_refused_stores_nothing(alices: Actor, charlies: Actor, models: list[LanguageModel]) -> None:
    turn = both_answered(alices, "A red one.", "A grey one.")
    leaves, n_messages = leaves_of(turn), Message.objects.count()
    with pytest.raises(EmptyMessage):
        beside(alices, " ")
    for wrong in (leaves[::-1], leaves[:1]):
        with pytest.raises(ColumnsWrong):
            beside(alices, "Where?", turn.conversation, leaves=wrong)
    with pytest.raises(ChatNotFound):
        beside(charlies, "Where?", turn.conversation, leaves=leaves)
    branch_show(actor=alices, conversation_id=turn.conversation.public_id, message_id=leaves[0])
    with pytest.raises(ColumnsWrong):
        beside(alices, "Where?", turn.conversation, leaves=leaves)
    with pytest.raises(ChooseOne):
        Conversation.objects.update(columns=[1, 2])
        share_create(actor=alices, conversation_id=turn.conversation.public_id, lasts=None)
    assert Message.objects.count() == n_messages


def test_nothing_is_asked_while_one_of_them_writes(alices: Actor, models: list[LanguageModel]) -> None:
    turn = beside(alices)
    generation_finish(turn.generations[0].public_id, COMPLETE, "A red one.")
    for ask in (
        lambda: beside(alices, "Where?", turn.conversation),
        lambda: start(alices, "Where?", turn.conversation),
    ):
        with pytest.raises(AnswerRunning):
            ask()
    generation_finish(turn.generations[1].public_id, Outcome(GenerationState.STOPPED), "")
    assert start(alices, "Where?", turn.conversation).conversation.columns == []


def test_columns_are_read_in_as_many_queries_as_a_path(
    alices: Actor, models: list[LanguageModel], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    turn = both_answered(alices, "A red one.", "A grey one.")
    for number in range(3):
        turn = both_answered(
            alices, "Yes.", "No.", text=f"{number}?", conversation=turn.conversation, leaves=leaves_of(turn)
        )
    conversation = conversation_get(alices, turn.conversation.public_id)
    with django_assert_num_queries(2):
        thread = thread_shown(conversation)
    assert [len(column.messages) for column in thread.columns] == [7, 7]


def test_a_chat_is_deleted_while_several_write(alice: User, alices: Actor, models: list[LanguageModel]) -> None:
    conversation_delete(actor=alices, conversation_id=beside(alices).conversation.public_id)
    assert not Generation.objects.exists()


def test_the_page_shows_columns_with_names_and_a_way_out_of_each(
    alice: User, alices: Actor, models: list[LanguageModel]
) -> None:
    turn = both_answered(alices, "A <b>red</b> one.", "A grey one.")
    client = Client()
    client.force_login(alice)
    for path in ("", "/messages"):
        page = client.get(f"/chat/{turn.conversation.public_id}{path}").content.decode()
        assert page.count('class="column"') == 2
        for leaf, name in zip(leaves_of(turn), BOTH, strict=True):
            assert f'data-choose="{leaf}"' in page
            assert f'data-model="{name}"' in page
        assert "<b>red" not in page


async def test_both_are_asked_at_once_followed_and_stopped_one_by_one(
    opens: Opens, alice: User, worker: FakeWorker, other: FakeWorker
) -> None:
    gates = [Gate(), Gate()]
    worker.play("A red ", gates[0], "one.")
    other.play("A grey ", gates[1], "one.")
    async with opens(alice) as page, opens(alice) as late:
        await page.send({"type": "turn.beside", "ref": "r", "conversation": None, "models": list(BOTH), "text": "Fox?"})
        accepted = await page.until("turn.accepted_beside")
        first, second = accepted["generations"]
        for generation in (first, second):
            await page.attach(generation)
        await page.until_shown(first, "A red")
        await page.until_shown(second, "A grey")
        await late.attach(second)
        await late.until_shown(second, "A grey")
        await page.send({"type": "turn.stop", "generation": second})
        stopped = await page.until_end(second)
        gates[0].open()
        whole = await page.until_end(first)
    assert (stopped.state, stopped.html) == ("stopped", "<p>A grey</p>\n")
    assert (whole.state, whole.html) == ("complete", "<p>A red one.</p>\n")
    assert [one.requests[-1]["messages"] for one in (worker, other)] == [[{"role": "user", "content": "Fox?"}]] * 2
    assert await LedgerEntry.objects.acount() == 2  # each is a call of its own


async def test_one_that_fails_takes_no_other_along(
    opens: Opens, alice: User, worker: FakeWorker, other: FakeWorker
) -> None:
    worker.play("A red", Fail())
    other.play("A grey one.")
    async with opens(alice) as page:
        await page.send({"type": "turn.beside", "ref": "r", "conversation": None, "models": list(BOTH), "text": "Fox?"})
        generations = (await page.until("turn.accepted_beside"))["generations"]
        for generation in generations:
            await page.attach(generation)
        ended = [await page.until_end(generation) for generation in generations]
    assert [answer.state for answer in ended] == ["failed", "complete"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": "one"},
        {"models": [1, 2]},
        {"models": ["m"] * 11},
        {"leaves": ["x", "y"]},
        {"leaves": {}},
        {"extra": 1},
    ],
    ids=["a text", "numbers", "many", "no ids", "an object", "unknown"],
)
async def test_a_malformed_frame_is_refused(opens: Opens, alice: User, wrong: dict[str, object]) -> None:
    frame = {"type": "turn.beside", "ref": "r", "conversation": None, "models": list(BOTH), "text": "Fox?"}
    async with opens(alice) as page:
        await page.send(frame | wrong)
        assert (await page.until("error"))["error"]["code"] == "site.bad_frame"
