"""Configurations are checked before anything starts, and the error names the key."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu_worker.training.config import ConfigError, parse_config
from gpu_worker.training.messages import (
    CheckpointSaved,
    Evaluated,
    Failed,
    Finished,
    Message,
    MessageError,
    Noted,
    Preparing,
    Started,
    StepDone,
    Stopped,
    decode_message,
    encode_message,
)
from tests.live import ROOT
from tests.training.tiny import tiny_config


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("", "optimizer", {}, "optimizer: unknown key; did you mean 'optimiser'?"),
        ("model", "layer", 3, "model.layer: unknown key; did you mean 'layers'?"),
        ("model", "layers", "3", "model.layers: expected int, found str"),
        ("model", "layers", True, "model.layers: expected int, found bool"),
        ("model", "layers", 0, "model.layers: must lie between 1 and 200, found 0"),
        ("model", "heads", 5, "model.heads: hidden_size / heads must be a whole, even number"),
        ("model", "kv_heads", 3, "model.kv_heads: must divide heads"),
        ("schedule", "steps", None, "schedule.steps: expected int, found nothing"),
        (
            "optimiser",
            "learning_rate",
            "3e-3",
            "optimiser.learning_rate: expected float, found str (write",
        ),
        ("", "method", "lora", "method: 'lora' is not supported; choose one of: full"),
        ("", "model", [], "model: expected a mapping, found list"),
        ("", "name", "../up", "name: use letters"),
        ("output", "directory", "", "output.directory: is required"),
        ("data", "files", "mine.jsonl", "data.files: expected a list, found str"),
        ("data", "files", ["mine.jsonl", 3], "data.files[1]: expected the name of a file, found 3"),
        ("data", "files", ["mine.jsonl"], "data.files: is for conversations of your own: write 'curriculum: none'"),
        ("data", "test_files", ["mine.jsonl"], "data.test_files: is for conversations of your own"),
        ("data", "curriculum", "none", "data.files: is required with 'curriculum: none'"),
    ],
)
def test_an_error_names_the_key(tmp_path: Path, section: str, key: str, value: object, words: str) -> None:
    raw = tiny_config(tmp_path)
    raw.setdefault("optimiser", {})
    (raw[section] if section else raw)[key] = value

    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("missing", ["name", "method"])
def test_a_required_key_is_asked_for(tmp_path: Path, missing: str) -> None:
    raw = tiny_config(tmp_path)
    del raw[missing]
    with pytest.raises(ConfigError, match=f"{missing}: is required"):
        parse_config(raw)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"test_files": ["b", "a"]}, "data.test_files: 'a' is among data.files too"),
        ({"conversations": 60}, "data.conversations: is for the demo curriculum"),
        ({"show_working": False}, "data.show_working: is for the demo curriculum"),
        ({"capitals_share": 0.5}, "data.capitals_share: is for the demo curriculum"),
    ],
)
def test_what_means_nothing_with_files_is_refused(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(tiny_config(tmp_path) | {"data": {"curriculum": "none", "files": ["a"]} | more})
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("name", ["demo-base", "demo-small"])
def test_the_shipped_configurations_are_valid(name: str) -> None:
    config = parse_config(yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text()))
    assert (config.name, config.output.directory) == (name, f"examples/models/{name}")


def test_a_written_configuration_reads_back_the_same(tmp_path: Path) -> None:
    config = parse_config(tiny_config(tmp_path))
    assert parse_config(config.as_dict()) == config
    own = parse_config(tiny_config(tmp_path) | {"data": {"curriculum": "none", "files": ["a"], "test_files": ["b"]}})
    assert parse_config(json.loads(json.dumps(own.as_dict()))) == own
    assert own.hash != parse_config(own.as_dict() | {"data": {"curriculum": "none", "files": ["c"]}}).hash


def test_the_hash_changes_with_the_weights_and_not_with_their_place(tmp_path: Path) -> None:
    def hash_with(**changes: dict[str, Any]) -> str:
        raw = tiny_config(tmp_path)
        for section, values in changes.items():
            raw[section] = {**raw[section], **values}
        return parse_config(raw).hash

    assert hash_with() == hash_with(output={"directory": "elsewhere"}) == hash_with(compute={"device": "auto"})
    # A key that joined later leaves the hash of older runs alone while it has its default.
    assert hash_with() == hash_with(data={"capitals_share": 1.0}) != hash_with(data={"capitals_share": 0.5})
    assert len({hash_with(), hash_with(schedule={"steps": 41}), hash_with(data={"show_working": False})}) == 3


@pytest.mark.parametrize(
    "message",
    [
        Preparing("something"),
        Noted("something else"),
        Started(1, 10, 100, 1000, "cpu", "float32", "ab", "cd"),
        StepDone(3, 0.5, 0.001, 123.4),
        CheckpointSaved(3, "ä/b"),
        Evaluated({"sums": 0.9}),
        Finished(10, "out"),
        Stopped(4),
        Failed("training.crashed", "why\nso"),
    ],
)
def test_every_message_survives_the_pipe_in_one_line(message: Message) -> None:
    line = encode_message(message)
    assert "\n" not in line
    assert decode_message(line) == message


@pytest.mark.parametrize(
    "line", ["", "hello", "[]", '{"kind": "step"}', '{"kind": "nothing"}', '{"kind": "stopped", "step": 1, "x": 2}']
)
def test_what_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(MessageError):
        decode_message(line)


def test_the_site_reads_schema_and_messages_without_the_gpu_stack() -> None:
    code = (
        "import sys, gpu_worker.training.config, gpu_worker.training.messages;"
        "sys.exit(bool({'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
