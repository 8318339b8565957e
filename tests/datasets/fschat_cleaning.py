"""Run by a test as a child process with fschat on its path: what its data scripts make of a file.

Arguments: a raw dump, a folder with a tokenizer, a folder to work in, and the limit of tokens. In the folder it leaves
a file for each script, and on standard output what they print. Everything is fschat's own but two things: ICU, which
cannot be installed and which the detector of languages asks only how a code is spelled, and how each script is started.
"""

import json
import multiprocessing
import os
import runpy
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any


class Locale:
    def __init__(self, code: str) -> None:
        self.getName = lambda: code


def script(name: str, *arguments: object) -> None:
    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(f"fastchat.data.{name}", run_name="__main__", alter_sys=True)


def languages(path: Path) -> dict[str, Any]:
    """By the id of a conversation, what optional_clean takes its language for, as its own test of each code says."""
    from fastchat.data.optional_clean import skip  # type: ignore[import-not-found]

    codes = ("en", "de", "fr", "ru", "zh", "ko", "unknown")
    return {
        row["id"]: next(
            (code for code in codes if skip(row, Namespace(keep_lang="all", skip_lang=code, reduce_rep=False))), "other"
        )
        for row in json.loads(path.read_text())
    }


def main(dump: Path, tokenizer: Path, folder: Path, max_tokens: str) -> None:
    made = {name: folder / f"{name}.json" for name in ("clean", "runs", "split", "lists", "gpt4", "single", "replaced")}
    script("clean_sharegpt", "--in", dump, "--out", made["clean"])
    script("optional_clean", "--in", made["clean"], "--out", made["runs"], "--reduce-rep")
    (folder / "languages.json").write_text(json.dumps(languages(made["clean"])))
    limit = ("--model", tokenizer, "--max-length", max_tokens)
    script("split_long_conversation", "--in", made["clean"], "--out", made["split"], *limit)
    script("filter_wrong_format", "--in", made["split"], "--out", made["lists"])
    script("extract_gpt4_only", "--in", made["lists"], "--out", made["gpt4"])
    script("extract_single_round", "--in", made["gpt4"], "--out", made["single"])
    script("optional_replace", "--in", made["clean"], "--out", made["replaced"], "--model", tokenizer)
    os.chdir(folder)  # where it writes hardcoded.json
    script("hardcoded_questions")
    script("get_stats", "--in", made["split"], "--model", tokenizer)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    icu = ModuleType("icu")
    icu.Locale = Locale  # type: ignore[attr-defined]
    sys.modules["icu"] = icu
    dump, tokenizer, folder, limit = sys.argv[1:]
    main(Path(dump), Path(tokenizer), Path(folder), limit)
