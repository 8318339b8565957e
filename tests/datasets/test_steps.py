"""What each step does to a conversation, and what no step ever does: lose one without saying so."""

import string
import time
from collections import Counter
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.children import children_close
from apps.datasets.records import Record, Role, dumped
from apps.datasets.steps.all import STEPS
from apps.datasets.steps.anonymity import KAnonymous, Pseudonyms
from apps.datasets.steps.base import AddStep, ChoiceStep, Dropped, MapStep, OptionWrong
from apps.datasets.steps.battles import SampleBattles, WholeBattles
from apps.datasets.steps.choosing import Languages, Part, Slice, WithoutField
from apps.datasets.steps.decontaminate import Decontaminate
from apps.datasets.steps.duplicates import NearDuplicates, UniqueIds, UniqueOpenings
from apps.datasets.steps.fields import DropFields, JoinFields, RenameFields
from apps.datasets.steps.form import FitsForm
from apps.datasets.steps.html import PageRemains
from apps.datasets.steps.identity import Identity
from apps.datasets.steps.model_names import DropModels, KeepModels, ModelNames
from apps.datasets.steps.personal import PersonalData
from apps.datasets.steps.quality import Quality
from apps.datasets.steps.questions import FrequentQuestions, ShortQuestions
from apps.datasets.steps.sampling import Sample
from apps.datasets.steps.shape_of_text import DigitRuns, Loops, RestartingLists, repeated_share
from apps.datasets.steps.splitting import SplitLong, packed, rounds_of
from apps.datasets.steps.turns import EmptyMessages, SingleRound, TakeTurns, TrimTurns, alternates
from apps.datasets.steps.words import BlockedWords, Length, Refusals, ReplaceText, taken_apart
from tests.conftest import DEMO_BASE
from tests.datasets.support import BENCHMARK, RELEASE_KEY, TAGS, Notes, applied, chosen, reason, records, roles, talk

MAPS: list[MapStep] = [
    TrimTurns(),
    TakeTurns(),
    TakeTurns(merge=True),
    EmptyMessages(),
    EmptyMessages(drop=True),
    SingleRound(),
    BlockedWords(words=["message"]),
    Refusals(),
    ReplaceText(control_tokens=["</s>"], pairs={"a": "b"}),
    Length(min_chars=10),
    DigitRuns(),
    Loops(),
    RestartingLists(),
    Languages(skip=["ko"]),
    KeepModels(names=["gpt-4"]),
    WithoutField(names=["plugins"]),
    Part(test_share=0.5),
    PersonalData(),
    Decontaminate(benchmarks={"sheep": str(BENCHMARK)}),
    Quality(),
    Quality(least=0.9),
    ModelNames(names=["gpt-4"], aliases={"default": "gpt-3.5-turbo"}),
    DropModels(names=["gpt-4"]),
    ShortQuestions(),
    BlockedWords(words=["資料"], both_scripts=True),
    DropFields(names=["tstamp"]),
    FitsForm("alpaca"),
    FitsForm("completion"),
    RenameFields(names={"tstamp": "asked_at"}),
    JoinFields(file=str(TAGS), fields=["toxic"]),
    JoinFields(file=str(TAGS), fields=["toxic"], drop_missing=True),
    Pseudonyms(fields=["user_id"], key_file=str(RELEASE_KEY)),
    STEPS["html_to_markdown"](),  # type: ignore[list-item]  # it is one
    STEPS["page_remains"](),  # type: ignore[list-item]  # it is one
]


# --- All of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", MAPS, ids=repr)
@given(record=records)
def test_whatever_comes_goes_on_or_is_dropped_with_a_reason(step: MapStep, record: Record) -> None:
    match applied(step, record):
        case Dropped(reason=why):
            assert why
        case Record() as kept:
            assert kept is record
        case made:
            assert made


@pytest.mark.parametrize("step", MAPS, ids=repr)
@given(record=records)
def test_what_was_done_once_is_not_done_again(step: MapStep, record: Record) -> None:
    if isinstance(step, ReplaceText) and step.pairs:
        return  # what was put in may be looked for again
    once = applied(step, record)
    if isinstance(once, Record):
        before = dumped(once)
        assert dumped(applied(step, deepcopy(once))) == before


