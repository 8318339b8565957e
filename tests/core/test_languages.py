"""Languages are told apart from a sentence on, and nothing is guessed from less."""

import pytest

from apps.core.languages import UNKNOWN, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I sort a list of names in Python?", "en"),
        ("Wie sortiere ich eine Liste von Namen?", "de"),
        ("Comment trier une liste de noms ?", "fr"),
        ("Как отсортировать список имён?", "ru"),
        ("如何对名单进行排序？", "zh"),
        ("名前のリストを並べ替えるにはどうすればいいですか", "ja"),
        ("이름 목록을 어떻게 정렬하나요?", "ko"),
        ("HOW DO I SORT A LIST OF NAMES?", "en"),
        ("Zeile eins\nZeile zwei ist länger\n\nund die dritte auch", "de"),
    ],
)
def test_a_sentence_is_enough(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "   ", "ok", "12 + 30 = 42", "🙂🙂🙂🙂🙂🙂", "\ud800\udfff" * 20])
def test_nothing_is_guessed_from_too_little(text: str) -> None:
    assert language_of(text) == UNKNOWN


def test_a_long_text_is_told_by_its_beginning() -> None:
    assert language_of("Wie sortiere ich eine Liste von Namen? " * 100_000) == "de"


def test_half_of_a_pair_in_a_text_is_in_nobodys_way() -> None:
    assert language_of("\ud800 Wie geht es dir heute\0, mein Freund?") == "de"


@pytest.mark.parametrize(
    "text", ["WIE SORTIERE ICH EINE LISTE VON NAMEN?", "WIE SORTIERE ICH EINE LISTE VON Namen, BITTE?"]
)
def test_capitals_are_no_other_language(text: str) -> None:
    assert language_of(text) == "de"


def test_letters_are_counted_by_the_bytes_that_they_take() -> None:
    assert language_of("12 как дела? 3") == language_of("как дела?") != UNKNOWN
    assert language_of("как 12 де?") == UNKNOWN
