"""Counting tokens by the tokenizer of a model folder, in a child process: the site has no tokenizer of its own."""

from collections.abc import Sequence
from pathlib import Path

from apps.datasets.children import Child, child_of


class TokenCounter(Child):
    command = "count-tokens"

    def count(self, texts: Sequence[str]) -> list[int]:
        """Raises: RecipeWrong: the folder has no tokenizer that can be read."""
        counts: list[int] = self.ask(texts)
        return counts


def counter_of(model: str) -> TokenCounter:
    """This process's counter for a model folder. Raises: RecipeWrong: there is no tokenizer any more."""
    return child_of(TokenCounter, model, [Path(model) / "tokenizer.json"])
