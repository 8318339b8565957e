"""What a battle was about, by rules over its prompts: languages, code, mathematics, and how they are asked. Pure.

The rules are crude and know English words best; docs/ratings.md says so. Where a judge model has tagged the rows of a
file (`category_tag`, as FastChat's classify writes it), its tags stand in the place of the rules.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from apps.core.languages import UNKNOWN, language_of
from apps.leaderboard.battle_files.rows import prompts_in
from apps.leaderboard.battle_files.style import total_of

CODE, MATHS, LONG, MULTI_TURN, INSTRUCTIONS, HARD = "code", "maths", "long", "multi_turn", "instructions", "hard"
KINDS = (CODE, MATHS, LONG, MULTI_TURN, INSTRUCTIONS, HARD)
LONG_MIN_TOKENS = 500
"""Of the prompts. Source: FastChat's category long_user."""
_CHARS_PER_TOKEN = 4
_HARD_MIN_SIGNS = 4
HARD_MIN_CRITERIA = 6
"""Of seven. Source: FastChat's category hard_6, by its classifier criteria_v0.1."""
_NAME = re.compile(r"[a-z][a-z_]{1,29}")
_NAMES_MAX = 20
_CHARS_READ = 20_000
"""More would tell no more, and rules must not become slow by what somebody writes."""

_LANGUAGES = {
    "english": "en", "chinese": "zh", "russian": "ru", "german": "de", "japanese": "ja", "spanish": "es",
    "french": "fr", "korean": "ko", "vietnamese": "vi", "portuguese": "pt", "italian": "it", "polish": "pl",
    "turkish": "tr", "arabic": "ar", "persian": "fa", "ukrainian": "uk", "czech": "cs", "dutch": "nl", "swedish": "sv",
    "indonesian": "id", "hebrew": "he", "greek": "el", "hindi": "hi", "thai": "th", "finnish": "fi", "danish": "da",
    "norwegian": "no", "hungarian": "hu", "romanian": "ro", "catalan": "ca",
}  # fmt: skip
"""FastChat's files have names, in English."""

_CODE = re.compile(
    r"```|\bdef \w+\(|\bclass \w+ ?[:({]|\b(?:from [\w.]+ )?import [\w{*]|\bpublic static\b"
    r"|\bconsole\.log\b|#include|</?\w+>|=>|;[ \t]{0,9}$"
    r"|\bselect\b.{1,200}\bfrom\b|\b(?:python|javascript|typescript|java|c\+\+|rust|golang|sql|bash|regex|html|css|django|react"
    r"|docker|kubernetes|api|json|traceback|stack trace|compil\w+|unit tests?|refactor|debug|source code|program)\b",
    re.IGNORECASE | re.MULTILINE,
)
_MATHS = re.compile(
    r"\\(?:frac|int|sum|sqrt|lim|alpha|beta|theta|mathbb|begin\{)|\$[^$\n]{0,200}[\\^_=][^$\n]{0,200}\$"
    r"|\d\s{0,3}(?:[-+*/×÷^]|\*\*)\s{0,3}\(?\d+.{0,100}[=?]|\b[a-z]\s*(?:\^\s*\d|²|³)"
    r"|\b(?:equations?|integrals?|derivatives?|theorem|lemma|polynomials?|matrix|matrices|eigenvalues?|probability"
    r"|modulo|geometry|algebra|calculus|trigonometr\w+|logarithms?|prime numbers?|factorial|arithmetic|hypotenuse"
    r"|solve for|square root|standard deviation|how many ways)\b",
    re.IGNORECASE,
)
_INSTRUCTIONS = re.compile(
    r"\b(?:at most|at least|exactly|no more than|no fewer than|fewer than|less than|under|within|maximum of|minimum of)"
    r"\s+(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b"
    r"|\bin (?:\d+|one|two|three|four|five|six|seven|eight|nine|ten) (?:words?|sentences?|paragraphs?|lines?|steps?)"
    r"|\b(?:as|in|into) (?:valid )?(?:json|yaml|xml|csv|markdown|a table|bullet points|bullets|a (?:numbered )?list)\b"
    r"|\b(?:do not|don't|without|never|avoid) (?:us(?:e|ing)|includ(?:e|ing)|mention\w*|writ(?:e|ing)|say\w*)\b"
    r"|\b(?:must|should) (?:contain|include|start|end|begin|be written|have)\b|\bin the style of\b"
    r"|\b(?:only|just) (?:answer|reply|respond|output|return|give|write)\b|\b(?:answer|reply|respond) (?:only|in)\b"
    r"|\b(?:act|behave) as\b|\b(?:start|begin|end) (?:each|every|your|with)\b"
    r"|\bfollowing (?:format|template|structure)\b",
    re.IGNORECASE,
)
_REASONING = re.compile(
    r"\b(?:why|prove|design|optimi[sz]e|debug|compare|derive|analy[sz]e|evaluate|trade-?offs?|explain how|implement"
    r"|step[- ]by[- ]step|assess|critique|propose|estimate|plan)\b",
    re.IGNORECASE,
)
_SPECIFIC = re.compile(r"\d|\"[^\"\n]+\"|“[^”\n]+”|`[^`\n]+`|(?<=[a-z,] )[A-Z][a-z]+")


