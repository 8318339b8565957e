"""How many tokens a prompt and its answer may have. Plain numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Context:
    """The limits of one model, as it is served."""

    reads: int
    """Tokens of a prompt."""
    together: int
    """Tokens of prompt and answer."""
    writes: int
    """Tokens of an answer."""

    @classmethod
    def shared(cls, n_tokens: int) -> "Context":
        """Of a model whose answers continue their prompts: one limit for both together."""
        return cls(reads=n_tokens, together=n_tokens, writes=n_tokens)

    @classmethod
    def apart(cls, n_tokens: int, held: int) -> "Context":
        """Of an encoder-decoder model: as much for the prompt as for the answer, and `held` in the cache for both."""
        return cls(reads=min(n_tokens, held - 1), together=min(2 * n_tokens, held), writes=n_tokens)

    @property
    def is_shared(self) -> bool:
        return self.reads == self.together

    def room(self, n_prompt: int) -> int:
        """Tokens that an answer to a prompt of so many may have; negative for a prompt that cannot be read."""
        if n_prompt > self.reads:
            return self.reads - n_prompt
        return min(self.writes, self.together - n_prompt)
