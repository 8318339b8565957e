"""`python -m benchmarks.int8`: weights of 8 bits beside float32, in speed at one stream and in perplexity.

Speed is that of the engine's decode step on the random model `small`; perplexity is demo-base's, on conversations of
the kind that it was trained on, drawn anew.
"""

import argparse
import os
import sys

SPEED_TARGET = 1.5
PERPLEXITY_TARGET = 1.01
N_CONVERSATIONS = 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int8", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of the model's arithmetic")
    parser.add_argument("--steps", type=int, default=64, help="decode steps of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each precision, turn about; medians are printed")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the worker does; read when torch is imported
    from benchmarks.engine_steps import StepPlan, load
    from benchmarks.precision import perplexity, step_s
    from benchmarks.report import Figure
    from gpu_worker.modeling.source import Quantisation

    plan = StepPlan(
        batches=[1],
        n_steps=options.steps,
        rounds=options.rounds,
        n_prompt=100,
        threads=options.threads,
        dtype="float32",
        temperature=0.7,
    )
    exact_s, int8_s = step_s("small", plan, (None, Quantisation.INT8))
    print(Figure("int8.small.1.tokens_per_s", 1 / int8_s, "tokens/s", 1 / exact_s, SPEED_TARGET).line(), flush=True)
    exact, int8 = (perplexity(load("demo-base", plan, kind), N_CONVERSATIONS) for kind in (None, Quantisation.INT8))
    # Nearer to 1 than a line's rounding shows.
    print(Figure("int8.demo-base.perplexity", int8, "", exact, PERPLEXITY_TARGET, less_is_better=True).line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
