"""One image of a prompt as the model's vision part reads it. Plain data: no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """`inputs` is what the model's processor made of the image alone, tensors of a batch of one."""

    digest: str
    """Stands for the image in comparisons."""
    inputs: Mapping[str, Any]
    n_tokens: int
    """Places that it takes in the prompt."""

    @property
    def n_bytes(self) -> int:
        """Of memory that it takes until the model has looked at it."""
        return sum(value.nbytes for value in self.inputs.values())
