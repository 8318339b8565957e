"""Counting tokens by the tokenizer of a model folder, in a child process: the site has no tokenizer of its own."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from apps.datasets.children import Child, child_of
from apps.datasets.errors import RecipeWrong


class TokenCounter(Child):
    command = "count-tokens"

    def count(self, texts: Sequence[str]) -> list[int]:
        """Raises: RecipeWrong: the folder has no tokenizer that can be read."""
        counts: list[int] = self.ask(texts)
        return counts


def counter_of(model: str) -> TokenCounter:
    """This process's counter for a model folder. Raises: RecipeWrong: there is no tokenizer any more."""
    return child_of(TokenCounter, model, [Path(model) / "tokenizer.json"])


def tokens_of_byte(model: str) -> int | None:
    """How many tokens a byte of text becomes at most; None: it is not known of this kind of tokenizer.

    Raises: RecipeWrong: there is no tokenizer any more.
    """
    try:
        stat = (path := Path(model) / "tokenizer.json").stat()
        return _tokens_of_byte(path, stat.st_mtime_ns, stat.st_size)
    except OSError as exc:
        raise RecipeWrong(reason=f"{exc.filename}: {exc.strerror}") from exc


@lru_cache(maxsize=8)
def _tokens_of_byte(path: Path, mtime_ns: int, size: int) -> int | None:
    """Where bytes are the smallest pieces each is a token at most, unless more bytes are made of them before."""
    try:
        tokenizer = json.loads(path.read_bytes())
        kind, cutting, normalizer = tokenizer["model"]["type"], tokenizer["pre_tokenizer"], tokenizer["normalizer"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None  # whoever counts with it says what is wrong
    steps = list(_steps(cutting))
    if kind != "BPE" or not any(one.get("type") == "ByteLevel" for one in steps):
        return None
    if any(one.get("add_prefix_space") is not False for one in steps if one.get("type") == "ByteLevel"):
        return None
    if normalizer is None:
        return 1
    # Source: Unicode, "Normalization Forms" (UAX 15), on how much longer a text becomes in UTF-8.
    return 3 if normalizer == {"type": "NFC"} else None


def _steps(cutting: Any) -> Iterator[dict[str, Any]]:
    if isinstance(cutting, dict):
        yield cutting
        for inner in cutting.get("pretokenizers") or ():
            yield from _steps(inner)
