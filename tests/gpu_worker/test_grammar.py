"""Answers that must follow a grammar: compiled in bounded time, and followed to the letter by random models."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import xgrammar
from transformers import AutoTokenizer

from gpu_worker.engine.constraint import Constraint, ConstraintKind
from gpu_worker.engine.grammar import Grammar
from gpu_worker.engine.grammar_compiler import GrammarCompiler
from gpu_worker.engine.request import SamplingParams
from gpu_worker.engine.sampling import BROKEN, RowSampler, sample
from gpu_worker.engine.schemas import check_enforceable
from gpu_worker.errors import WorkerError
from gpu_worker.protocol import WorkerErrorCode
from tests.gpu_worker.json_schema import is_valid

VOCABULARY = 544
"""Rows of logits: more than the tokenizer's 512 tokens, as padded models have."""
END = 2
ENDS = frozenset({END})
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny)


@pytest.fixture(scope="module")
def compiler(tokenizer: Any) -> Iterator[GrammarCompiler]:
    compiler = GrammarCompiler(tokenizer, VOCABULARY, {END}, hidden_ids=set(tokenizer.all_special_ids))
    yield compiler
    compiler.close()


def json_schema(schema: Any, *, allows_more: bool = False) -> Constraint:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return Constraint(ConstraintKind.JSON_SCHEMA, text, "response_format", allows_more)


def regex(text: str) -> Constraint:
    return Constraint(ConstraintKind.REGEX, text, "guided_regex")


def ebnf(text: str) -> Constraint:
    return Constraint(ConstraintKind.EBNF, text, "guided_grammar")


def compiled(compiler: GrammarCompiler, *constraints: Constraint) -> list[Grammar]:
    async def compile_all() -> list[Grammar]:
        return await asyncio.gather(*map(compiler.compile, constraints))

    return asyncio.run(compile_all())


def refusal(compiler: GrammarCompiler, constraint: Constraint) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        compiled(compiler, constraint)
    return caught.value


def fits(grammar: Grammar, text: str) -> bool:
    matcher = xgrammar.GrammarMatcher(grammar.compiled)
    return bool(matcher.accept_string(text)) and bool(matcher.is_completed())


class Answers:
    """Draws answers token by token from random logits, several rows in one batch."""

    def __init__(self, tokenizer: Any, grammars: list[Grammar | None], **params: Any) -> None:
        self._tokenizer = tokenizer
        # Closing a text or an object is likelier than the rest: else random answers would hardly ever end.
        closing = tuple((tokenizer.convert_tokens_to_ids(text), 6.0) for text in ('"', "}", "]", ","))
        defaults = {"max_tokens": 400, "temperature": 1.0, "logit_bias": closing}
        self.rows = [
            RowSampler(SamplingParams(**{**defaults, "seed": seed, "grammar": grammar, **params}), [5, 6], ENDS)
            for seed, grammar in enumerate(grammars)
        ]
        self.tokens: list[list[int]] = [[] for _ in grammars]

    def draw(self, n_tokens: int, seed: int = 0) -> "Answers":
        """Up to `n_tokens` for every row; rows that have ended leave the batch."""
        noise = torch.Generator().manual_seed(seed)
        alive = list(range(len(self.rows)))
        for _ in range(n_tokens):
            if not alive:
                break
            logits = torch.randn(len(alive), VOCABULARY, generator=noise)
            drawn = sample(logits, [self.rows[i] for i in alive]).tokens
            for i, token in zip(alive, drawn, strict=True):
                self.tokens[i].append(token)
            alive = [i for i, token in zip(alive, drawn, strict=True) if token not in (END, BROKEN)]
        return self

    def text(self, row: int = 0) -> str:
        return str(self._tokenizer.decode(self.tokens[row], skip_special_tokens=True))

    def has_ended(self, row: int = 0) -> bool:
        return self.tokens[row][-1] == END


ADDRESS = {
    "type": "object",
    "properties": {"street": {"type": "string", "maxLength": 8}, "number": {"type": "integer", "minimum": 1}},
    "required": ["street", "number"],
    "additionalProperties": False,
}

SCHEMAS: list[Any] = [
    {"type": "object"},
    {"type": "string"},
    {"type": ["boolean", "null", "number"]},
    {"type": "integer", "minimum": -20, "exclusiveMaximum": 300},
    {"type": "number", "minimum": 0.5, "maximum": 1.5},
    {"enum": ["red", 'gr"een', 3, None, True, {"a": [1]}]},
    {"const": "always"},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    {"type": "string", "minLength": 3, "maxLength": 5},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": False, "minItems": 2},
    ADDRESS,
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "minProperties": 1},
    {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 3},
    {"anyOf": [{"type": "integer"}, ADDRESS]},
    {"type": "object", "properties": {"who": ADDRESS, "tags": {"type": "array", "items": {"enum": ["x", "y"]}}}},
    {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["v", "next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
    {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": kind}, kind: {"type": "integer"}}, "required": ["kind"]}
            for kind in ("cat", "dog")
        ]
    },
]  # fmt: skip