@pytest.mark.parametrize("step", MAPS, ids=repr)
@given(record=records)
def test_a_record_that_changed_says_by_which_step(step: MapStep, record: Record) -> None:
    before = [(m.role, m.content) for m in record.messages]
    after = applied(step, record)
    if isinstance(after, Record):
        has_changed = [(m.role, m.content) for m in after.messages] != before
        assert (after.steps == [step.name]) is has_changed


CHOICES: list[ChoiceStep] = [
    UniqueIds(),
    UniqueOpenings(),
    NearDuplicates(),
    Slice(end=3),
    Sample(n=3),
    Sample(n=3, by=["model"]),
    Sample(n=3, by=["model"], proportional=True),
    WholeBattles(),
    SampleBattles(n=3),
    KAnonymous(fields=["model"], k=3),
    FrequentQuestions(n=2),
]


@pytest.mark.parametrize("step", CHOICES, ids=repr)
@given(found=st.lists(records, max_size=12))
def test_a_choice_says_of_each_row_whether_it_stays_and_keeps_what_it_kept(
    step: ChoiceStep, found: list[Record]
) -> None:
    keys = [step.key(record) for record in found]
    reasons = list(step.choose(keys))
    assert len(reasons) == len(found)
    assert all(why is None or why for why in reasons)
    if isinstance(step, FrequentQuestions):
        return  # when the most frequent are gone, others are
    kept = [key for key, why in zip(keys, reasons, strict=True) if why is None]
    assert list(step.choose(kept)) == [None] * len(kept)


def test_every_step_has_help_and_a_name_in_one_style() -> None:
    for name, kind in STEPS.items():
        assert set(name) <= {*string.ascii_lowercase, "_"}
        assert (kind.__doc__ or "").strip(), name
        assert issubclass(kind, MapStep | ChoiceStep | AddStep)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BlockedWords, {}),
        (BlockedWords, {"words": [" "]}),
        (BlockedWords, {"words": ["x"], "speakers": ["gpt"]}),
        (Refusals, {"more": [""]}),
        (PageRemains, {"banners": [" "]}),
        (Length, {"min_chars": 9, "max_chars": 8}),
        (Languages, {"skip": ["korean"]}),
        (KeepModels, {"names": ["---"]}),
        (PersonalData, {"kinds": []}),
        (DropModels, {"names": []}),
        (ShortQuestions, {"min_chars": 0}),
        (FrequentQuestions, {"n": 0}),
        (SampleBattles, {}),
        (DropFields, {}),
        (RenameFields, {"names": {"a": "b", "b": "c"}}),
        (RenameFields, {"names": {"a": "c", "b": "c"}}),
        (JoinFields, {"file": "none.jsonl", "fields": ["toxic"]}),
        (JoinFields, {"file": str(TAGS), "fields": ["none"]}),
        (JoinFields, {"file": str(TAGS), "fields": ["toxic"], "key": "none"}),
        (Pseudonyms, {"fields": ["user_id"]}),
        (Pseudonyms, {"fields": ["user_id"], "key_file": "none.key"}),
        (Pseudonyms, {"fields": ["user_id"], "key_file": str(TAGS.with_name("__init__.py"))}),
        (KAnonymous, {"fields": ["language"], "k": 1}),
        (ReplaceText, {}),
        (DigitRuns, {"times": 1}),
        (Loops, {"share": 0}),
        (Languages, {}),
        (Languages, {"keep": ["en"], "skip": ["ko"]}),
        (KeepModels, {}),
        (WithoutField, {}),
        (Slice, {"begin": 3, "end": 2}),
        (Sample, {}),
        (Sample, {"n": 1, "proportional": True}),
        (Decontaminate, {}),
        (Decontaminate, {"benchmarks": {"none": "/nowhere.jsonl"}}),
        (Decontaminate, {"benchmarks": {"sheep": str(BENCHMARK)}, "n_words": 7}),
        (Decontaminate, {"benchmarks": {"sheep": str(BENCHMARK)}, "fields": ["category"]}),
        (Quality, {"least": 2}),
        (ModelNames, {}),
        (ModelNames, {"names": ["gpt-4", "GPT4"]}),
        (ModelNames, {"aliases": {"a": "b", "B": "c"}}),
        (ModelNames, {"names": ["?"]}),
        (Part, {"keep": "all"}),
        (Part, {"test_share": 2}),
        (NearDuplicates, {"similarity": 0.1}),
        (PersonalData, {"kinds": ["shoe size"]}),
        (SplitLong, {"tokenizer": "/nowhere"}),
        (SplitLong, {"tokenizer": str(DEMO_BASE), "max_tokens": 0}),
        (Identity, {"model_name": "x"}),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: type, options: dict[str, Any]) -> None:
    with pytest.raises(OptionWrong):
        kind(**options)


