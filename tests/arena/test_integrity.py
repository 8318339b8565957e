"""What is thought of a vote: each reason by itself, and an attacker who votes by program."""

from dataclasses import replace
from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.arena.identities import asked_by, told_by
from apps.arena.integrity import (
    BURST_PER_MINUTE,
    LONGEST_OPEN_S,
    MIN_HISTORY,
    NETWORK_VOTERS,
    SAME_QUESTION_MAX,
    SHADOW_WEIGHT,
    UNDISCLOSED,
    Evidence,
    Habits,
    PastVote,
    Reason,
    assess,
    is_one_sided,
    is_partial,
    least_read_s,
    tail,
)

NAMES = ("vicuna-13b", "Fox", "LMSYS", "demo-base")

FINE = Evidence(
    questions=["What do llamas eat?"],
    answers=["Llamas eat hay.", "Grass, mostly. I would google it."],
    last_answers=("Llamas eat hay.", "Grass, mostly. I would google it."),
    names=NAMES,
    makers=("Acme Labs",),
    is_rematch=False,
    was_stopped=False,
    read_s=5.0,
    whole_s=5.0,
    open_s=5.0,
    n_same_question=0,
    n_same_battle=0,
    voter=Habits(n_last_minute=1, n_last_hour=1, history=[], win_rates={}),
)


@pytest.mark.parametrize(
    "answer",
    [
        "I am ChatGPT.",
        "I'm Claude, an AI assistant.",
        "I am a large language model, trained by Google.",
        "Hello! My name is **Gemini**.",
        "As an AI language model developed by OpenAI, I cannot do that.",
        "I was created by the team at LMSYS.",
        "OpenAI trained me on a lot of text.",
        "My creators at Anthropic decided so.",
        "I am GPT-4o.",
        "Ich bin ein Sprachmodell, trainiertes von Google",
        "我是Qwen",
        "The winner is vicuna-13b!",
        "see demo-base.",
        "I'm Fox.",
        "I am `Qwen`.",
        "Sure (I am (Qwen)).",
        "Hello! This is Claude.",
        "As Claude, I cannot do that.",
        "You're speaking with Qwen.",
        "I go by Qwen.",
        "I am part of the Llama family.",
        "I am one of the Claude models.",
        "我是通义千问",
        "I am an AI assistant that was developed by Mistral AI.",
        "I am Vicuna 13B.",
        "I am Demo Base, at your service.",
        "I am Claude Sonnet.",
        "I am Google Gemini.",
        "I am Claude Instant.",
        "I am Mistral Nemo, and you?",
        "I'm Gemini Advanced",
        "I am Claude\nHow can I help you?",
        "This is Gemini\n\nWhat would you like to know?",
        "Soy Gemini, un modelo de Google.",
        "¡Hola! Soy un modelo de lenguaje de Google.",
        "I was built on Llama.",
        "I was created and trained by OpenAI.",
    ],
)
def test_an_answer_that_tells_who_wrote_it(answer: str) -> None:
    assert told_by([answer], NAMES) is not None
    assert assess(replace(FINE, answers=["Fine.", answer])).reasons == (Reason.IDENTITY_TOLD,)


