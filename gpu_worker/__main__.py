"""`python -m gpu_worker COMMAND`: one door to everything that needs the GPU stack.

Each command imports only what it needs, so that `--help` answers without loading torch.
"""

import importlib
import sys

COMMANDS = {
    "serve": ("gpu_worker.server.cli", "load models and serve them over HTTP"),
    "classify": ("gpu_worker.classification.cli", "serve a text-classification model for moderation"),
    "train": ("gpu_worker.training.cli", "run one training configuration"),
    "count-tokens": ("gpu_worker.prompts.counting", "say how many tokens texts have"),
    "embed-texts": ("gpu_worker.annotation.embedding", "make vectors of texts"),
    "find-names": ("gpu_worker.annotation.names", "say where names of people stand in texts"),
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in COMMANDS:
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
        stream = sys.stdout if argv in (["-h"], ["--help"]) else sys.stderr
        stream.write("usage: python -m gpu_worker COMMAND [options]\n\n" + "\n".join(lines) + "\n")
        return 0 if stream is sys.stdout else 2
    module = importlib.import_module(COMMANDS[argv[0]][0])
    return int(module.main(argv[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
