"""What models say of texts, in child processes: vectors for comparing them, and where names of people stand."""

from base64 import b64decode
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.datasets.children import Child, child_of

if TYPE_CHECKING:
    import numpy as np

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

_CONFIG = "config.json"
_READ = frozenset({".safetensors", ".json", ".txt", ".model"})


class Embedder(Child):
    command = "embed-texts"

    def vectors(self, texts: Sequence[str]) -> "list[Vectors]":
        """For each text its vectors of length 1, shape [windows, size]; a text without a token has none.

        Raises: RecipeWrong: the model cannot be used.
        """
        # Here, because NumPy takes a tenth of a second to load, which most recipes need not wait for.
        import numpy as np

        told = self.ask(texts)
        return [np.frombuffer(b64decode(one), "<f4").reshape(-1, told["size"]) for one in told["vectors"]]


class NameFinder(Child):
    command = "find-names"

    def spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """For each text where names begin and end, in order. Raises: RecipeWrong: the model cannot be used."""
        return [[(begin, end) for begin, end in spans] for spans in self.ask(texts)]


def embedder_of(model: str, files: Iterable[Path]) -> Embedder:
    """`files`: its `model_files`. Raises: RecipeWrong: one of them is there no more."""
    return child_of(Embedder, model, files)


def name_finder_of(model: str, files: Iterable[Path]) -> NameFinder:
    """`files`: its `model_files`. Raises: RecipeWrong: one of them is there no more."""
    return child_of(NameFinder, model, files)


def is_model(folder: str) -> bool:
    return (Path(folder) / _CONFIG).is_file()


def model_files(folder: str) -> tuple[Path, ...]:
    """What an answer depends on: config, the weights that are read, and what stands beside them in JSON and text.

    The whole folder is walked through, which may hold much else: ask once, and not for each record.
    """
    path = Path(folder)
    found = {one for one in path.rglob("*") if one.suffix in _READ and one.is_file()}
    return tuple(sorted({path / _CONFIG, *found}))
