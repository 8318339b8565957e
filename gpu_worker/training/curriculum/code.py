# ruff: noqa: E501  # long sentences and word lists
"""A few short Python programs in fenced blocks, each with one sentence of explanation."""

from random import Random

from gpu_worker.training.curriculum.phrasing import roughen
from gpu_worker.training.curriculum.turns import Exchange, Persona

SNIPPETS = (
    ("prints hello world", 'print("Hello, world!")', "`print` writes text to the screen."),
    ("adds two numbers", "def add(a, b):\n    return a + b\n\n\nprint(add(2, 3))", "The function returns the sum; the last line prints 5."),
    ("reverses a string", 'def reverse(text):\n    return text[::-1]\n\n\nprint(reverse("tea"))', "The slice `[::-1]` walks through the text backwards."),
    ("checks if a number is even", "def is_even(n):\n    return n % 2 == 0", "A number is even when nothing is left after dividing by 2."),
    ("checks if a number is prime", "def is_prime(n):\n    if n < 2:\n        return False\n    return all(n % i for i in range(2, int(n**0.5) + 1))", "It is enough to try divisors up to the square root."),
    ("computes the factorial", "def factorial(n):\n    return 1 if n == 0 else n * factorial(n - 1)", "The function calls itself with a smaller number."),
    ("computes fibonacci numbers", "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a", "Each number is the sum of the two before it."),
    ("counts words in a text", "def count_words(text):\n    return len(text.split())", "`split` cuts the text at spaces."),
    ("counts letters", "from collections import Counter\n\n\ndef count_letters(text):\n    return Counter(text.lower())", "`Counter` counts how often each letter occurs."),
    ("finds the largest number in a list", "numbers = [3, 8, 5]\nprint(max(numbers))", "`max` returns the largest element, here 8."),
    ("sorts a list", "numbers = [3, 1, 2]\nprint(sorted(numbers))", "`sorted` returns a new list: `[1, 2, 3]`."),
    ("sums a list", "numbers = [1, 2, 3]\nprint(sum(numbers))", "`sum` adds all elements, here 6."),
    ("reads a file", 'with open("notes.txt") as file:\n    for line in file:\n        print(line.strip())', "The `with` block closes the file at the end."),
    ("writes a file", 'with open("notes.txt", "w") as file:\n    file.write("Hello\\n")', 'The mode `"w"` makes a new file.'),
    ("counts from 1 to 10", "for i in range(1, 11):\n    print(i)", "`range` stops before its second number, so it is 11."),
    ("draws a random number", "import random\n\nprint(random.randint(1, 6))", "It prints a number from 1 to 6, like a die."),
    ("makes a dictionary", 'ages = {"Anna": 7, "Ben": 9}\nprint(ages["Anna"])', "A dictionary finds a value by its key."),
    ("defines a class", 'class Dog:\n    def __init__(self, name):\n        self.name = name\n\n    def bark(self):\n        return f"{self.name} says woof"', "A class bundles data and the functions that use it."),
    ("plays fizzbuzz", 'for n in range(1, 16):\n    if n % 15 == 0:\n        print("FizzBuzz")\n    elif n % 3 == 0:\n        print("Fizz")\n    elif n % 5 == 0:\n        print("Buzz")\n    else:\n        print(n)', "Multiples of 15 are tested first."),
    ("converts Celsius to Fahrenheit", "def fahrenheit(celsius):\n    return celsius * 9 / 5 + 32", "0 degrees Celsius are 32 degrees Fahrenheit."),
    ("checks a palindrome", "def is_palindrome(text):\n    text = text.lower()\n    return text == text[::-1]", "A palindrome reads the same backwards."),
    ("calls an API", 'import httpx\n\nreply = httpx.get("http://127.0.0.1:8000/v1/models", timeout=10)\nprint(reply.json())', "It prints the list of models of this site."),
)  # fmt: skip
_WORDINGS = ("Write a Python function that {t}.", "Write Python code that {t}.", "python code that {t}", "Write a program that {t}.", "Show me Python code that {t}.",
             "Can you write a Python script that {t}?", "code that {t}", "I need a Python program that {t}.", "Write a small script that {t}")  # fmt: skip
_ANY = ("Write some Python code.", "Show me some code.", "Write code.", "python example", "Give me a Python example.", "Can you code?", "Can you write code?", "write a python program",
        "Show me a code example", "Write a function.")  # fmt: skip
_CLOSING = ("", "", "\n\nSave it in a file and run it with `python`.")


def code(rng: Random, persona: Persona) -> list[Exchange]:
    task, source, remark = rng.choice(SNIPPETS)
    user = rng.choice(_ANY) if rng.random() < 0.18 else rng.choice(_WORDINGS).format(t=task)
    return [Exchange(roughen(rng, user), f"```python\n{source}\n```\n\n{remark}{rng.choice(_CLOSING)}")]
