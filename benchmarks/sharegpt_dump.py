"""A raw dump of chats as they are scraped, made from nothing, for the benchmark of data cleaning.

Deterministic for a number of conversations. Answers are pages: paragraphs, lists, tables, formulas, code in the page's
frame with its button. A share of conversations has what cleaning is for: a wrong beginning or end, two questions in a
row, an unknown speaker, blocked words, notices instead of answers, ids and openings that were there before, broken
markup, lists that begin again, runs of digits, very long chats.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

_SAID = {
    "en": "the model reads a question and writes an answer that explains every step with care and gives examples",
    "de": "das Modell liest eine Frage und schreibt eine Antwort die jeden Schritt über die Brücke erklärt",
    "fr": "le modèle lit une question et écrit une réponse qui explique chaque étape à la montagne",
    "ru": "модель читает вопрос и пишет ответ который объясняет каждый шаг и приводит примеры",
    "zh": "模型 阅读 问题 并且 写出 答案 解释 每一个 步骤 同时 给出 例子",
    "ko": "모델은 질문을 읽고 각 단계를 자세히 설명하는 답을 씁니다 예를 들어 여행 계획",
}
WORDS = {language: said.split() for language, said in _SAID.items()}
LANGUAGES = ["en"] * 70 + ["de"] * 8 + ["fr"] * 8 + ["ru"] * 5 + ["zh"] * 5 + ["ko"] * 4
CODE = {
    "python": "def total(x, y=1):\n    if x &lt; y:\n        return [x * i for i in range(y)]\n    return __name__\n",
    "sql": "SELECT name, COUNT(*) AS n\n  FROM items\n WHERE n &gt;= 3\n GROUP BY name;\n",
    "bash": "for f in *.txt; do\n  grep -c 'word' \"$f\" | sort -n\ndone\n",
}
Turn = dict[str, str]


def write_dump(path: Path, n_conversations: int) -> None:
    """Written row by row, so that a large one needs no memory."""
    chance = random.Random(n_conversations)  # nothing is secret
    openings: list[list[Turn]] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_conversations):
            row = _conversation(chance, number, openings)
            file.write(("[" if number == 0 else ",") + json.dumps(row, ensure_ascii=False))
        file.write("]")


def _conversation(chance: random.Random, number: int, openings: list[list[Turn]]) -> dict[str, object]:
    language = chance.choice(LANGUAGES)
    n_rounds = chance.randint(20, 50) if chance.random() < 0.02 else chance.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 8])
    turns: list[Turn] = []
    for _ in range(n_rounds):
        turns.append({"from": "human", "value": _question(chance, language)})
        turns.append({"from": "gpt", "value": _answer(chance, language)})
    row: dict[str, object] = {"id": f"c{number:07}", "conversations": turns}
    if chance.random() < 0.3:
        row["model"] = chance.choice(["gpt4", "default", "gpt35"])
    fault = _fault(chance)
    if fault == "same id":
        row["id"] = f"c{max(0, number - 5):07}"
    elif fault == "same opening" and openings:
        turns[:2] = [dict(turn) for turn in chance.choice(openings)]
    elif fault == "plugin":
        row["plugins"] = ["web"]
    elif fault in FAULTS:
        FAULTS[fault](turns)
    openings[:] = [*openings[-99:], turns[:2]] if len(turns) > 1 else openings
    return row


SHARES = {
    "begins with an answer": 0.03, "ends with a question": 0.06, "two questions": 0.015, "unknown speaker": 0.005,
    "empty": 0.005, "blocked": 0.03, "notice": 0.01, "same id": 0.01, "same opening": 0.02, "plugin": 0.005,
    "broken": 0.01, "empty answer": 0.01, "list again": 0.01, "digits": 0.01,
}  # fmt: skip


def _fault(chance: random.Random) -> str:
    drawn = chance.random()
    for fault, share in SHARES.items():
        drawn -= share
        if drawn < 0:
            return fault
    return ""


def _last_is(text: str) -> Callable[[list[Turn]], None]:
    return lambda turns: turns[-1].update(value=text)


def _last_ends(text: str) -> Callable[[list[Turn]], None]:
    return lambda turns: turns[-1].update(value=turns[-1]["value"] + text)


FAULTS: dict[str, Callable[[list[Turn]], None]] = {
    "begins with an answer": lambda turns: turns.insert(0, {"from": "gpt", "value": "<p>Yes?</p>"}),
    "ends with a question": lambda turns: turns.append({"from": "human", "value": "And then?"}),
    "two questions": lambda turns: turns.insert(1, {"from": "human", "value": "I mean it."}),
    "unknown speaker": lambda turns: turns[-1].update({"from": "system"}),
    "empty": lambda turns: turns.clear(),
    "blocked": _last_ends("<p>As ChatGPT, trained by OpenAI, I cannot.</p>"),
    "notice": _last_is("Too many requests in 1 hour. Try again later."),
    "broken": lambda turns: turns[-1].update(value="<div><p>open <b>never <i>closed" + turns[-1]["value"]),
    "empty answer": _last_is('<div class="markdown"></div>'),
    "list again": _last_ends("<p>\n1. one thing\n1. another thing</p>"),
    "digits": lambda turns: turns[0].update(value=turns[0]["value"] + " 00000000000000"),
}


def _words(chance: random.Random, language: str, least: int, most: int) -> str:
    words = [chance.choice(WORDS[language]) for _ in range(chance.randint(least, most))]
    return ("" if language == "zh" else " ").join(words)


def _question(chance: random.Random, language: str) -> str:
    asked = _words(chance, language, 4, 30)
    return f"{asked}\nif x < 3 and y > 2: print(__name__)" if chance.random() < 0.1 else asked


def _answer(chance: random.Random, language: str) -> str:
    parts = [_paragraphs(chance, language)]
    for _ in range(chance.choice([0, 1, 1, 2, 3, 5])):
        parts.append(chance.choice([_code, _list, _list, _table, _formula, _paragraphs])(chance, language))
    page = f'<div class="markdown prose w-full break-words dark:prose-invert light">{"".join(parts)}</div>'
    if chance.random() < 0.05:
        page = f'<div class="flex">{chance.randint(1, 3)} / 3</div>{page}'
    return page + ("Copy120 chars / 33 words" if chance.random() < 0.03 else "")


def _paragraphs(chance: random.Random, language: str) -> str:
    said = [_words(chance, language, 6, 22) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.3:
        said.append(f"<code>item_{chance.randint(0, 9)}[x]</code> <strong>{said[0][:20]}</strong> 3 &lt; 5 &amp; a*b")
    return f"<p>{' '.join(said)}</p>"


def _list(chance: random.Random, language: str) -> str:
    items = "".join(f"<li>{_words(chance, language, 3, 12)}</li>" for _ in range(chance.randint(2, 7)))
    nested = f"<li>more<ul><li>{_words(chance, language, 2, 6)}</li></ul></li>"
    tag = chance.choice(["ul", "ol"])
    return f"<{tag}>{items}{nested if chance.random() < 0.2 else ''}</{tag}>"


def _table(chance: random.Random, language: str) -> str:
    n_columns = chance.randint(2, 5)
    head = "".join(f"<th>{_words(chance, language, 1, 1)}</th>" for _ in range(n_columns))
    row = "".join(f"<td>{_words(chance, language, 2, 2)}</td>" for _ in range(n_columns))
    rows = f"<tr>{row}</tr>" * chance.randint(2, 8)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _formula(chance: random.Random, language: str) -> str:
    power = chance.randint(2, 9)
    return (
        '<div class="math math-display"><span class="katex"><span class="katex-mathml"><math><semantics><mrow><msup>'
        f"<mi>x</mi><mn>{power}</mn></msup></mrow>"
        f'<annotation encoding="application/x-tex">x^{power} = \\frac{{1}}{{2}}</annotation>'
        "</semantics></math></span></span></div>"
    )


def _code(chance: random.Random, language: str) -> str:
    name = chance.choice(list(CODE))
    return (
        '<pre><div class="bg-black mb-4 rounded-md"><div class="flex items-center text-gray-200">'
        f'<span class="">{name}</span><button class="flex ml-auto"><svg viewBox="0 0 24 24"></svg>Copy code</button>'
        f'</div><div class="p-4 overflow-y-auto"><code class="!whitespace-pre hljs language-{name}">'
        f"{CODE[name] * chance.randint(1, 4)}</code></div></div></pre>"
    )
