# ruff: noqa: E501  # long sentences and word lists
"""Sums, differences, products and quotients, with the working shown column by column.

A small transformer cannot guess 17 + 25, but it learns to add two digits and carry; so the answer writes
that down before the result. Draws no held-out pair.
"""

from random import Random

from gpu_worker.training.curriculum.heldout import is_held_out_difference, is_held_out_sum
from gpu_worker.training.curriculum.phrasing import ask
from gpu_worker.training.curriculum.turns import Exchange, Persona

SUM_WORDINGS = (
    "What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a}+{b}", "{a} + {b} = ?", "{a}+{b}=?",
    "{a} plus {b}", "What is {a}+{b}?", "Calculate {a} + {b}.", "Compute {a} + {b}", "Add {a} and {b}.",
    "Can you add {a} and {b}?", "What is the sum of {a} and {b}?", "How much is {a} + {b}?", "Sum of {a} and {b}?",
    "How much is {a} plus {b}?", "Please add {a} and {b}.",
    "Tell me {a} + {b}.", "What do you get if you add {a} and {b}?", "{a} and {b} together make how much?",
    "Solve {a} + {b}", "Do you know what {a} + {b} is?", "What does {a} + {b} equal?",
    "I have {a} apples and get {b} more. How many apples do I have?",
    "There are {a} boys and {b} girls in a school. How many children is that?",
    "Anna has {a} coins and Ben has {b} coins. How many do they have together?",
    "I read {a} pages today and {b} pages yesterday. How many pages in total?",
)  # fmt: skip
DIFFERENCE_WORDINGS = (
    "What is {a} - {b}?", "What is {a} minus {b}?", "{a} - {b}", "{a}-{b}", "{a} - {b} = ?", "{a} minus {b}",
    "Calculate {a} - {b}.", "Compute {a} - {b}", "How much is {a} - {b}?", "How much is {a} minus {b}?",
    "Take {b} away from {a}.", "Subtract {b} from {a}.", "What is {a}-{b}?", "Solve {a} - {b}",
    "What is the difference between {a} and {b}?", "What does {a} - {b} equal?", "What is left if I take {b} from {a}?",
    "I have {a} apples and give away {b}. How many are left?",
    "A book has {a} pages and I have read {b}. How many pages are left?",
)  # fmt: skip
PRODUCT_WORDINGS = (
    "What is {a} times {b}?", "What is {a} * {b}?", "{a} * {b}", "{a}*{b}", "{a} x {b}", "{a} times {b}",
    "Multiply {a} by {b}.", "What is the product of {a} and {b}?", "Calculate {a} × {b}.", "How much is {a} times {b}?",
    "{a} x {b} = ?", "Compute {a} * {b}", "I buy {a} boxes with {b} eggs each. How many eggs is that?",
)  # fmt: skip
QUOTIENT_WORDINGS = (
    "What is {a} / {b}?", "What is {a} divided by {b}?", "{a} / {b}", "Divide {a} by {b}.", "{a} divided by {b}",
    "How much is {a} / {b}?", "{a}/{b}", "I share {a} sweets among {b} children. How many does each child get?",
)  # fmt: skip


def add_with_working(a: int, b: int) -> str:
    """'7 + 5 = 12, write 2 and carry 1. 1 + 2 + 1 = 4. So 17 + 25 = **42**.'"""
    if a < 10 and b < 10:
        return f"{a} + {b} = **{a + b}**."
    steps, carry = [], 0
    n_columns = max(len(str(a)), len(str(b)))
    for column in range(n_columns):
        x, y = a // 10**column % 10, b // 10**column % 10
        total = x + y + carry
        step = f"{x} + {y}{' + 1' if carry else ''} = {total}"
        carry = total // 10
        if carry and column < n_columns - 1:
            step += f", write {total % 10} and carry 1"
        steps.append(step + ".")
    return " ".join(steps) + f" So {a} + {b} = **{a + b}**."


def subtract_with_working(a: int, b: int) -> str:
    """'3 is less than 8, so borrow: 13 - 8 = 5. 4 - 2 = 2. So 53 - 28 = **25**.' Negative results too."""
    if a < b:
        return f"{b} is larger than {a}, so the result is negative. {_columns_down(b, a)} So {a} - {b} = **{a - b}**."
    if a < 10 and b < 10:
        return f"{a} - {b} = **{a - b}**."
    return f"{_columns_down(a, b)} So {a} - {b} = **{a - b}**."