def categories_of(prompts: Sequence[str], *, language: str = "", n_tokens: float | None = None) -> set[str]:
    """Of one battle, by the messages that both sides were asked, of which there is at least one."""
    length = n_tokens if n_tokens is not None else sum(map(len, prompts)) / _CHARS_PER_TOKEN
    text = "\n\n".join(prompts)[:_CHARS_READ]
    found = {
        CODE: bool(_CODE.search(text)),
        MATHS: bool(_MATHS.search(text)),
        LONG: length >= LONG_MIN_TOKENS,
        MULTI_TURN: len(prompts) > 1,
        INSTRUCTIONS: bool(_INSTRUCTIONS.search(text)),
    }
    found[HARD] = _is_hard(text, found)
    return {kind for kind, is_so in found.items() if is_so} | _spoken(language or language_of(text))


def categories_in(row: Mapping[str, Any]) -> set[str]:
    """Of a row of a battle file: those that it says it has, or by rules, as far as it lets these see."""
    given = row.get("categories")
    if isinstance(given, list):
        return {name for name in given[:_NAMES_MAX] if isinstance(name, str) and _NAME.fullmatch(name)}
    prompts, language = prompts_in(row), _code_of(row.get("language"))
    metadata = row.get("conv_metadata")
    n_tokens = total_of(metadata.get("sum_user_tokens")) if isinstance(metadata, Mapping) else None
    if prompts:
        found = categories_of(prompts, language=language, n_tokens=n_tokens)
    else:
        found = _spoken(language) | ({LONG} if n_tokens is not None and n_tokens >= LONG_MIN_TOKENS else set())
    turn = row.get("turn")
    if isinstance(turn, int) and not isinstance(turn, bool):
        found = found - {MULTI_TURN} | ({MULTI_TURN} if turn > 1 else set())
    if row.get("is_code") is True:
        found |= {CODE}
    return _judged(row.get("category_tag"), found)


def _is_hard(text: str, found: Mapping[str, bool]) -> bool:
    """By how many signs of a demanding prompt it has."""
    signs = (
        len(text.split()) >= 40,
        found[INSTRUCTIONS],
        found[CODE] or found[MATHS],
        bool(_REASONING.search(text)),
        len(_SPECIFIC.findall(text)) >= 3,
        text.count("?") + len(re.findall(r"^\s*\d+[.)]\s", text, re.MULTILINE)) >= 2,
    )
    return sum(signs) >= _HARD_MIN_SIGNS


def _judged(tags: Any, found: set[str]) -> set[str]:
    """With what a judge model said instead of what the rules say."""
    if not isinstance(tags, Mapping):
        return found
    said: dict[str, bool] = {}
    for tag, fields in tags.items():
        if not isinstance(fields, Mapping):
            continue
        if str(tag).startswith("criteria"):
            said[HARD] = sum(value is True for value in fields.values()) >= HARD_MIN_CRITERIA
        elif str(tag).startswith("if_"):
            said[INSTRUCTIONS] = fields.get("if") is True
        elif str(tag).startswith("math"):
            said[MATHS] = fields.get("math") is True
    return {kind for kind in found if said.get(kind, True)} | {kind for kind, is_so in said.items() if is_so}


def _spoken(code: str) -> set[str]:
    return {f"lang_{code}"} if code and code != UNKNOWN else set()


def _code_of(language: Any) -> str:
    """Of a name in English; nothing for one that is not known, so that the text is asked."""
    return _LANGUAGES.get(language.casefold(), "") if isinstance(language, str) else ""
