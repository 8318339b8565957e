"""`make bench-data`: cleaning raw conversations, beside FastChat's scripts on the same files.

One run, turn about, medians of rounds, both with the same number of processes; each figure a JSON line. The parts, all
by default:

`html`: FastChat's clean_sharegpt beside the steps that do the same.
`whole`: FastChat's prepare_all beside configs/recipes/prepare_all.yaml. FastChat's language filter is left out on its
side, because polyglot does not install everywhere; ours works.
`large`: ours on ten times as many conversations: time in proportion, and memory that does not grow.
`near`: near-duplicates a second, in one process.

Memory is the largest sum of the proportional set sizes (PSS) of a run's processes, looked at twice a second: to look
costs some of the time that is measured. With 10,000 and 100,000 conversations it takes about ten minutes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psutil

from benchmarks.comparison import print_lines
from benchmarks.models import ROOT
from benchmarks.report import Figure, middle
from benchmarks.servers import PEERS, PeerMissing
from benchmarks.sharegpt_dump import write_dump

PARTS = ("html", "whole", "large", "near")
HTML_TIMES, WHOLE_TIMES = 1 / 8, 1 / 5
MEMORY_MIB, MEMORY_GROWTH = 400.0, 1.1
TIME_RATIO = 11.0
NEAR_PER_S = 10_000.0
"""What this project set out to reach."""
TOKENIZER = ROOT / "examples" / "models" / "demo-base"
HTML_STEPS = [
    "trim_turns",
    "take_turns",
    {"blocked_words": {"words": ["openai", "chatgpt"], "inside": True}},
    "html_to_markdown",
    "page_remains",
    "empty_messages",
    {"length": {"min_chars": 16}},
    "unique_ids",
    {"without_field": {"names": ["plugins"]}},
    "unique_openings",
]
"""What clean_sharegpt does."""
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Took:
    seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Bench:
    folder: Path
    n_conversations: int
    n_large: int
    n_processes: int
    rounds: int

    def dump(self, n_conversations: int) -> Path:
        path = self.folder / f"dump_{n_conversations}_html.json"
        if not path.exists():
            write_dump(path, n_conversations)
        return path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench-data", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000, help="conversations of the part `large`")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; repeatable")
    options = parser.parse_args()
    parts: dict[str, Callable[[Bench], list[Figure]]] = {"html": html, "whole": whole, "large": large, "near": near}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
            bench = Bench(Path(folder), options.conversations, options.large, options.processes, options.rounds)
            for name in options.only or PARTS:
                print_lines(parts[name](bench))
    except PeerMissing as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def html(bench: Bench) -> list[Figure]:
    dump = bench.dump(bench.n_conversations)
    recipe = bench.folder / "html.json"
    recipe.write_text(json.dumps({"steps": HTML_STEPS}))
    ours, theirs = [], []
    for _ in range(bench.rounds):
        ours.append(clean(bench, recipe, dump))
        theirs.append(fastchat(bench, ("clean_sharegpt", "--in", dump, "--out", bench.folder / "fastchat.json")))
    return [_seconds("data.html.s", ours, theirs, HTML_TIMES), _memory("data.html.peak_mib", ours, theirs)]


def whole(bench: Bench) -> list[Figure]:
    dump = bench.dump(bench.n_conversations)
    recipe = ROOT / "configs" / "recipes" / "prepare_all.yaml"
    ours, theirs = [], []
    for _ in range(bench.rounds):
        ours.append(clean(bench, recipe, dump, "--set", f"tokenizer={TOKENIZER}"))
        theirs.append(fastchat(bench, *_prepare_all(bench, dump)))
    return [_seconds("data.whole.s", ours, theirs, WHOLE_TIMES), _memory("data.whole.peak_mib", ours, theirs)]


def large(bench: Bench) -> list[Figure]:
    recipe = ROOT / "configs" / "recipes" / "prepare_all.yaml"
    small, big = (
        [clean(bench, recipe, bench.dump(n), "--set", f"tokenizer={TOKENIZER}") for _ in range(rounds)]
        for n, rounds in ((bench.n_conversations, bench.rounds), (bench.n_large, 1))
    )
    times = bench.n_large / bench.n_conversations
    bound = TIME_RATIO / 10 * times
    return [
        Figure("data.large.s", _s(big), "s", _s(small), bound, less_is_better=True),
        Figure("data.large.peak_mib", _mib(big), "MiB", _mib(small), MEMORY_GROWTH, less_is_better=True),
    ]


def near(bench: Bench) -> list[Figure]:
    from apps.datasets.formats.files import raw_records
    from apps.datasets.formats.shapes import Shape, records_read
    from apps.datasets.steps.duplicates import NearDuplicates

    rows = raw_records(bench.dump(bench.n_conversations))
    records = [one for raw in rows for one in records_read(Shape.SHAREGPT, raw.value, (0, raw.number))]
    step = NearDuplicates()
    rates = []
    for _ in range(bench.rounds):
        began = monotonic()
        n_kept = sum(reason is None for reason in step.choose(list(step.keys(records))))
        assert n_kept  # noqa: S101  # some are not like any other
        rates.append(len(records) / (monotonic() - began))
    return [Figure("data.near.documents_per_s", middle(rates), "documents/s", target=NEAR_PER_S)]


# --- The two sides ----------------------------------------------------------------------------------------------------


def clean(bench: Bench, recipe: Path, dump: Path, *more: str) -> Took:
    output = bench.folder / "ours"
    command = [sys.executable, "manage.py", "clean", recipe, "--input", dump, "--output", output, *more]
    took = _run([*map(str, command), "--workers", str(bench.n_processes)], os.environ | _SETTINGS)
    shutil.rmtree(output)
    return took


_SETTINGS = {"DJANGO_SETTINGS_MODULE": "fastchat_site.settings.test"}


def fastchat(bench: Bench, *scripts: tuple[object, ...]) -> Took:
    """One after the other, as its prepare_all does. Raises: PeerMissing."""
    python = PEERS / "fastchat" / "bin" / "python"
    if not python.exists():
        raise PeerMissing("FastChat is not installed: run `make peers` first.")
    took = [
        _run([str(python), "-m", f"fastchat.data.{name}", *map(str, arguments)], os.environ | {"HF_HUB_OFFLINE": "1"})
        for name, *arguments in scripts
    ]
    return Took(sum(one.seconds for one in took), max(one.peak_mib for one in took))


def _prepare_all(bench: Bench, dump: Path) -> list[tuple[object, ...]]:
    tokenizer = bench.folder / "tokenizer"
    tokenizer.mkdir(exist_ok=True)
    shutil.copy(TOKENIZER / "tokenizer.json", tokenizer)
    # What transformers 4 calls it, and the configuration by which it finds out that there is a model.
    (tokenizer / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    (tokenizer / "config.json").write_text(json.dumps({"model_type": "llama"}))
    made = {name: bench.folder / f"fastchat_{name}.json" for name in ("clean", "split", "all", "gpt4", "single")}
    train = bench.folder / "fastchat_split_train.json"
    limit = ("--model-name", tokenizer, "--max-length", 4096)
    return [
        ("clean_sharegpt", "--in", dump, "--out", made["clean"]),
        ("split_long_conversation", "--in", made["clean"], "--out", made["split"], *limit),
        ("filter_wrong_format", "--in", made["split"], "--out", made["split"]),
        ("split_train_test", "--in", made["split"], "--ratio", 0.99),
        ("merge", "--in", train, "--out", made["all"]),
        ("extract_gpt4_only", "--in", made["all"], "--out", made["gpt4"]),
        ("extract_single_round", "--in", made["gpt4"], "--out", made["single"]),
    ]


def _run(command: list[str], environment: dict[str, str]) -> Took:
    """Raises: CalledProcessError."""
    began, peak = monotonic(), 0.0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _pss_mib(tree))
            sleep(_LOOK_EVERY_S)
        if process.returncode:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace")[-3000:])
            raise subprocess.CalledProcessError(process.returncode, command)
    return Took(monotonic() - began, peak)


def _pss_mib(tree: psutil.Process) -> float:
    """Of a process and all below it; one that ended meanwhile counts nothing."""
    total = 0
    try:
        for process in (tree, *tree.children(recursive=True)):
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return 0.0
    return total / 2**20


# --- Figures ----------------------------------------------------------------------------------------------------------


def _seconds(name: str, ours: list[Took], theirs: list[Took], target: float) -> Figure:
    return Figure(name, _s(ours), "s", _s(theirs), target, less_is_better=True)


def _memory(name: str, ours: list[Took], theirs: list[Took]) -> Figure:
    print(json.dumps({"name": f"{name}.peer", "value": round(_mib(theirs), 1), "unit": "MiB"}))
    return Figure(name, _mib(ours), "MiB", target=MEMORY_MIB, less_is_better=True)


def _s(took: list[Took]) -> float:
    return middle([one.seconds for one in took])


def _mib(took: list[Took]) -> float:
    return middle([one.peak_mib for one in took])


if __name__ == "__main__":
    sys.exit(main())