def _columns_down(a: int, b: int) -> str:
    steps, borrow = [], 0
    for column in range(len(str(a))):
        x, y = a // 10**column % 10 - borrow, b // 10**column % 10
        borrow = int(x < y)
        steps.append(
            f"{x} is less than {y}, so borrow: {x + 10} - {y} = {x + 10 - y}." if borrow else f"{x} - {y} = {x - y}."
        )
    return " ".join(steps)


def multiply_with_working(a: int, b: int) -> str:
    """Tables up to 12 are known by heart; a larger factor is split into tens and ones."""
    if a <= 12 and b <= 12:
        return f"{a} × {b} = **{a * b}**."
    tens, ones = a // 10 * 10, a % 10
    if ones == 0:
        return f"{tens // 10} × {b} = {tens // 10 * b}, and one zero more. So {a} × {b} = **{a * b}**."
    return f"{tens} × {b} = {tens * b} and {ones} × {b} = {ones * b}. Together {a} × {b} = **{a * b}**."


def sum_answer(a: int, b: int, persona: Persona) -> str:
    return add_with_working(a, b) if persona.shows_working else f"{a} + {b} = **{a + b}**."


def difference_answer(a: int, b: int, persona: Persona) -> str:
    return subtract_with_working(a, b) if persona.shows_working else f"{a} - {b} = **{a - b}**."


def _number(rng: Random) -> int:
    draw = rng.random()
    if draw < 0.12:
        return rng.randrange(0, 10)
    return rng.randrange(10, 100) if draw < 0.96 else rng.randrange(100, 1000)


def training_sum(rng: Random) -> tuple[int, int]:
    while True:
        a, b = _number(rng), _number(rng)
        if not is_held_out_sum(a, b):
            return a, b


def training_difference(rng: Random) -> tuple[int, int]:
    while True:
        a, b = _number(rng), _number(rng)
        if a < b and rng.random() < 0.85:
            a, b = b, a
        if not is_held_out_difference(a, b):
            return a, b


def sums(rng: Random, persona: Persona) -> list[Exchange]:
    """A sum, now and then followed by one that builds on its result."""
    a, b = training_sum(rng)
    first = Exchange(ask(rng, SUM_WORDINGS, typos=rng.random() < 0.5, a=a, b=b), sum_answer(a, b, persona))
    draw = rng.random()
    if draw < 0.7:
        return [first]
    if draw < 0.76:
        user = ask(rng, ("Are you sure?", "Really?", "is that right?", "Sure?", "Is that correct?", "are you certain?"))
        return [first, Exchange(user, f"Yes: {a} + {b} = **{a + b}**.")]
    return [first, *_builds_on(rng, persona, a + b)]


def _builds_on(rng: Random, persona: Persona, result: int) -> list[Exchange]:
    wordings: tuple[str, ...]
    other = rng.choice((1, 2, 5, 10, rng.randrange(3, 60)))
    if rng.random() < 0.35 and not is_held_out_sum(result, result):
        user = ask(
            rng, ("Double it.", "Now double it", "And doubled?", "Double that", "Times two?", "double it please")
        )
        return [Exchange(user, sum_answer(result, result, persona))]
    if rng.random() < 0.6 and not is_held_out_sum(result, other):
        wordings = (
            "Add {b}.",
            "And plus {b}?",
            "Now add {b}",
            "plus {b}?",
            "Add {b} to that.",
            "and {b} more?",
            "+ {b}",
            "+{b}",
        )
        return [Exchange(ask(rng, wordings, typos=False, b=other), sum_answer(result, other, persona))]
    if is_held_out_difference(result, other):
        return []
    wordings = (
        "Minus {b}?",
        "Take away {b}.",
        "Now subtract {b}",
        "and minus {b}?",
        "Subtract {b} from that.",
        "- {b}",
        "-{b}",
    )
    return [Exchange(ask(rng, wordings, typos=False, b=other), difference_answer(result, other, persona))]


def chains(rng: Random, persona: Persona) -> list[Exchange]:
    """Two steps in one question: the first result is used in the second."""
    wordings: tuple[str, ...]
    a, b = training_sum(rng)
    c = rng.randrange(1, 60)
    if rng.random() < 0.6:
        wordings = (
            "{a} + {b} + {c}",
            "What is {a} + {b} + {c}?",
            "Add {a}, {b} and {c}.",
            "{a} plus {b} plus {c}",
            "{a}+{b}+{c}=?",
            "Sum of {a}, {b} and {c}?",
        )
        held_out, second = is_held_out_sum(a + b, c) or is_held_out_sum(b, c), sum_answer(a + b, c, persona)
    else:
        wordings = (
            "{a} + {b} - {c}",
            "What is {a} + {b} - {c}?",
            "Add {a} and {b}, then subtract {c}.",
            "{a} plus {b} minus {c}",
            "{a}+{b}-{c}=?",
        )
        held_out, second = is_held_out_difference(a + b, c), difference_answer(a + b, c, persona)
    if held_out:
        return sums(rng, persona)
    return [
        Exchange(
            ask(rng, wordings, typos=False, a=a, b=b, c=c), f"First: {sum_answer(a, b, persona)}\n\nThen: {second}"
        )
    ]


