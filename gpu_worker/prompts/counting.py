"""`python -m gpu_worker count-tokens MODEL`: how many tokens texts have, for programs that have no tokenizer.

Reads JSON lines from stdin, each a list of texts, and answers each with a line, the list of their numbers of tokens.
Control tokens at the beginning or end are not counted. Loads the tokenizer alone, neither torch nor the model.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

_WORDS_KEPT = 1_000
"""With their tokens. Of the 10,000 that the library keeps most are rare: 30 MB, where no blanks part words."""


def main(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        sys.stderr.write("usage: python -m gpu_worker count-tokens MODEL\n\nMODEL: a folder with a tokenizer.json\n")
        return 0 if argv in (["-h"], ["--help"]) else 2
    path = Path(argv[0]) / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as exc:  # the library raises nothing more particular
        sys.stderr.write(f"{path} cannot be read as a tokenizer: {exc}\n")
        return 2
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if resize := getattr(tokenizer.model, "_resize_cache", None):  # of the kinds that keep words
        resize(_WORDS_KEPT)
    for line in sys.stdin.buffer:
        counts = [len(found.ids) for found in tokenizer.encode_batch_fast(json.loads(line), add_special_tokens=False)]
        sys.stdout.write(json.dumps(counts) + "\n")
        sys.stdout.flush()
    return 0
