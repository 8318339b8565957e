"""What an answer must look like, as a request says it. Plain Python: `grammar_compiler` makes grammars of it."""

from dataclasses import dataclass
from enum import StrEnum


class ConstraintKind(StrEnum):
    """In which language a constraint is written."""

    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    EBNF = "ebnf"
    STRUCTURAL_TAG = "structural_tag"


@dataclass(frozen=True, slots=True)
class Constraint:
    """Text that can be compiled; also the key under which the grammar is kept."""

    kind: ConstraintKind
    text: str
    param: str
    """The field of the request that asks for it, for error messages."""
    allows_more: bool = False
    """Objects may have properties that the schema does not name."""
    shows_markers: bool = False
    """The special tokens that mark tool calls are shown in this answer, so it may be made of them."""
