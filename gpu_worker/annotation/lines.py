"""The loop of such a child: reads lists of texts from stdin until it ends, and answers each with a line."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Loaded = TypeVar("Loaded")


def serve_lines(
    argv: Sequence[str],
    command: str,
    load: Callable[[Path], Loaded],
    answer: Callable[[Loaded, list[str]], object],
) -> int:
    """`load`: of a model folder; answers begin when it is there. What it refuses is said on stderr."""
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        sys.stderr.write(f"usage: python -m gpu_worker {command} MODEL\n\nMODEL: a model folder\n")
        return 0 if list(argv) in (["-h"], ["--help"]) else 2
    import torch

    from gpu_worker.modeling.source import ModelRefused

    # The same sum comes out on a machine of any number of cores, and the site starts as many children as it has.
    torch.set_num_threads(1)
    try:
        loaded = load(Path(argv[0]).absolute())
    except ModelRefused as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(answer(loaded, json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0