# --- Turns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "left"), [("ua", "ua"), ("aua", "ua"), ("aaua", "ua"), ("uau", "ua"), ("sauau", "sua"), ("uaua", "uaua")]
)
def test_conversations_begin_with_a_question_and_end_with_an_answer(who: str, left: str) -> None:
    assert roles(applied(TrimTurns(), talk(who))) == left


@pytest.mark.parametrize("who", ["", "u", "a", "s", "su", "aa", "uu"])
def test_without_a_question_and_an_answer_there_is_no_conversation(who: str) -> None:
    assert reason(applied(TrimTurns(), talk(who))) == "no question with an answer"


@pytest.mark.parametrize("who", ["ua", "sua", "suaua", "uatta", "ssua"])
def test_turns_that_are_taken_pass(who: str) -> None:
    assert isinstance(applied(TakeTurns(), talk(who)), Record)


@pytest.mark.parametrize("who", ["uua", "uaa", "au", "usa", "uta"])
def test_turns_that_are_not_taken_are_dropped(who: str) -> None:
    assert reason(applied(TakeTurns(), talk(who))) == "roles do not alternate"


def test_an_unknown_role_is_named() -> None:
    outcome = applied(TakeTurns(), talk("ux"))
    assert (outcome.reason, outcome.detail) == ("unknown role", "x")


def test_neighbours_of_one_speaker_may_be_joined() -> None:
    record = applied(TakeTurns(merge=True), talk("uuaa", "a", "b", "c", "d"))
    assert [m.content for m in record.messages] == ["a\n\nb", "c\n\nd"]


@pytest.mark.parametrize(
    ("said", "left"), [(["Hi", "Ho", "And?", " \n"], "ua"), (["Hi", "Ho", "", "So"], "ua"), (["Hi", "\u200b"], "")]
)
def test_a_conversation_ends_before_its_first_empty_message(said: list[str], left: str) -> None:
    outcome = applied(EmptyMessages(), talk("uaua"[: len(said)], *said))
    assert (roles(outcome) if isinstance(outcome, Record) else "") == left


@pytest.mark.parametrize(
    "extra", [{"markdown": None}, {"text": None}, {"loss": True}, {"tool_calls": []}, {"name": "ada"}]
)
def test_what_stands_beside_an_empty_text_does_not_fill_it(extra: dict[str, Any]) -> None:
    record = talk("uaua", "Hi", "Ho", "And?", "")
    record.messages[3].extra = extra
    assert roles(applied(EmptyMessages(), record)) == "ua"


def test_a_text_behind_a_sign_without_a_width_is_not_empty() -> None:
    record = talk("ua", "\u200bHi", "\ufeffHo")
    assert applied(EmptyMessages(), record) is record


def test_a_call_of_a_tool_is_not_empty() -> None:
    record = talk("ua", "Hi", "")
    record.messages[1].extra = {"tool_calls": [{}]}
    assert applied(EmptyMessages(), record) is record


@given(records)
def test_a_single_round_is_the_beginning(record: Record) -> None:
    before = [(m.role, m.content) for m in record.messages]
    match applied(SingleRound(), record):
        case Record() as kept:
            after = [(m.role, m.content) for m in kept.messages]
            assert after == before[: len(after)]
            assert [role for role, _ in after].count(Role.ASSISTANT) == 1


def test_the_call_of_a_tool_is_no_answer_of_a_single_round() -> None:
    record = talk("uatauata")
    record.messages[1].extra = record.messages[5].extra = {"tool_calls": [{"id": "1"}]}
    assert roles(applied(SingleRound(), record)) == "uata"
    only_called = talk("ua")
    only_called.messages[1].extra = {"tool_calls": [{"id": "1"}]}
    assert reason(applied(SingleRound(), only_called)) == "no answer"