@pytest.mark.parametrize(
    "text",
    [
        "Llamas eat hay.",
        "A llama is a domesticated animal. I like it.",
        "I would google it.",
        "Claude Monet painted water lilies, and I love them.",
        "Gemini is a sign of the zodiac.",
        "Palm trees grow there; bards sang of them.",
        "ChatGPT is a product of OpenAI.",
        "I think that Google is a company.",
        "The quick brown fox jumps over the lazy dog.",
        "We saw vicunas and a metaphor about Metallica.",
        "I am a foxhunter, I am grokking it, I am mistrallike",
        "This is not about amazonite.",
        "x-demo-basement",
        "I was in the Amazon when it rained.",
        "I'm from Nova Scotia.",
        "She said: 'My name is Gemma.'",
        "Je suis Claude Monet",
        "I am an Apple user.",
        "Google made me laugh.",
        "You are a Google recruiter.",
        "You are an IBM mainframe engineer.",
        "You are a Microsoft Excel expert.",
        "This is Claude Monet, and that is a llama.",
        "The demo base was closed.",
        "It has soy and palm oil.",
        "Without soy, palm oil or nuts.",
        "Soy and Apple juice.",
        "Choose soy, a Fox never will.",
        "I was at Google when it happened.",
        "I was on Bing, and you are at Apple.",
        "Are you at Google, or on Copilot?",
        "I'm an AI and Google is a company.",
        "That is who I am\nGoogle was founded in 1998.",
        "What I am:\n\n- Gemini, by the stars",
        "They bought Google\nmake me an offer",
        "You never know who you are\nApple fell by ten per cent",
        "",
    ],
)
def test_innocent_words_tell_nothing(text: str) -> None:
    assert told_by([text], NAMES) is None
    assert asked_by([text], NAMES) is None


@pytest.mark.parametrize(
    "question",
    [
        "Are you GPT-4?",
        "are you really an openai model",
        "You are Claude, aren't you?",
        "Did Google make you?",
        "Is your creator Anthropic?",
        "Your name is vicuna-13b?",
        "Am I talking to ChatGPT?",
        "Bist du Gemini?",
    ],
)
def test_a_message_that_asks_a_model_whether_it_is_somebody(question: str) -> None:
    assert asked_by([question], NAMES) is not None
    assert assess(replace(FINE, questions=[question])).reasons == (Reason.IDENTITY_ASKED,)


@pytest.mark.parametrize(
    "question",
    ["Who are you?", "Can you tell me about Google?", "Do you like foxes?", "What is GPT-4?", "Write to OpenAI for me"],
)
def test_a_message_that_names_nobody_or_somebody_else_is_no_probing(question: str) -> None:
    assert asked_by([question], NAMES) is None


@pytest.mark.parametrize("text", ["The llama is an animal.", "OpenAI was founded in 2015.", "See V2.", "It is 3.5 m."])
def test_names_that_mean_something_else_tell_only_where_somebody_speaks_of_himself(text: str) -> None:
    assert told_by([text], ["LLaMA", "V2", "3.5"], ["OpenAI"]) is None


def test_a_maker_tells_where_a_model_speaks_of_itself() -> None:
    assert told_by(["I was made by Acme Labs."], NAMES, ["Acme Labs"])
    assert asked_by(["Did Acme Labs make you?"], NAMES, ["Acme Labs"])
    assert told_by(["Acme Labs makes anvils."], NAMES, ["Acme Labs"]) is None


def test_a_long_answer_is_looked_at_in_no_time() -> None:
    began = process_time()
    told_by(["I am a large language model made by " * 3000, "as " * 30_000, "a " * 50_000], NAMES)
    assert process_time() - began < 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"is_rematch": True}, Reason.PAIR_KNOWN),
        ({"was_stopped": True}, Reason.STOPPED),
        ({"last_answers": ("Something.", " \n")}, Reason.EMPTY_ANSWER),
        ({"read_s": 0.5}, Reason.TOO_FAST),
        ({"whole_s": 0.01}, Reason.TOO_FAST),
        ({"open_s": LONGEST_OPEN_S + 1}, Reason.TOO_LATE),
        ({"n_same_battle": 1, "n_same_question": 1}, Reason.DUPLICATE),
        ({"n_same_question": SAME_QUESTION_MAX}, Reason.DUPLICATE),
    ],
)
def test_each_reason_against_a_vote_is_told(fields: dict, reason: Reason) -> None:  # type: ignore[type-arg]
    found = assess(replace(FINE, **fields))
    assert (found.counts, found.reasons) == (False, (reason,))
    assert reason not in UNDISCLOSED


