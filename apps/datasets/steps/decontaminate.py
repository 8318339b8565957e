"""Conversations that hold what a benchmark asks are no training data for a model that is measured by it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from apps.core.json_stream import Broken
from apps.datasets.annotators import embedder_of, is_model, model_files
from apps.datasets.errors import FileUnreadable
from apps.datasets.formats.files import raw_records
from apps.datasets.records import Record, texts_in
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.wording import words_of

if TYPE_CHECKING:
    from apps.datasets.annotators import Vectors
    from apps.datasets.word_runs import Index, Run

LEAST_WORDS = 8
"""A shorter text of a benchmark would be found where nobody copied it. Source: as for `Decontaminate`."""
_TEXTS_AT_ONCE = 64


@step
@dataclass(frozen=True)
class Decontaminate(MapStep):
    """Drop conversations that share `n_words` words in a row with a text of one of `benchmarks` (name: file).

    A benchmark's file is JSON, JSON lines or one of them packed. `fields`: where in its records the questions stand;
    without it every text counts. Texts of fewer than `n_words` words are looked for whole, if they have at least 8.
    Case and punctuation make no difference.

    `embedder`: a model folder. Then a conversation is dropped too if a message is like a text of a benchmark, by
    vectors of that model: `similarity` is the cosine from which on. Texts and messages of at least 8 words are
    compared.

    Source: Brown et al. (2020), Language Models are Few-Shot Learners, appendix C: n-grams of 13 words, and of 8 to 13
    for benchmarks with shorter texts.
    """

    name = "decontaminate"
    benchmarks: dict[str, str] = field(default_factory=dict)
    n_words: int = 13
    fields: list[str] = field(default_factory=list)
    embedder: str = ""
    similarity: float = 0.9

    def __post_init__(self) -> None:
        if not self.benchmarks:
            raise OptionWrong("benchmarks: give the name and the file of at least one")
        if self.n_words < LEAST_WORDS:
            raise OptionWrong(f"n_words: at least {LEAST_WORDS}")
        if self.embedder and not is_model(self.embedder):
            raise OptionWrong(f"embedder: {self.embedder!r} is no model folder with a config.json")
        if not 0 < self.similarity <= 1:
            raise OptionWrong("similarity: above 0, and at most 1")
        self._index()

    def files(self) -> tuple[Path, ...]:
        return (*self._paths(), *(self._model_files if self.embedder else ()))

    @cached_property
    def _model_files(self) -> tuple[Path, ...]:
        return model_files(self.embedder)

    def _paths(self) -> tuple[Path, ...]:
        return tuple(Path(path) for _, path in sorted(self.benchmarks.items()))

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        index = self._index()
        compared: list[str] = []
        for message in record.all_messages():
            words = words_of(message.content)
            if found := index.found_in(words):
                return Dropped(f"in benchmark {found.benchmark}", f"record {found.record}: {found.text[:80]}")
            if len(words) >= LEAST_WORDS:
                compared.append(message.content)
        if self.embedder and compared:
            return self._alike(compared) or record
        return record

    def _alike(self, texts: list[str]) -> Dropped | None:
        """Raises: RecipeWrong: the model cannot be used."""
        embedder = embedder_of(self.embedder, self._model_files)
        benchmarks, fields, stats = self._said()
        known = *stats, *_changed(self._model_files)
        asked, vectors = _vectors_of(self.embedder, self._model_files, benchmarks, fields, known)
        nearest = 0.0, -1
        for found in embedder.vectors(texts):
            cosines = (found @ vectors.T).max(axis=0, initial=-1.0)
            place = int(cosines.argmax())
            # The last digits of a sum depend on the processor.
            nearest = max(nearest, (round(float(cosines[place]), 4), place), key=lambda one: one[0])
        cosine, place = nearest
        if place < 0 or cosine < self.similarity:
            return None
        run = asked[place]
        return Dropped(f"like benchmark {run.benchmark}", f"record {run.record}, cosine {cosine:.2f}: {run.text[:80]}")

    def _index(self) -> "Index":
        """Raises: OptionWrong: a file cannot be read, or holds no text that could be found."""
        benchmarks, fields, stats = self._said()
        return _index_of(benchmarks, self.n_words, fields, stats)

    def _said(self) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...], tuple[object, ...]]:
        """What is looked for, so that it is read again when it is something else."""
        try:
            stats = _changed(self._paths())
        except OSError as exc:
            raise OptionWrong(f"benchmarks: {exc.filename}: {exc.strerror}") from exc
        return tuple(sorted(self.benchmarks.items())), tuple(self.fields), stats


def _changed(paths: Iterable[Path]) -> tuple[object, ...]:
    """Raises: OSError."""
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in (path.stat() for path in paths))


@lru_cache(maxsize=2)
def _vectors_of(
    embedder: str,
    files: tuple[Path, ...],
    benchmarks: tuple[tuple[str, str], ...],
    fields: tuple[str, ...],
    stats: tuple[object, ...],
) -> "tuple[list[Run], Vectors]":
    """The texts of benchmarks that are compared, and a vector for each: of a long one one for each window.

    `files`: of the embedder. `stats`: of these and of the benchmarks', so that a changed one is read again.
    Raises: RecipeWrong, OptionWrong.
    """
    import numpy as np

    from apps.datasets.word_runs import Run

    asked = [
        Run(name, number, text)
        for name, path in benchmarks
        for number, text in _texts_of(Path(path), fields)
        if len(words_of(text)) >= LEAST_WORDS
    ]
    runs: list[Run] = []
    parts: list[Vectors] = []
    for begin in range(0, len(asked), _TEXTS_AT_ONCE):
        some = asked[begin : begin + _TEXTS_AT_ONCE]
        for run, found in zip(some, embedder_of(embedder, files).vectors([one.text for one in some]), strict=True):
            runs += [run] * len(found)
            parts.append(found)
    return runs, np.concatenate(parts)


@lru_cache(maxsize=4)
def _index_of(
    benchmarks: tuple[tuple[str, str], ...], n_words: int, fields: tuple[str, ...], stats: tuple[object, ...]
) -> "Index":
    """`stats`: of the files, so that a changed one is read again. Raises: OptionWrong."""
    # Here, because NumPy takes a tenth of a second to load, which recipes without this step need not wait for.
    from apps.datasets.word_runs import Index

    index = Index(LEAST_WORDS)
    for name, path in benchmarks:
        n_texts = sum(
            index.add(name, number, words_of(text), n_words) for number, text in _texts_of(Path(path), fields)
        )
        if not n_texts:
            where = f"in {', '.join(fields)} " if fields else ""
            raise OptionWrong(f"benchmarks.{name}: {path} has no text {where}of at least {LEAST_WORDS} words")
    index.close()
    return index


def _texts_of(path: Path, fields: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    try:
        for raw in raw_records(path):
            if isinstance(raw.value, Broken):
                raise OptionWrong(f"benchmarks: {path}, line {raw.line}: {raw.value.reason}")
            value = raw.value
            if fields:
                value = [value[name] for name in fields if name in value] if isinstance(value, Mapping) else []
            yield from ((raw.number, text) for text in texts_in(value))
    except FileUnreadable as exc:
        raise OptionWrong(f"benchmarks: {exc.message}") from exc
