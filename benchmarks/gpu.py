"""`make bench-gpu`: the engine on a CUDA GPU, with random bfloat16 weights in the shape of Llama 3.2 1B.

Tokens/s at 1, 32 and 256 streams, how much of a step is not the model's forward pass, and at one stream the weights
read in a second beside what a copy within the GPU's memory moves. Without HTTP. It refuses to run without CUDA.
"""

import argparse
import sys
from typing import Any

BATCHES = [1, 32, 256]
BANDWIDTH_TARGET = 0.6
# Source: the config.json of meta-llama/Llama-3.2-1B; the context is only as long as is needed here.
SHAPE: dict[str, Any] = {
    "vocab_size": 128_256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True, "max_position_embeddings": 4096,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-gpu ARGS=...", description=__doc__)
    parser.add_argument("--steps", type=int, default=128, help="decode steps of each run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each size; medians are printed (%(default)s)")
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.stderr.write(f"bench-gpu: torch {torch.__version__} finds no CUDA device here\n")
        return 1
    from benchmarks.engine_steps import StepPlan, Subject, print_step_lines
    from gpu_worker.engine.engine import Vocabulary
    from gpu_worker.modeling.runners import build_runner

    plan = StepPlan(
        batches=BATCHES,
        n_steps=options.steps,
        rounds=options.rounds,
        n_prompt=100,
        threads=torch.get_num_threads(),
        dtype="bfloat16",
        temperature=0.7,
    )
    device = torch.device("cuda", 0)
    print(f"# {torch.cuda.get_device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    model = random_model(SHAPE, device)
    # Any text will do: what is measured is that there is one for each token.
    vocabulary = Vocabulary(lambda ids: "a " * len(ids), frozenset())
    subject = Subject(model, build_runner(model, "1b", free_bytes=0), SHAPE["vocab_size"], vocabulary)
    print_step_lines("gpu.1b", subject, plan, BANDWIDTH_TARGET)
    return 0


def random_model(shape: dict[str, Any], device: Any) -> Any:
    """A Llama of this shape in bfloat16, made on the device."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model: Any = LlamaForCausalLM(LlamaConfig(**shape))
            return model.eval()
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    sys.exit(main())