def test_an_honest_vote_counts_in_full() -> None:
    assert (assess(FINE).counts, assess(FINE).weight, assess(FINE).reasons) == (True, 1.0, ())


def test_the_same_question_to_other_pairs_counts_a_few_times() -> None:
    assert assess(replace(FINE, n_same_question=SAME_QUESTION_MAX - 1)).counts


def test_long_answers_take_longer_to_read_but_nobody_is_kept_waiting_for_ever() -> None:
    assert least_read_s(0) == 1.0
    assert least_read_s(2000) == 6.0
    assert least_read_s(10**6) == 8.0


def test_a_burst_weighs_little_and_is_not_told() -> None:
    found = assess(replace(FINE, voter=replace(FINE.voter, n_last_minute=BURST_PER_MINUTE + 1)))
    assert (found.counts, found.weight, found.reasons) == (True, SHADOW_WEIGHT, (Reason.BURST,))
    assert Reason.BURST in UNDISCLOSED


def test_a_network_of_visitors_is_looked_at_too_and_may_have_more_voters() -> None:
    alone = FINE.voter
    for habits, reason in [
        (replace(alone, n_last_minute=BURST_PER_MINUTE * NETWORK_VOTERS + 1), Reason.BURST),
        (replace(alone, history=[PastVote(1, 2, 1.0)] * MIN_HISTORY), Reason.ONE_SIDED),
        (replace(alone, history=[PastVote(1, 2, 0.0), PastVote(2, 1, 1.0)] * 8, win_rates={2: 0.25}), Reason.PARTIAL),
    ]:
        found = assess(replace(FINE, network=habits))
        assert (found.counts, found.weight, found.reasons) == (True, SHADOW_WEIGHT, (reason,))
    office = replace(alone, n_last_minute=BURST_PER_MINUTE * NETWORK_VOTERS)
    assert assess(replace(FINE, network=office)).weight == 1.0


def test_who_always_takes_the_same_side_is_noticed() -> None:
    assert is_one_sided([PastVote(1, 2, 1.0)] * MIN_HISTORY)
    assert not is_one_sided([PastVote(1, 2, 1.0)] * (MIN_HISTORY - 1))
    assert not is_one_sided([PastVote(1, 2, 0.5)] * 100)


def test_ties_are_no_half_wins() -> None:
    assert not is_partial([PastVote(1, 2, 0.5)] * 60, {1: 0.9})


def honest(random: Random, n: int) -> list[PastVote]:
    """Contestant 1 is better than 2 three times of four; sides by lot."""
    votes = []
    for _ in range(n):
        is_better = random.random() < 0.75
        votes.append(
            PastVote(1, 2, float(is_better)) if random.random() < 0.5 else PastVote(2, 1, float(not is_better))
        )
    return votes


def test_honest_voters_are_hardly_ever_suspected() -> None:
    random = Random(1)
    suspected = sum(
        is_one_sided(votes) or is_partial(votes, {1: 0.75, 2: 0.25})
        for votes in (honest(random, 40) for _ in range(1000))
    )
    assert suspected <= 8


def test_somebody_who_lifts_one_model_by_program_is_noticed_after_a_dozen_votes() -> None:
    random = Random(2)
    votes: list[PastVote] = []
    while not is_partial(votes, {2: 0.25}):
        votes.append(PastVote(1, 2, 0.0) if random.random() < 0.5 else PastVote(2, 1, 1.0))
        assert len(votes) <= 2 * MIN_HISTORY
    assert len(votes) >= MIN_HISTORY


@given(st.integers(0, 60), st.floats(0.01, 0.99))
def test_the_tail_of_the_binomial_is_a_probability(n: int, p: float) -> None:
    tails = [tail(k, n, p) for k in range(n + 1)]
    assert tails[0] == pytest.approx(1)
    assert tails == sorted(tails, reverse=True)


def test_the_tail_by_hand() -> None:
    assert tail(2, 2, 0.5) == 0.25
    assert tail(1, 2, 0.5) == 0.75
