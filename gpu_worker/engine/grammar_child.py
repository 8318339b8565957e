"""Compiles one constraint in a process of its own, which the kernel ends when it takes too much.

xgrammar's compiler runs in C++, cannot be interrupted, and needs minutes and gigabytes for some small schemas. A
thread would go on computing after its deadline; a process can be ended. What it makes is sent back as text.
"""

import os
import resource
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_worker.engine.constraint import Constraint, ConstraintKind

if TYPE_CHECKING:
    import xgrammar

COMPILE_CPU_S = 4
COMPILE_BYTES = 1024**3
"""Address space beyond what the process has when it begins."""
MAX_COMPILED_CHARACTERS = 48 * 1024**2

MAX_WHITESPACE = 64
"""Characters in a row between the parts of a JSON text. Without a bound, small models write line breaks for ever."""

TRIED_TOKENS = 16
"""The first masks are computed here too: what is too slow must not be found out on the engine's thread."""


def compile_in_child(connection: Connection, tokenizer: str, constraint: Constraint) -> None:
    """Send `""` when work begins, then `+` and the grammar, or `-` and a sentence."""
    _silence()
    import xgrammar

    connection.send("")
    _limit()
    try:
        info = xgrammar.TokenizerInfo.deserialize_json(tokenizer)
        compiled = _compiled(xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False), constraint)
        if not _leads_anywhere(compiled, info.vocab_size):
            connection.send("-no text can satisfy it")
            return
        text = compiled.serialize_json()
    except MemoryError:
        connection.send("-it takes too much memory to compile")
    except Exception as exc:  # whatever xgrammar says against it is for the one who wrote it
        connection.send(f"-{_sentence(exc)}")
    else:
        fits = len(text) <= MAX_COMPILED_CHARACTERS
        connection.send(f"+{text}" if fits else "-it becomes too large when it is compiled")


def _compiled(compiler: "xgrammar.GrammarCompiler", constraint: Constraint) -> "xgrammar.CompiledGrammar":
    match constraint.kind:
        case ConstraintKind.JSON_SCHEMA:
            return compiler.compile_json_schema(
                constraint.text, strict_mode=not constraint.allows_more, max_whitespace_cnt=MAX_WHITESPACE
            )
        case ConstraintKind.REGEX:
            return compiler.compile_regex(constraint.text)
        case ConstraintKind.EBNF:
            return compiler.compile_grammar(constraint.text)
        case ConstraintKind.STRUCTURAL_TAG:
            return compiler.compile_structural_tag(constraint.text)


def _leads_anywhere(compiled: "xgrammar.CompiledGrammar", n_vocabulary: int) -> bool:
    """Whether a first token is allowed. Walks some tokens further, to end here if masks take too long."""
    import xgrammar

    matcher = xgrammar.GrammarMatcher(compiled)
    bitmask = xgrammar.allocate_token_bitmask(1, n_vocabulary)
    for n_walked in range(TRIED_TOKENS):
        matcher.fill_next_token_bitmask(bitmask)
        allowed = _first_allowed(bitmask[0].tolist(), offset=7919 * n_walked)
        if allowed is None:
            return n_walked > 0
        matcher.accept_token(allowed)
        if matcher.is_terminated():
            break
    return True


def _first_allowed(words: list[int], offset: int) -> int | None:
    """The first allowed token in the words of 32 tokens from `offset` on, around the end."""
    for index in range(len(words)):
        place = (index + offset) % len(words)
        word = words[place] & 0xFFFFFFFF
        if word:
            return place * 32 + (word & -word).bit_length() - 1
    return None


def _silence() -> None:
    """xgrammar prints warnings; they would mix into the worker's log, as long as a hostile schema wants."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _limit() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed_s = int(used.ru_utime + used.ru_stime) + COMPILE_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (allowed_s, allowed_s))
    try:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except FileNotFoundError:  # not Linux: the time alone bounds it
        return
    resource.setrlimit(resource.RLIMIT_AS, (held + COMPILE_BYTES, held + COMPILE_BYTES))


def _sentence(exc: Exception) -> str:
    """xgrammar's words without the time, the file and the line of its source."""
    text = " ".join(str(exc).split())
    _, found, words = text.partition(".cc:")
    return (words.partition(": ")[2] if found else text)[:300] or type(exc).__name__
