"""Personal data are found by what they look like and by their check digits, and nothing that only resembles them is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.moderation.actions import REMOVED, redacted
from apps.moderation.choices import Action, Direction, RuleKind, Surface
from apps.moderation.matching import Matcher, PatternWrong
from apps.moderation.outgoing import Outgoing
from apps.moderation.personal_data import IBAN_LENGTHS, has_iban_digits, has_luhn_digit

ALL = Matcher("Personal", "personal", RuleKind.PERSONAL, "email\nphone\ncard\niban\nip")


def rule(*kinds: str) -> Matcher:
    return Matcher("Personal", "personal", RuleKind.PERSONAL, "\n".join(kinds))


def found(matcher: Matcher, text: str) -> list[str]:
    finding = matcher.finding(text)
    return [text[start:end] for start, end in finding.spans] if finding else []


# Cards are the test numbers that Stripe and Adyen publish, IBANs the examples of SWIFT's registry, addresses and phone
# numbers from the ranges that RFC 5737, RFC 3849, the NANP and Ofcom keep for documentation.
@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("email", "Write to bob.o'neil+x@mail.example.co.uk, please", ["bob.o'neil+x@mail.example.co.uk"]),
        ("email", "<mailto:bob@example.org>.", ["bob@example.org"]),
        ("email", "grüße@bücher.example", ["grüße@bücher.example"]),
        ("phone", "+1 (415) 555-0132 or 415-555-0132", ["+1 (415) 555-0132", "415-555-0132"]),
        ("phone", "call 020 7946 0958.", ["020 7946 0958"]),
        ("phone", "0049 30 23125 000, (030) 23125-000", ["0049 30 23125 000", "(030) 23125-000"]),
        ("phone", "01.99.00.12.34", ["01.99.00.12.34"]),
        ("phone", "x-01234567-89ab-4cde-8f01-0123456789ab-020 7946 0958", ["020 7946 0958"]),
        ("card", "4242 4242 4242 4242 12/29", ["4242 4242 4242 4242"]),
        ("card", "4242424242424242, 378282246310005", ["4242424242424242", "378282246310005"]),
        ("card", "order 12 5555-5555-5555-4444", ["5555-5555-5555-4444"]),
        ("card", "4242 4242 4242 4242 25", ["4242 4242 4242 4242"]),
        ("iban", "to DE89 3704 0044 0532 0130 00 BY FRIDAY", ["DE89 3704 0044 0532 0130 00"]),
        ("iban", "gb29nwbk60161331926819", ["gb29nwbk60161331926819"]),
        ("iban", "NO93 8601 1117 947", ["NO93 8601 1117 947"]),
        ("ip", "from 192.0.2.17:8080 and 2001:db8::8a2e:370:7334.", ["192.0.2.17", "2001:db8::8a2e:370:7334"]),
        ("ip", "::ffff:192.0.2.1, [2001:db8::1]:443", ["::ffff:192.0.2.1", "2001:db8::1"]),
    ],
)
def test_personal_data_are_found_as_they_are_written(kind: str, text: str, expected: list[str]) -> None:
    assert found(rule(kind), text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "meet @bob at example.org, or a@b"),
        ("phone", "on 09-11-2026 10:15, 01.02.2003, 2026-11-26"),
        ("phone", "3.141592653589793 and 1700000000000"),
        ("phone", "card 4242 0242 4242 4242"),
        ("phone", "![a cat](image:01234567-89ab-4cde-8f01-0123456789ab), 5F0C2A1E-0123-4567-8f01-023456789abc"),
        ("card", "![a cat](image:4f0c2a1e-1234-4242-4242-424242424242)"),
        ("card", "4242 4242 4242 4241"),
        ("card", "9780 3161 4841 00, 0.4242424242424242"),
        ("iban", "DE89 3704 0044 0532 0130 01"),
        ("iban", "DE89370400440532013000X, XX89 3704 0044 0532 0130 00"),
        ("ip", "at 10:15:30, version 1.2.3, 1.2.3.4.5, 999.1.1.1, std::vector, a::b, ::, ::1, 127.0.0.1"),
    ],
)
def test_what_only_resembles_them_is_not_found(kind: str, text: str) -> None:
    assert found(rule(kind), text) == []


def test_a_rule_takes_out_all_kinds_that_it_names() -> None:
    text = "bob@example.org, +14155550132, 4242424242424242, GB29NWBK60161331926819, 192.0.2.1"
    finding = ALL.finding(text)
    assert finding is not None
    assert finding.has_places
    assert redacted(text, finding.spans) == ", ".join([REMOVED] * 5)
    assert found(rule(" Email ", "email"), text) == ["bob@example.org"]


@pytest.mark.parametrize("pattern", ["", " \n", "email\nname", "e-mail"])
def test_a_rule_for_what_nobody_can_find_is_refused(pattern: str) -> None:
    with pytest.raises(PatternWrong, match="email, phone, card, iban, ip"):
        rule(pattern).check()
    ALL.check()


@given(st.text("0123456789", min_size=12, max_size=18))
def test_of_all_last_digits_one_is_a_cards(digits: str) -> None:
    assert sum(has_luhn_digit(f"{digits}{last}") for last in range(10)) == 1


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.text("0123456789ABCXYZ", min_size=30, max_size=30), st.integers(2, 98))
def test_an_iban_is_found_with_its_check_digits_and_not_with_others(country: str, account: str, other: int) -> None:
    # As banks make them: ISO 13616, "Generation of check characters".
    account = account[: IBAN_LENGTHS[country] - 4]
    number = int("".join(str(int(character, 36)) for character in account + country + "00"))
    right = 98 - number % 97
    assert found(rule("iban"), f"{country}{right:02}{account}") == [f"{country}{right:02}{account}"]
    assert has_iban_digits(f"{country}{other:02}{account}") == (other == right)


@given(st.text(max_size=300))
def test_no_text_is_too_odd_to_be_looked_at(text: str) -> None:
    for place in found(ALL, text):
        assert place


@given(st.integers(0, 300), st.lists(st.integers(0, 700), max_size=6))
def test_none_is_shown_of_an_answer_however_it_is_cut(n_before: int, cuts: list[int]) -> None:
    text = "x " * n_before + "bob@example.org or GB29 NWBK 6016 1331 9268 19 or 4242 4242 4242 4242, " + "y " * 60
    answer = Outgoing([ALL], {(Surface.API, Direction.OUT, ""): Action.REDACT}, Surface.API)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    told = "".join([*(answer.feed(text[a:b]) for a, b in itertools.pairwise(edges)), answer.finish()])
    assert f"{REMOVED} or {REMOVED} or {REMOVED}, " in told
    assert not answer.is_refused
