"""A model's generation_config.json decides where a request is silent, and nothing else."""

import json
from pathlib import Path

import pytest

from gpu_worker.modeling.sampling_defaults import sampling_defaults
from gpu_worker.modeling.source import ModelRefused
from gpu_worker.server.schema import parse_chat

HI = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


def config(folder: Path, **values: object) -> Path:
    (folder / "generation_config.json").write_text(json.dumps(values))
    return folder


def test_defaults_fill_what_the_request_does_not_say(tmp_path: Path) -> None:
    folder = config(tmp_path, do_sample=True, temperature=0.3, top_p=0.9, max_new_tokens=5, eos_token_id=2)
    defaults = sampling_defaults(folder, "tiny")
    assert defaults == {"temperature": 0.3, "top_p": 0.9}

    silent = parse_chat(HI).params(100, defaults)
    assert (silent.temperature, silent.top_p, silent.top_k, silent.max_tokens) == (0.3, 0.9, 0, 100)
    explicit = parse_chat(HI | {"temperature": 0, "top_p": 1, "top_k": -1}).params(100, defaults)
    assert (explicit.temperature, explicit.top_p, explicit.top_k) == (0, 1, 0)


def test_without_sampling_or_without_the_file_openais_defaults_hold(tmp_path: Path) -> None:
    assert sampling_defaults(tmp_path, "tiny") == {}
    assert sampling_defaults(config(tmp_path, temperature=0.3), "tiny") == {}
    assert parse_chat(HI).params(100, {}).temperature == 1.0


@pytest.mark.parametrize("values", [{"temperature": 9}, {"top_p": "high"}, {"temperature": -1}])
def test_values_that_no_request_may_have_refuse_the_model(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(ModelRefused, match="generation_config"):
        sampling_defaults(config(tmp_path, do_sample=True, **values), "tiny")
