"""What rules find, and what is done about it, without anything around them."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.moderation.actions import REMOVED, UNCHECKED, Finding, redacted, verdict_of
from apps.moderation.choices import Action, Direction, RuleKind, Surface
from apps.moderation.matching import RULE_LIMIT_S, Matcher, PatternWrong, findings_of

CHAT, IN = Surface.CHAT, Direction.IN


def words(*listed: str) -> Matcher:
    return Matcher("words", "rude", RuleKind.WORDS, "\n".join(listed))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bother!", ["Bother"]),
        ("no bother, BOTHER", ["bother", "BOTHER"]),
        ("bothered", []),
        ("my e-mail: a+b@c", ["a+b@c"]),
        ("Größe und größe", ["Größe", "größe"]),
        ("", []),
    ],
)
def test_words_are_found_whole_and_in_any_case(text: str, found: list[str]) -> None:
    finding = words("bother", "a+b@c", "größe", "").finding(text)
    assert [text[start:end] for start, end in (finding.spans if finding else ())] == found


def test_an_expression_and_a_length_find_what_they_say() -> None:
    numbers = Matcher("numbers", "privacy", RuleKind.REGEX, r"\b\d{3,}\b")
    longest = Matcher("longest", "length", RuleKind.LENGTH, " 10 ")
    [found] = findings_of([numbers, longest], ["call 12345 now, or 99"])
    assert found == [Finding("privacy", "numbers", ((5, 10),)), Finding("length", "longest")]
    assert findings_of([numbers, longest], ["1234567890"])[0] == [Finding("privacy", "numbers", ((0, 10),))]


@pytest.mark.parametrize("pattern", [r"(?=.*bomb)(?=.*make)", r"\bthere\b|(?=bomb)"])
def test_an_expression_that_only_looks_finds_what_cannot_be_taken_out(pattern: str) -> None:
    both = Matcher("both", "weapons", RuleKind.REGEX, pattern)
    redact: dict[tuple[str, str, str], Action] = {(CHAT, IN, ""): Action.REDACT}
    [found, nothing] = findings_of([both], ["Hi there, make me a bomb", "Hi"])
    assert [finding.category for finding in found] == ["weapons"]
    assert verdict_of("Hi there, make me a bomb", found, redact, CHAT).action is Action.REFUSE
    assert nothing == []


def test_an_expression_that_would_take_for_ever_leaves_the_text_unchecked() -> None:
    slow = Matcher("slow", "rude", RuleKind.REGEX, r"(a|aa|aaa)+(?<=b)c")
    began = process_time()
    finding = slow.finding("a" * 5000)
    assert finding == Finding(UNCHECKED, "slow")
    assert process_time() - began < 20 * RULE_LIMIT_S


def test_what_was_found_before_the_time_was_over_is_not_lost() -> None:
    slow = Matcher("slow", "rude", RuleKind.REGEX, r"bother|(a|aa|aaa)+(?<=b)c")
    assert slow.finding("bother " + "a" * 5000) == Finding("rude", "slow")


def test_all_texts_of_a_request_together_have_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.moderation.matching.REQUEST_LIMIT_S", 0.1)
    slow = Matcher("slow", "rude", RuleKind.REGEX, r"(a|aa|aaa)+(?<=b)c")
    assert findings_of([slow], ["a" * 5000] * 1000) == [[Finding(UNCHECKED, "slow")]] * 1000


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (RuleKind.REGEX, "("),
        (RuleKind.REGEX, "a*"),
        (RuleKind.REGEX, "x" * 20_001),
        (RuleKind.WORDS, " \n "),
        (RuleKind.LENGTH, "many"),
        (RuleKind.LENGTH, "-1"),
        (RuleKind.LANGUAGES, " \n "),
        (RuleKind.ONLY_LANGUAGES, "en\nEnglish"),
    ],
)
def test_patterns_that_cannot_be_used_are_told(kind: RuleKind, pattern: str) -> None:
    with pytest.raises(PatternWrong):
        Matcher("x", "x", kind, pattern).check()


RUDE, SECRET, LONG = Finding("rude", "words", ((0, 6),)), Finding("secret", "expr", ((3, 9),)), Finding("long", "len")


@pytest.mark.parametrize(
    ("policies", "action", "text"),
    [
        ({}, Action.REFUSE, "Bother me!"),
        ({(CHAT, IN, ""): Action.ALLOW}, Action.ALLOW, "Bother me!"),
        ({(CHAT, IN, ""): Action.FLAG}, Action.FLAG, "Bother me!"),
        ({(CHAT, IN, "rude"): Action.REDACT}, Action.REDACT, f"{REMOVED} me!"),
        ({(CHAT, IN, "rude"): Action.FLAG, (CHAT, IN, ""): Action.REFUSE}, Action.FLAG, "Bother me!"),
        ({(Surface.API, IN, "rude"): Action.ALLOW}, Action.REFUSE, "Bother me!"),
    ],
)
def test_a_surfaces_policy_decides(policies: dict[tuple[str, str, str], Action], action: Action, text: str) -> None:
    verdict = verdict_of("Bother me!", [RUDE], policies, CHAT)
    assert (verdict.action, verdict.text) == (action, text)
    assert verdict.findings == (() if action is Action.ALLOW else (RUDE,))


def test_the_most_severe_action_counts_and_what_cannot_be_pointed_at_is_refused() -> None:
    redact: dict[tuple[str, str, str], Action] = {(CHAT, IN, ""): Action.REDACT}
    assert verdict_of("Bother me!", [RUDE, SECRET], redact, CHAT).text == f"{REMOVED}!"
    assert verdict_of("Bother me!", [RUDE, LONG], redact, CHAT).action is Action.REFUSE
    mixed: dict[tuple[str, str, str], Action] = {(CHAT, IN, "rude"): Action.REDACT, (CHAT, IN, "long"): Action.FLAG}
    assert verdict_of("Bother me!", [RUDE, LONG], mixed, CHAT).action is Action.REDACT


@pytest.mark.parametrize(
    ("policies", "action"),
    [
        ({}, Action.FLAG),
        ({(CHAT, IN, ""): Action.REFUSE}, Action.FLAG),
        ({(CHAT, IN, UNCHECKED): Action.REFUSE}, Action.REFUSE),
        ({(CHAT, IN, UNCHECKED): Action.ALLOW}, Action.ALLOW),
    ],
)
def test_whether_it_fails_open_or_closed_is_a_policy(
    policies: dict[tuple[str, str, str], Action], action: Action
) -> None:
    assert verdict_of("Hi", [Finding(UNCHECKED, "judge")], policies, CHAT).action is action


@given(st.text(), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted).map(tuple)))
def test_what_is_taken_out_is_gone_and_the_rest_stays(text: str, spans: list[tuple[int, int]]) -> None:
    spans = [(min(start, len(text)), min(end, len(text))) for start, end in spans]
    spans = [span for span in spans if span[0] < span[1]]
    gone = {index for start, end in spans for index in range(start, end)}
    kept = "".join(character for index, character in enumerate(text) if index not in gone)
    assert redacted(text, spans).replace(REMOVED, "") == kept.replace(REMOVED, "")
