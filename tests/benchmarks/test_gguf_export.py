"""Model folders as GGUF files. That llama.cpp computes the same from them is checked by the benchmark itself."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, quants
from safetensors.numpy import load_file

from benchmarks.gguf_export import Precision, gguf_file, gguf_name, interleaved, write_gguf
from benchmarks.models import DEMO_BASE
from tests.gpu_worker.tiny_models import make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def test_rows_that_were_turned_as_halves_become_neighbours() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)

    assert interleaved(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_every_weight_has_its_name_and_its_numbers(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")

    tensors = {tensor.name: tensor for tensor in GGUFReader(gguf_file(folder, Precision.F32)).tensors}

    assert tensors.keys() == {gguf_name(name) for name in weights}
    for name in ("model.norm.weight", "model.layers.1.mlp.down_proj.weight", "lm_head.weight"):
        assert np.array_equal(tensors[gguf_name(name)].data, weights[name])


def test_in_8_bits_matrices_are_near_and_vectors_are_exact(folder: Path) -> None:
    exact = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]

    tensors = {tensor.name: tensor for tensor in GGUFReader(gguf_file(folder, Precision.Q8_0)).tensors}

    assert tensors["blk.0.ffn_up.weight"].tensor_type is GGMLQuantizationType.Q8_0
    near = quants.dequantize(tensors["blk.0.ffn_up.weight"].data, GGMLQuantizationType.Q8_0)
    assert np.abs(near - exact).max() <= np.abs(exact).max() / 127
    assert tensors["blk.0.ffn_norm.weight"].tensor_type is GGMLQuantizationType.F32


def test_a_file_that_is_there_is_not_written_again(folder: Path) -> None:
    path = gguf_file(folder, Precision.F32)
    before = path.stat().st_mtime_ns

    assert gguf_file(folder, Precision.F32) == path
    assert path.stat().st_mtime_ns == before


def test_a_model_with_tied_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="output weights"):
        write_gguf(DEMO_BASE, tmp_path / "demo.gguf", Precision.F32)