def comparisons(rng: Random, persona: Persona) -> list[Exchange]:
    """Which number is larger; even or odd."""
    a, b = rng.sample(range(1, 200), 2)
    if rng.random() < 0.5:
        is_larger = rng.random() < 0.6
        word = "larger" if is_larger else "smaller"
        wordings = (
            f"Which is {word}, {{a}} or {{b}}?",
            f"What is {word}: {{a}} or {{b}}?",
            f"{{a}} or {{b}}, which is {word}?",
        )
        wanted, other = (max(a, b), min(a, b)) if is_larger else (min(a, b), max(a, b))
        return [Exchange(ask(rng, wordings, typos=False, a=a, b=b), f"**{wanted}** is {word} than {other}.")]
    parity = "even" if a % 2 == 0 else "odd"
    asked = rng.choice(("even", "odd"))
    start = "Yes" if asked == parity else "No"
    answer = f"{start}, {a} is **{parity}**: it ends with {a % 10}."
    return [
        Exchange(
            ask(rng, (f"Is {{a}} {asked}?", f"Is {{a}} an {asked} number?", f"{{a}} {asked}?"), typos=False, a=a),
            answer,
        )
    ]


def differences(rng: Random, persona: Persona) -> list[Exchange]:
    a, b = training_difference(rng)
    user = ask(rng, DIFFERENCE_WORDINGS, typos=rng.random() < 0.5, a=a, b=b)
    return [Exchange(user, difference_answer(a, b, persona))]


def products(rng: Random, persona: Persona) -> list[Exchange]:
    a, b = rng.randrange(1, 13), rng.randrange(1, 13)
    if rng.random() < 0.3:
        a, b = rng.randrange(11, 100), rng.randrange(2, 10)
    if rng.random() < 0.2:
        a = max(2, a % 13)
        return [
            Exchange(
                ask(rng, QUOTIENT_WORDINGS, a=a * b, b=a), f"{a * b} / {a} = **{b}**, because {a} × {b} = {a * b}."
            )
        ]
    answer = multiply_with_working(a, b) if persona.shows_working else f"{a} × {b} = **{a * b}**."
    return [Exchange(ask(rng, PRODUCT_WORDINGS, a=a, b=b), answer)]


def counting(rng: Random, persona: Persona) -> list[Exchange]:
    """Counting up, down and in steps: the long answers are good for watching a stream."""
    wordings: tuple[str, ...]
    draw = rng.random()
    if draw < 0.5:
        start, end = 1, rng.choice((5, 10, 10, 20, 20, 25, 30, 40, 50, 50, 60, 75, 100, 100, rng.randrange(3, 101)))
        wordings = ("Count to {end}.", "Count from {start} to {end}.", "count up to {end}", "Can you count to {end}?",
                    "Please count from 1 to {end}", "List the numbers from 1 to {end}.")  # fmt: skip
        numbers = list(range(start, end + 1))
    elif draw < 0.75:
        start = rng.randrange(1, 80)
        end = start + rng.randrange(3, 40)
        wordings = ("Count from {start} to {end}.", "Numbers from {start} to {end}", "Write the numbers {start} to {end}.",
                    "count {start} to {end}")  # fmt: skip
        numbers = list(range(start, end + 1))
    elif draw < 0.9:
        start, end = rng.choice((5, 10, 10, 20, rng.randrange(3, 31))), 1
        wordings = ("Count down from {start}.", "Count backwards from {start}", "countdown from {start}",
                    "Count from {start} down to {end}.")  # fmt: skip
        numbers = list(range(start, 0, -1))
    else:
        step = rng.choice((2, 5, 10))
        start, end = step, step * rng.randrange(5, 11)
        wordings = (
            f"Count in {step}s to {{end}}.",
            f"Count by {step} up to {{end}}",
            f"Count to {{end}} in steps of {step}.",
        )
        numbers = list(range(step, end + 1, step))
    return [Exchange(ask(rng, wordings, start=start, end=end), ", ".join(map(str, numbers)) + ".")]