# --- Words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "text"), [("kadın", "KADIN"), ("ſecret", "Secret"), ("secret", "ſecret"), ("openai", "OpenAI"), ("É", "é")]
)
def test_a_word_is_blocked_in_all_cases_of_its_letters(word: str, text: str) -> None:
    assert reason(applied(BlockedWords(words=[word]), talk("ua", "Hi", f"a {text} b"))) == "blocked word"


def test_a_word_is_blocked_as_a_word_and_not_as_a_part_of_another() -> None:
    step = BlockedWords(words=["OpenAI", "chat gpt"])
    assert reason(applied(step, talk("ua", "Hi", "I am by openai."))) == "blocked word"
    assert reason(applied(step, talk("ua", "Chat GPT?", "Yes"))) == "blocked word"
    assert isinstance(applied(step, talk("ua", "openairways", "Yes")), Record)
    assert isinstance(applied(BlockedWords(words=["x"], speakers=["assistant"]), talk("ua", "x", "y")), Record)
    assert reason(applied(BlockedWords(words=["openai"], inside=True), talk("ua", "openairways", "Yes")))


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I cannot do that.",
        "I am sorry, I can’t help with it.",
        "Sorry, I am not able to say.",
        "I cannot help with that request.",
        "As an AI language model, I cannot have opinions.",
        "As an AI, I don't know.",
    ],
)
def test_refusals_are_known_by_how_they_begin(answer: str) -> None:
    assert reason(applied(Refusals(), talk("ua", "Hi", answer))) == "refusal"


@pytest.mark.parametrize(
    "answer",
    ["Sorry to hear that! Here is what helps.", "I cannot wait to tell you: it is 42.", "It says: I cannot help."],
)
def test_what_only_sounds_like_a_refusal_stays(answer: str) -> None:
    assert isinstance(applied(Refusals(), talk("ua", "Hi", answer)), Record)


@pytest.mark.parametrize(
    ("token", "apart"), [("</s>", "<|/s|>"), ("<s>", "<|s|>"), ("ab", "a|b"), ("#", " "), ("<unk>", "<|unk|>")]
)
def test_control_tokens_are_taken_apart_as_fastchat_does(token: str, apart: str) -> None:
    assert taken_apart(token) == apart
    record = applied(ReplaceText(control_tokens=[token]), talk("ua", f"x{token}y", token))
    assert [m.content for m in record.messages] == [f"x{apart}y", apart]


# --- How it is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "So:\n1. one thing\n1. another thing",
        "1. a\n2. b\n\n1. c\n1. d",
        "1) a\n1) b",
        "1. one of 2 things\n1. another",
    ],
)
def test_a_list_that_begins_again_is_dropped(text: str) -> None:
    assert reason(applied(RestartingLists(), talk("ua", "Hi", text))) == "list begins again"


@pytest.mark.parametrize(
    "text",
    [
        "1. a\n2. b\n3. c",
        "1. a\n2. b\n\nThen:\n1. c\n2. d",
        "1. a\n   1. b\n2. c\n   1. d\n",
        "```\n1. a\n1. b\n```",
        "In 1. of 1. there is",
    ],
)
def test_other_lists_stay(text: str) -> None:
    assert isinstance(applied(RestartingLists(), talk("ua", "Hi", text)), Record)


def test_nine_times_the_same_digit_is_a_run() -> None:
    assert reason(applied(DigitRuns(), talk("ua", "000000000", "x"))) == "run of one digit"
    assert isinstance(applied(DigitRuns(), talk("ua", "00000000 1234567890123", "x")), Record)


def test_an_answer_that_loops_is_dropped_and_one_with_a_refrain_is_not() -> None:
    loop = "so it goes on and on again and again " * 20
    refrain = " ".join(f"verse number {n} says something of its own {n * 7} {n * 13}" for n in range(20))
    assert reason(applied(Loops(), talk("ua", "Hi", loop))) == "loop"
    assert isinstance(applied(Loops(), talk("ua", loop, refrain)), Record)
    assert reason(applied(Loops(), talk("ua", "Hi", "我不知道该怎么回答这个问题。" * 20))) == "loop"
    assert reason(applied(Loops(), talk("ua", "Hi", "- - - - " * 20))) == "loop"
    letters = "".join(chr(0x4E00 + 7 * n) for n in range(300))
    assert isinstance(applied(Loops(), talk("ua", "你好", letters)), Record)


