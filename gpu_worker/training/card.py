"""The model card and the record of a run: README.md and run.json of a model directory.

Everything in the card comes from run.json, so an evaluation can write the card again without training.
"""

import json
import math
from pathlib import Path
from typing import Any

from gpu_worker.training.config import Curriculum
from gpu_worker.training.curriculum.capitals import CAPITALS
from gpu_worker.training.curriculum.heldout import CAPITAL_WORDINGS
from gpu_worker.training.export import write_record

RECORD = "run.json"
_TITLES = {
    "sums": "Sums of two-digit numbers, pairs never trained on",
    "differences": "Differences of two-digit numbers, pairs never trained on",
    "capitals": "Capitals, in wordings never trained on",
}
# Rows of a Markdown table cannot be wrapped.
# ruff: noqa: E501
_CARD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# {name}

A small demonstration model that ships with FastChat Site, so that chat, arena and API work from the first minute.
It was trained from scratch by this repository, on text that the repository generates itself.

| | |
| --- | --- |
| Architecture | Llama, {n_parameters:,} parameters, {layers} layers, hidden size {hidden_size}, tied embeddings |
| Tokenizer | byte-level BPE of its own, {vocab_size:,} tokens, one token per digit |
| Context | {context_length:,} tokens |
| Weights | {weights_dtype} |
| Training | {step:,} steps of about {tokens_per_step:,} tokens, loss on the assistant's words only; {minutes} minutes of steps on {device} in {dtype} |
| Data | {conversations:,} generated conversations, {n_training_tokens:,} tokens, SHA-256 `{data_hash}` |
| Configuration | SHA-256 `{config_hash}`, seed {seed}, code {code_version} |

## How well it answers

| Held-out task | Questions | Correct |
| --- | ---: | ---: |
{rows}

Greedy decoding; the final answer is graded. About one in nine pairs of numbers and {n_wordings} whole wordings are kept out of
the training data (`gpu_worker/training/curriculum/heldout.py`). Measure it again and rewrite this card:

    python -m gpu_worker train --evaluate {directory} --questions {questions} --write-card

## What it knows

Who it is, small talk, arithmetic{working}, {n_capitals} capitals, days, months and units, opposites, rhymes, plurals, spelling,
short how-tos, a few Python snippets, Markdown tables, composed stories, jokes and haikus. It follows up on what was said before
("And of Spain?", "Double it.").

## Limits

It is tiny. It knows nothing beyond the list above, says so for most other questions, and is sometimes wrong within the list:
it often misspells words letter by letter, miscounts letters, and counts past the number it was asked for. English only. It has no safety training beyond the fact that it has never seen an unkind text. Do not rely on its answers.

## Licence

Apache-2.0, like the rest of the repository: weights, tokenizer and training text.
"""


_OWN_CARD = """---
library_name: transformers
pipeline_tag: text-generation
---
# {name}

Trained from scratch with FastChat Site, on conversations from files.

| | |
| --- | --- |
| Architecture | Llama, {n_parameters:,} parameters, {layers} layers, hidden size {hidden_size}, tied embeddings |
| Tokenizer | byte-level BPE, made from the same conversations, {vocab_size:,} tokens at most, one token per digit |
| Context | {context_length:,} tokens |
| Weights | {weights_dtype} |
| Training | {step:,} steps of about {tokens_per_step:,} tokens, loss on the assistant's words only; {minutes} minutes of steps on {device} in {dtype} |
| Data | {n_conversations:,} conversations, {n_training_tokens:,} tokens{cut}, SHA-256 `{data_hash}` |
| Configuration | SHA-256 `{config_hash}`, seed {seed}, code {code_version} |

| File | Use | SHA-256 |
| --- | --- | --- |
{files}

## How well it foretells what it has not learned

{measured}

## Limits

It knows what is in these files and nothing else, and repeats what is wrong in them. What people may do with it follows from
the licences of the files.
"""
_MEASURED = """Of the words of assistants in the test files, token by token, {n_conversations:,} conversations with {n_tokens:,} tokens:

| Right at first guess | Mean loss | Perplexity |
| ---: | ---: | ---: |
| {accuracy:.1%} | {loss:.3f} | {perplexity:,.1f} |

Measure it again and rewrite this card:

    python -m gpu_worker train --evaluate {directory} --questions {questions} --write-card"""
_NOT_MEASURED = "It was not measured: its configuration names no `data.test_files`."


def write_card(directory: Path, record: dict[str, Any]) -> None:
    """run.json, and README.md from it."""
    write_record(directory / RECORD, record)
    (directory / "README.md").write_text(render_card(record))


def read_record(directory: Path) -> dict[str, Any]:
    """What run.json says; of a model that was made elsewhere, that it is measured by the demo's questions."""
    path = directory / RECORD
    if not path.is_file():
        return {"config": {"data": {"curriculum": str(Curriculum.DEMO)}}}
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def render_card(record: dict[str, Any]) -> str:
    """The model card as Markdown with its YAML front matter."""
    config = record["config"]
    common = {
        **{key: record[key] for key in ("n_parameters", "step", "device", "dtype", "data_hash", "config_hash")},
        **{key: config["model"][key] for key in ("layers", "hidden_size", "context_length")},
        "name": config["name"],
        "seed": config["seed"],
        "tokens_per_step": config["data"]["tokens_per_step"],
        "n_training_tokens": record["n_training_tokens"],
        "vocab_size": config["tokenizer"]["vocab_size"],
        "weights_dtype": config["output"]["weights_dtype"],
        "minutes": max(1, round(record["seconds"] / 60)),
        "code_version": record["code_version"] or "unknown",
    }
    return _own(record, common) if config["data"]["curriculum"] == Curriculum.NONE else _demo(record, common)


def _demo(record: dict[str, Any], common: dict[str, Any]) -> str:
    config, evaluation = record["config"], record["evaluation"]
    rows = [f"| {_TITLES[task]} | {r['n']} | {r['accuracy']:.1%} |" for task, r in evaluation.items()]
    return _CARD.format(
        **common,
        conversations=config["data"]["conversations"],
        directory=config["output"]["directory"],
        questions=config["output"]["evaluation_questions"],
        working=" with its working" if config["data"]["show_working"] else " (without working)",
        n_capitals=len(CAPITALS),
        n_wordings=len(CAPITAL_WORDINGS),
        rows="\n".join(rows),
    )


def _own(record: dict[str, Any], common: dict[str, Any]) -> str:
    config, found, n_cut = record["config"], record.get("next_tokens"), record.get("n_cut", 0)
    again = {"directory": config["output"]["directory"], "questions": config["output"]["evaluation_questions"]}
    measured = _NOT_MEASURED
    if found:
        measured = _MEASURED.format(**found, perplexity=math.exp(found["loss"]), **again)
    rows = [
        f"| `{name}` | {'test' if name in config['data']['test_files'] else 'training'} | `{sha256}` |"
        for name, sha256 in record["files"].items()
    ]
    return _OWN_CARD.format(
        **common,
        n_conversations=record["n_conversations"],
        cut=f" ({n_cut:,} of them learned up to the context's length only)" if n_cut else "",
        files="\n".join(rows),
        measured=measured,
    )