def test_every_answer_to_a_schema_parses_and_is_valid(tokenizer: Any, compiler: GrammarCompiler) -> None:
    for schema in SCHEMAS:
        check_enforceable(schema)
    grammars = compiled(compiler, *map(json_schema, SCHEMAS))
    n_ended = 0
    for seed in range(3):
        answers = Answers(tokenizer, list(grammars)).draw(300, seed)
        for row, schema in enumerate(SCHEMAS):
            if answers.has_ended(row):
                n_ended += 1
                assert is_valid(json.loads(answers.text(row)), schema), (schema, answers.text(row))
            else:
                assert BROKEN not in answers.tokens[row], (schema, answers.text(row))
    assert n_ended > 0.7 * 3 * len(SCHEMAS), "too few answers have ended to say anything"


def test_objects_hold_unnamed_properties_only_if_that_is_allowed(compiler: GrammarCompiler) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "null"}}}
    strict, loose = compiled(compiler, json_schema(schema), json_schema(schema, allows_more=True))
    assert not fits(strict, '{"a": null, "b": 1}')
    assert fits(loose, '{"a": null, "b": 1}')


def test_a_regex_and_an_ebnf_grammar_are_followed(tokenizer: Any, compiler: GrammarCompiler) -> None:
    grammars = compiled(
        compiler, regex("[a-c]{2,4}-(yes|no)"), ebnf('root ::= item ("+" item)*\nitem ::= [0-9] | "(" root ")"')
    )
    for seed in range(8):
        answers = Answers(tokenizer, list(grammars)).draw(300, seed)
        assert answers.has_ended(0)
        assert re.fullmatch("[a-c]{2,4}-(yes|no)", answers.text(0))
        if answers.has_ended(1):
            assert re.fullmatch(r"[0-9+()]+", answers.text(1))
            assert answers.text(1).count("(") == answers.text(1).count(")")


def test_a_row_draws_the_same_whoever_else_is_in_the_batch(tokenizer: Any, compiler: GrammarCompiler) -> None:
    """Also with penalties, and next to rows without a grammar, which draw as if there were none."""
    [grammar] = compiled(compiler, json_schema(ADDRESS))
    flat = torch.zeros(1, VOCABULARY)

    def drawn(grammars: list[Grammar | None], row: int) -> list[int]:
        rows = Answers(tokenizer, grammars, presence_penalty=0.5, repetition_penalty=1.2).rows
        return [sample(flat.repeat(len(rows), 1), rows).tokens[row] for _ in range(20)]

    assert drawn([None, grammar, None], 1) == drawn([None, grammar, grammar], 1)
    assert drawn([None, grammar, None], 0) == drawn([None, None, None], 0)
    assert drawn([None, grammar, None], 1) != drawn([None, None, None], 1)


def test_the_end_is_allowed_only_when_the_grammar_is_complete(compiler: GrammarCompiler) -> None:
    [grammar] = compiled(compiler, regex("ab?"))
    row = RowSampler(SamplingParams(max_tokens=9, temperature=0, grammar=grammar), [5], ENDS)
    logits = torch.zeros(1, VOCABULARY)
    logits[0, END] = 50
    first = sample(logits.clone(), [row]).tokens[0]
    assert first != END
    assert sample(logits.clone(), [row]).tokens[0] == END


def test_special_and_padded_tokens_are_never_part_of_an_answer(tokenizer: Any, compiler: GrammarCompiler) -> None:
    [grammar] = compiled(compiler, regex(r"[\s\S]{3}"))
    logits = torch.full((1, VOCABULARY), -30.0)
    forbidden = [*tokenizer.all_special_ids, *range(512, VOCABULARY)]
    logits[0, forbidden] = 30
    row = RowSampler(SamplingParams(max_tokens=9, temperature=0, grammar=grammar), [5], ENDS)
    assert sample(logits, [row]).tokens[0] not in forbidden


def test_a_dead_end_breaks_its_own_row_and_no_other(tokenizer: Any, compiler: GrammarCompiler) -> None:
    [dead] = compiled(compiler, ebnf('root ::= "a" never\nnever ::= "b" never2\nnever2 ::= never2'))
    answers = Answers(tokenizer, [None, dead, None]).draw(12)
    assert answers.tokens[1][-1] == BROKEN
    state = answers.rows[1].grammar
    assert state is not None
    assert state.failure is not None
    assert (state.failure.http_status, state.failure.param) == (400, "guided_grammar")
    assert all(len(answers.tokens[row]) == 12 and BROKEN not in answers.tokens[row] for row in (0, 2))