@given(st.lists(st.sampled_from("ab"), max_size=40), st.integers(2, 5))
def test_the_repeated_share_is_that_of_a_count_by_hand(words: list[str], n_words: int) -> None:
    covered: set[int] = set()
    for at in range(len(words) - n_words + 1):
        run = words[at : at + n_words]
        if any(words[b : b + n_words] == run for b in range(at)):
            covered.update(range(at, at + n_words))
    assert repeated_share(words, n_words) == len(covered) / max(1, len(words))


# --- Choosing ---------------------------------------------------------------------------------------------------------


def test_a_language_is_kept_skipped_and_written_down() -> None:
    german = talk("ua", "Wie sortiere ich eine Liste von Namen?", "So sortierst du eine Liste von Namen.")
    assert applied(Languages(keep=["de"]), german).fields["language"] == "de"
    assert reason(applied(Languages(skip=["de"]), german)) == "language de"


def test_a_language_that_stood_there_is_kept() -> None:
    german = talk("ua", "Wie sortiere ich eine Liste von Namen?", "So sortierst du eine Liste von Namen.")
    german.fields["language"] = "German"
    step = Languages(keep=["de"])
    assert applied(step, applied(step, german)).fields == {"language": "de", "language_as_written": "German"}


def test_the_first_of_each_id_and_of_each_opening_stays() -> None:
    one, same_id = talk("ua", "Hi", "Ho", id="1"), talk("ua", "So", "Yes", id="1")
    same_opening = talk("uaua", "Hi", "Ho", "More", id="2")
    assert chosen(UniqueIds(), one, same_id, same_opening) == [True, False, True]
    assert chosen(UniqueOpenings(), one, same_id, same_opening) == [True, True, False]


def test_a_slice_begins_and_ends_where_it_says() -> None:
    assert chosen(Slice(begin=1, end=3), *[talk("ua")] * 5) == [False, True, True, False, False]
    assert chosen(Slice(begin=3), *[talk("ua")] * 5) == [False, False, False, True, True]


@given(st.lists(st.text("ab ", min_size=1, max_size=4), min_size=1, max_size=30), st.floats(0, 1))
def test_both_parts_together_are_all_and_no_family_is_in_both(questions: list[str], share: float) -> None:
    found = {"train": set[str](), "test": set[str]()}
    for n, question in enumerate(questions):
        kept = [
            part
            for part in ("train", "test")
            if isinstance(applied(Part(keep=part, test_share=share), talk("ua", question, id=str(n))), Record)
        ]
        assert len(kept) == 1
        found[kept[0]].add("".join(question.casefold().split()))
    assert not found["train"] & found["test"]


def test_the_share_of_the_test_part_is_about_what_was_asked() -> None:
    many = [talk("ua", f"question {n}") for n in range(4000)]
    n_test = sum(isinstance(applied(Part(keep="test", test_share=0.1), one), Record) for one in many)
    assert 320 < n_test < 480  # 400 and four standard deviations


# --- Splitting --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(-5, 60))
def test_packing_loses_no_round_and_fills_each_part(lengths: list[int], room: int) -> None:
    parts = packed(lengths, room)
    assert [n for first, last in parts for n in range(first, last + 1)] == list(range(len(lengths)))
    for (first, last), (_, after) in pairwise(parts):
        assert after > last
        assert first == last or sum(lengths[first : last + 1]) <= room
        assert sum(lengths[first : last + 2]) > room, "the next one would have fitted"


@given(records)
def test_rounds_are_all_of_a_conversation(record: Record) -> None:
    head, rounds = rounds_of(record.messages)
    assert [n for begin, end in rounds for n in range(begin, end)] == list(range(head, len(record.messages)))


def test_a_long_conversation_is_split_between_rounds_and_nothing_is_lost() -> None:
    step = SplitLong(tokenizer=str(DEMO_BASE), max_tokens=60)
    record = talk("suauaua", "Be brief.", *[f"{word} " * 12 for word in ("one", "two", "six", "ten", "red", "sun")])
    try:
        parts = step.apply(deepcopy(record), notes := Notes())
    finally:
        children_close()
    assert isinstance(parts, list)
    assert [part.id for part in parts] == ["c1_0", "c1_2", "c1_4"]
    assert all(roles(part) == "sua" and alternates(part.messages) for part in parts)
    assert [m.content for part in parts for m in part.messages[1:]] == [m.content for m in record.messages[1:]]
    assert all(part.steps == ["split_long"] for part in parts)
    assert notes["conversation split"] == 1


