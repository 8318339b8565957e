"""`python -m benchmarks.step`: how long the engine takes for one decode step, without HTTP.

For each model and batch size: a whole step, the part of it that the model's forward pass takes, and the tokens that
it makes of a second. At batch 1 also the weights that are read in a second, beside a bare matrix-vector product.
"""

import argparse
import os
import sys

from benchmarks.models import NAMES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--models", type=_words, default=["tiny", "small"], help=f"of {', '.join(NAMES)}")
    parser.add_argument("--batches", type=_numbers, default=[1, 8, 32], help="requests that decode together")
    parser.add_argument("--steps", type=int, default=64, help="steps of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each size, turn about; medians are printed")
    parser.add_argument("--prompt", type=int, default=100, help="tokens of each prompt")
    parser.add_argument("--threads", type=int, default=2, help="of the model's arithmetic")
    parser.add_argument("--dtype", default="float32", choices=("auto", "float32", "bfloat16", "float16"))
    parser.add_argument("--temperature", type=float, default=0.7)
    options = parser.parse_args()
    if unknown := set(options.models) - set(NAMES):
        parser.error(f"--models: no model is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the worker does; read when torch is imported
    from benchmarks.engine_steps import StepPlan, print_steps

    plan = StepPlan(
        batches=options.batches,
        n_steps=options.steps,
        rounds=options.rounds,
        n_prompt=options.prompt,
        threads=options.threads,
        dtype=options.dtype,
        temperature=options.temperature,
    )
    for name in options.models:
        print_steps(name, plan)
    return 0


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _numbers(text: str) -> list[int]:
    return [int(word) for word in _words(text)]


if __name__ == "__main__":
    sys.exit(main())
