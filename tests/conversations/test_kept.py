"""What moderators take out of an answer goes from all of its versions: an answer may have been gone on with."""

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.conversations.kept import ChatKeeper
from apps.conversations.models import Conversation, Message
from apps.conversations.services.branches import conversation_fork
from apps.conversations.services.generations import generation_finish
from apps.conversations.services.shares import share_create
from apps.conversations.services.turns import turn_continue
from apps.moderation.actions import REMOVED
from tests.conversations.test_branches import stopped
from tests.conversations.test_services import COMPLETE, answered

SECRET = "swordfish"


def taken_out(texts: list[str]) -> list[str]:
    """As moderation does it: where the word is; all of a text in which it is not."""
    return [text.replace(SECRET, "***") if SECRET in text else REMOVED for text in texts]


def redact(actor: Actor, message: Message) -> bool:
    return ChatKeeper().redact(str(message.public_id), author=actor, taken_out=taken_out)


def gone_on(actor: Actor, conversation: Conversation, text: str) -> Message:
    rest = turn_continue(actor=actor, conversation_id=conversation.public_id)
    assert generation_finish(rest.generation.public_id, COMPLETE, text)
    rest.assistant_message.refresh_from_db()
    return rest.assistant_message


def test_versions_that_went_on_with_an_answer_are_taken_out_with_it(alices: Actor, model: LanguageModel) -> None:
    first = stopped(alices, answer=f"It is {SECRET}")
    rest = gone_on(alices, first.conversation, f"It is {SECRET}, and {SECRET} again.")
    share = share_create(actor=alices, conversation_id=first.conversation.public_id, lasts=None)
    conversation_fork(actor=alices, conversation_id=first.conversation.public_id, message_id=rest.public_id)

    assert redact(alices, first.assistant_message)

    assert not Message.objects.filter(content__contains=SECRET).exists()
    assert Message.objects.filter(content="It is ***, and *** again.").count() == 2
    share.refresh_from_db()
    assert SECRET not in str(share.messages)
    assert "***, and ***" in share.messages[-1]["html"]


def test_an_answer_is_taken_out_of_what_it_went_on_with_and_others_stay(alices: Actor, model: LanguageModel) -> None:
    first = stopped(alices, answer=f"It is {SECRET}")
    rest = gone_on(alices, first.conversation, f"It is {SECRET}, yes.")
    answered(alices, "Something else", first.conversation, answer="I do not know.")
    redact(alices, rest)
    texts = set(Message.objects.filter(role="assistant").values_list("content", flat=True))
    assert texts == {"It is ***", "It is ***, yes.", "I do not know."}


def test_a_beginning_of_which_nothing_is_taken_out_stays(alices: Actor, model: LanguageModel) -> None:
    first = stopped(alices, answer="It is ")
    redact(alices, gone_on(alices, first.conversation, f"It is {SECRET}."))
    texts = set(Message.objects.filter(role="assistant").values_list("content", flat=True))
    assert texts == {"It is ", "It is ***."}
