"""What the training data must never contain, so that accuracy can be measured on questions nobody trained on.

Decides by arithmetic on the numbers themselves, not by a random draw: the split is the same on every machine,
for every seed and for every model.
"""

from collections.abc import Iterator

TWO_DIGITS = range(10, 100)


def is_held_out_sum(a: int, b: int) -> bool:
    """True for about one in nine pairs of two-digit numbers, in either order."""
    return _is_in_ninth(a, b, 4)


def is_held_out_difference(a: int, b: int) -> bool:
    """True for about one in nine pairs of two-digit numbers, in either order."""
    return _is_in_ninth(a, b, 7)


def _is_in_ninth(a: int, b: int, ninth: int) -> bool:
    low, high = min(a, b), max(a, b)
    # Source: Knuth, The Art of Computer Programming 3, section 6.4, multiplicative hashing.
    scattered = (low * 100 + high) * 2_654_435_761 % 2**32 >> 12
    return low in TWO_DIGITS and high in TWO_DIGITS and scattered % 9 == ninth


def held_out_sums() -> Iterator[tuple[int, int]]:
    """Every held-out pair with the smaller number first."""
    return ((a, b) for a in TWO_DIGITS for b in range(a, 100) if is_held_out_sum(a, b))


def held_out_differences() -> Iterator[tuple[int, int]]:
    """Every held-out pair with the larger number first."""
    return ((a, b) for a in TWO_DIGITS for b in range(10, a) if is_held_out_difference(a, b))


# Whole wordings, in no form used in training. The words they are made of do occur there, in other questions.
CAPITAL_WORDINGS = (
    "Name the capital city of {country}.",
    "Can you tell me what the capital of {country} is?",
    "Which city serves as the capital of {country}?",
    "I forgot the capital of {country}. Which city is it?",
    "For a quiz: the capital of {country} is which city?",
    "Please give me {country}'s capital city.",
    "Do you happen to know the capital of {country}?",
    "{country} has which capital?",
)
