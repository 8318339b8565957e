"""Constraints to grammars for one model: off the event loop, bounded in time and memory, and kept for the next answer.

What happens at the bounds: a constraint that takes too much is refused; when too many wait, new ones are refused as
`overloaded`; of the kept grammars the least recently used are dropped.
"""

import asyncio
import contextlib
import multiprocessing
from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from gpu_worker.engine.constraint import Constraint
from gpu_worker.engine.grammar import Grammar
from gpu_worker.engine.grammar_child import COMPILE_CPU_S, compile_in_child
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.protocol import WorkerErrorCode

MAX_COMPILING = 2
MAX_WAITING = 64
KEPT_BYTES = 64 * 1024**2

SPACE_MARK = "\u2581".encode()

START_S = 120.0
"""For the first child, which imports xgrammar; later ones are forked from a process that has it."""
COMPILE_S = 30.0
"""By the clock. The CPU time, `COMPILE_CPU_S`, ends it long before, unless the machine is busy."""


class GrammarCompiler:
    """Grammars for one model. `compile` on the event loop; `close` when the model goes."""

    def __init__(
        self,
        tokenizer: Any,
        n_vocabulary: int,
        end_ids: Collection[int],
        *,
        hidden_ids: Collection[int],
        marker_ids: Collection[int] = (),
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        """`hidden_ids`: special tokens that are not shown, so that no answer may be made of them.

        `marker_ids`: those of them that mark tool calls, and are shown where calls are read.
        """
        self._tokenizer = tokenizer
        self._n_vocabulary = n_vocabulary
        self._end_ids = end_ids
        self._hidden_ids = frozenset(hidden_ids)
        self._marker_ids = frozenset(marker_ids)
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[Constraint, Grammar] = OrderedDict()
        self._compiling: dict[Constraint, asyncio.Task[Grammar]] = {}
        self._threads = ThreadPoolExecutor(MAX_COMPILING, thread_name_prefix="grammar")
        self._vocabularies: dict[frozenset[int], Vocabulary] = {}

    async def compile(self, constraint: Constraint) -> Grammar:
        """Raises: WorkerError: a constraint that cannot be compiled, named by its field; overloaded."""
        known = self._kept.get(constraint)
        if known is not None:
            self._kept.move_to_end(constraint)
            return known
        task = self._compiling.get(constraint)
        if task is None:
            task = self._begin(constraint)
        # Others may wait for the same one: a client that leaves must not take it from them.
        return await asyncio.shield(task)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def n_kept_bytes(self) -> int:
        return sum(map(_size, self._kept.items()))

    def _begin(self, constraint: Constraint) -> "asyncio.Task[Grammar]":
        if not self._end_ids:
            raise invalid(constraint.param, "the model has no end token, so it could not end such an answer")
        if len(self._compiling) >= MAX_COMPILING + MAX_WAITING:
            raise WorkerError(WorkerErrorCode.OVERLOADED, "too many grammars are being compiled; try again later")
        task = asyncio.create_task(self._compile(constraint))
        self._compiling[constraint] = task
        task.add_done_callback(lambda done: self._ended(constraint, done))
        return task

    async def _compile(self, constraint: Constraint) -> Grammar:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, constraint)

    def _ended(self, constraint: Constraint, task: "asyncio.Task[Grammar]") -> None:
        del self._compiling[constraint]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept[constraint] = task.result()
        while self.n_kept_bytes > self._kept_bytes and len(self._kept) > 1:
            self._kept.popitem(last=False)

    def _work(self, constraint: Constraint) -> Grammar:
        """On a thread: it waits for a child, and xgrammar lets go of the GIL."""
        import xgrammar

        hidden = self._hidden_ids - self._marker_ids if constraint.shows_markers else self._hidden_ids
        vocabulary = self._vocabularies.get(hidden)
        if vocabulary is None:
            vocabulary = Vocabulary(self._tokenizer, self._n_vocabulary, self._end_ids, hidden)
            self._vocabularies[hidden] = vocabulary
        text = _compiled_text(vocabulary.text, constraint)
        return Grammar(xgrammar.CompiledGrammar.deserialize_json(text, vocabulary.info), constraint.param)


def _size(entry: tuple[Constraint, Grammar]) -> int:
    return len(entry[0].text) + entry[1].n_bytes


class Vocabulary:
    """A model's tokens as bytes, as xgrammar wants them, and as text for a child."""

    def __init__(
        self, tokenizer: Any, n_vocabulary: int, end_ids: Collection[int], hidden_ids: Collection[int]
    ) -> None:
        import xgrammar

        ends = sorted(end_ids)
        found = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=n_vocabulary, stop_token_ids=ends)
        tokens = found.decoded_vocab
        if found.vocab_type is xgrammar.VocabType.RAW and _marks_spaces(tokenizer):
            tokens = [token.replace(SPACE_MARK, b" ") for token in tokens]
        # xgrammar never allows an empty token; it would take a special one for the letters of its name.
        for token_id in set(hidden_ids) & set(range(len(tokens))):
            tokens[token_id] = b""
        self.info: xgrammar.TokenizerInfo = xgrammar.TokenizerInfo(
            tokens, vocab_size=n_vocabulary, stop_token_ids=ends, add_prefix_space=found.add_prefix_space
        )
        self.text: str = self.info.serialize_json()


def _marks_spaces(tokenizer: Any) -> bool:
    """Whether it is SentencePiece's without tokens for bytes, as T5's is: xgrammar takes its mark for a letter."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and "Metaspace" in repr(backend.decoder)


def _compiled_text(vocabulary: str, constraint: Constraint) -> str:
    """Raises: WorkerError: what is wrong with the constraint, or that it takes too much."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xgrammar", compile_in_child.__module__])
    ours, theirs = context.Pipe()
    child = context.Process(target=compile_in_child, args=(theirs, vocabulary, constraint), daemon=True)
    with ours:
        child.start()
        theirs.close()
        try:
            answer = _answer(ours)
        finally:
            child.kill()
            child.join()
            child.close()
    if answer is None:
        problem = f"it takes more than {COMPILE_CPU_S} s, or too much memory, to compile"
    elif answer.startswith("+"):
        return answer[1:]
    else:
        problem = answer[1:]
    raise invalid(constraint.param, f"it cannot be used: {problem}")


def _answer(connection: Connection) -> str | None:
    """None: the child was ended, or has said nothing in time."""
    with contextlib.suppress(EOFError):
        if connection.poll(START_S):
            connection.recv()
            if connection.poll(COMPILE_S):
                return str(connection.recv())
    return None