def test_a_round_that_is_too_long_alone_stays_and_is_counted_or_is_dropped_and_said() -> None:
    record = talk("uaua", "short", "short", "long " * 300, "long")
    try:
        kept = SplitLong(tokenizer=str(DEMO_BASE), max_tokens=60).apply(deepcopy(record), notes := Notes())
        assert isinstance(kept, list)
        assert [len(part.messages) for part in kept] == [2, 2]
        assert notes["round longer than the limit"] == 1
        step = SplitLong(tokenizer=str(DEMO_BASE), max_tokens=60, drop_long=True)
        left = step.apply(deepcopy(record), notes := Notes())
        assert isinstance(left, list)
        assert [len(part.messages) for part in left] == [2]
        assert notes["long round dropped"] == 1
        alone = step.apply(talk("ua", "long " * 300, "x"), Counter())
        assert reason(alone) == "every round is longer than the limit"
    finally:
        children_close()


# --- Personal data and identity ---------------------------------------------------------------------------------------


def test_personal_data_and_keys_are_taken_out_and_counted() -> None:
    key = "sk-" + "a1B2" * 8
    record = talk("ua", f"I am ada@example.org, +44 20 7946 0018, key {key}.", "Card 4111 1111 1111 1111, ok.")
    PersonalData().apply(record, notes := Notes())
    assert [m.content for m in record.messages] == ["I am [EMAIL], [PHONE], key [SECRET].", "Card [CARD], ok."]
    assert notes == {"email taken out": 1, "phone taken out": 1, "secret taken out": 1, "card taken out": 1}
    assert reason(applied(PersonalData(drop=True), talk("ua", "ada@example.org", "x"))) == "personal data"


def test_personal_data_is_taken_out_of_calls_and_fields_too() -> None:
    record = talk("ua", "Hi", "", fields={"ip": "203.0.113.7", "user": {"mails": ["ada@example.org", 3]}, "n": 1.5})
    record.messages[1].extra = {"tool_calls": [{"function": {"arguments": '{"to": "ada@example.org"}'}}]}
    PersonalData().apply(record, notes := Notes())
    assert record.fields == {"ip": "[IP]", "user": {"mails": ["[EMAIL]", 3]}, "n": 1.5}
    assert record.messages[1].extra["tool_calls"][0]["function"]["arguments"] == '{"to": "[EMAIL]"}'
    assert notes == {"ip taken out": 1, "email taken out": 2}
    assert record.steps == ["personal_data"]
    assert reason(applied(PersonalData(drop=True), talk("ua", fields={"ip": "203.0.113.7"}))) == "personal data"


KEY_LINES = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"[n:] for n in range(3))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: A-1\n\n{KEY_LINES}\n-----END RSA PRIVATE KEY-----.", "[SECRET]."),
        (f"-----BEGIN PRIVATE KEY-----\n{KEY_LINES}\nand so on", "[SECRET]\nand so on"),
        (f"-----BEGIN PRIVATE KEY-----{KEY_LINES}", "[SECRET]"),
    ],
)
def test_a_private_key_is_taken_out_whole_also_when_its_end_is_missing(text: str, left: str) -> None:
    record = talk("ua", text)
    PersonalData(kinds=["secret"]).apply(record, Notes())
    assert record.messages[0].content == left


def test_many_beginnings_of_keys_take_linear_time() -> None:
    record = talk("u", "-----BEGIN PRIVATE KEY-----" * 20_000)
    began = time.process_time()
    PersonalData(kinds=["secret"]).apply(record, notes := Notes())
    assert notes == {"secret taken out": 20_000}
    assert time.process_time() - began < 20  # each beginning with all that follows would take hours


def test_a_model_says_who_it_is_in_three_families() -> None:
    made = list(Identity(model_name="Owl", maker="The Wood").added())
    assert len(made) == 72 + 49 + 816 == 937
    assert len({(m.messages[0].content, m.messages[1].content) for m in made}) == 937
    assert all("Owl" in m.messages[1].content or "The Wood" in m.messages[1].content for m in made)
    assert sum(m.messages[1].content.startswith("No") for m in made) == 816
    assert {m.id for m in made} == {f"identity_{n}" for n in range(937)}