REFUSED = [
    (regex("(a"), "parenthesis"),
    (regex("(?=a)b"), "Lookahead"),
    (regex("a{99999999999999999999}"), "too large"),
    (regex("(" * 20_000 + "a" + ")" * 20_000), "Nest"),
    (json_schema({"type": "wizard"}), "wizard"),
    (json_schema('{"type": '), "JSON"),
    (json_schema("false"), "cannot accept any value"),
    (json_schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), "no text can satisfy"),
    (ebnf("root ::= root"), "no text can satisfy"),
    (ebnf("root ::= foo"), "foo"),
    (ebnf('start ::= "a"'), "root"),
    (ebnf("\x00"), "guided_grammar"),
]


@pytest.mark.parametrize(("constraint", "word"), REFUSED, ids=lambda value: str(value)[-40:])
def test_what_cannot_be_compiled_is_refused_by_name(
    compiler: GrammarCompiler, constraint: Constraint, word: str
) -> None:
    error = refusal(compiler, constraint)
    assert (error.code, error.param) == (WorkerErrorCode.INVALID_REQUEST, constraint.param)
    assert word in error.message
    assert ".cc" not in error.message
    assert "/project" not in error.message


def test_a_hostile_schema_costs_its_own_request_only(compiler: GrammarCompiler) -> None:
    """Any 150 of 300 properties take xgrammar minutes; meanwhile a usual schema is compiled."""
    properties = {f"p{i}": {"type": "string"} for i in range(300)}
    hostile = json_schema({"type": "object", "properties": properties, "minProperties": 150})
    harmless = json_schema({"type": "integer", "maximum": 3})

    async def both() -> tuple[Grammar, bool, WorkerError]:
        slow = asyncio.create_task(compiler.compile(hostile))
        await asyncio.sleep(0)
        grammar = await compiler.compile(harmless)
        was_running = not slow.done()
        with pytest.raises(WorkerError) as caught:
            await slow
        return grammar, was_running, caught.value

    grammar, was_running, error = asyncio.run(both())
    assert fits(grammar, "-5")
    assert was_running
    assert "takes more than" in error.message
    assert error.param == "response_format"


def test_a_grammar_is_compiled_once_however_many_ask_at_a_time(compiler: GrammarCompiler) -> None:
    first, second = compiled(compiler, regex("once"), regex("once"))
    assert first is second
    [third] = compiled(compiler, regex("once"))
    assert third is first


def test_the_least_recently_used_grammar_makes_room(tokenizer: Any) -> None:
    compiler = GrammarCompiler(tokenizer, VOCABULARY, {END}, hidden_ids=(), kept_bytes=1)
    try:
        [first] = compiled(compiler, regex("a"))
        assert compiled(compiler, regex("a"))[0] is first
        compiled(compiler, regex("b"))
        assert compiler.n_kept_bytes == len("b") + compiled(compiler, regex("b"))[0].n_bytes
        assert compiled(compiler, regex("a"))[0] is not first
    finally:
        compiler.close()


def test_a_model_without_an_end_token_is_told_so(tokenizer: Any) -> None:
    compiler = GrammarCompiler(tokenizer, VOCABULARY, (), hidden_ids=())
    assert "no end token" in refusal(compiler, regex("a")).message
    compiler.close()


def test_masks_that_take_too_long_end_their_own_answer(
    monkeypatch: pytest.MonkeyPatch, tokenizer: Any, compiler: GrammarCompiler
) -> None:
    [grammar] = compiled(compiler, regex("[ab]{100}"))
    answers = Answers(tokenizer, [grammar, None])
    answers.draw(2)
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    answers.draw(3)
    assert answers.tokens[0][2] == BROKEN
    state = answers.rows[0].grammar
    assert state is not None
    assert state.failure is not None
    assert "takes too long" in state.failure.message
    assert BROKEN not in answers.tokens[1]


@pytest.mark.parametrize("field", [{"ignore_eos": True}, {"min_tokens": 1}])
def test_an_answer_in_a_format_cannot_be_made_to_go_on(compiler: GrammarCompiler, field: dict[str, Any]) -> None:
    [grammar] = compiled(compiler, regex("a"))
    with pytest.raises(WorkerError) as caught:
        SamplingParams(max_tokens=9, grammar=grammar, **field)
    assert caught.value.param == next(iter(field))
