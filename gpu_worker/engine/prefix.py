"""Keys and values that were computed before, by the tokens that they stand for: no prefix is computed twice.

Plain Python: what a block holds is the runner's business. Nothing here is shared with running requests: blocks are
copies, taken when a prompt is complete and when a request ends, and copied into the row of a request that begins alike.

What happens at the bounds: the store takes what running requests leave of the cache's budget; the block that was used
longest ago goes first, and never before the blocks that continue it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

BLOCK_TOKENS = 64
"""A prefix is stored and found in multiples of this: shorter blocks match more, longer ones copy faster."""

Key = bytes


class PrefixStore:
    """Blocks of `BLOCK_TOKENS` tokens, each named by all tokens up to its end."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Key, Any] = OrderedDict()
        """The block that was used longest ago comes first."""

    @property
    def n_tokens(self) -> int:
        return len(self._blocks) * BLOCK_TOKENS

    def match(self, tokens: Sequence[int], salt: str = "") -> list[Any]:
        """The stored blocks with which `tokens` begin. At least one token is left over: its logits are not stored."""
        found: list[Key] = []
        for key in block_keys(tokens, salt, (len(tokens) - 1) // BLOCK_TOKENS):
            if key not in self._blocks:
                break
            found.append(key)
        # The last first, so that a block is always used later than those that continue it, and is dropped after them.
        for key in reversed(found):
            self._blocks.move_to_end(key)
        return [self._blocks[key] for key in found]

    def put(self, tokens: Sequence[int], salt: str, export: Callable[[int], Any]) -> None:
        """Store the whole blocks of `tokens`. `export(start)` gives the block that begins there, if it is new."""
        keys = list(block_keys(tokens, salt, len(tokens) // BLOCK_TOKENS))
        for index in reversed(range(len(keys))):
            if keys[index] in self._blocks:
                self._blocks.move_to_end(keys[index])
            else:
                self._blocks[keys[index]] = export(index * BLOCK_TOKENS)

    def shrink_to(self, n_tokens: int) -> None:
        """Drop blocks until at most so many tokens are stored."""
        while self._blocks and self.n_tokens > n_tokens:
            self._blocks.popitem(last=False)

    def clear(self) -> None:
        self._blocks.clear()


def block_keys(tokens: Sequence[int], salt: str, n_blocks: int) -> Iterator[Key]:
    """Names of the first blocks. Each name covers everything before it, and `salt` tells models apart."""
    key = salt.encode()
    for i in range(n_blocks):
        block = tokens[i * BLOCK_TOKENS : (i + 1) * BLOCK_TOKENS]
        key = blake2b(key + b"|" + ",".join(map(str, block)).encode(), digest_size=16).digest()
        yield key
