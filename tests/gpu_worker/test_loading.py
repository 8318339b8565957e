"""What may be loaded, and the sentence for everything that may not."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from gpu_worker.engine.encoder_decoder import EncoderDecoderRunner
from gpu_worker.modeling import device
from gpu_worker.modeling.device import DeviceError, choose_devices, choose_dtype, physical_cores
from gpu_worker.modeling.loading import LoadedModel, LoadOptions, load_model
from gpu_worker.modeling.memory import MemoryLedger
from gpu_worker.modeling.quantise import QuantisedLinear
from gpu_worker.modeling.source import ModelRefused, ModelSpec, Quantisation
from tests.gpu_worker.tiny_models import Shape, make_tiny_model
from tests.gpu_worker.tiny_t5 import KINDS, make_tiny_t5

OPTIONS = LoadOptions((torch.device("cpu"),))


def load(path: Path | str) -> LoadedModel:
    return load_model(ModelSpec(str(path), "parrot"), OPTIONS, lambda share: None)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A model folder that a test may break."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelRefused) as caught:
        load(path)
    sentence = str(caught.value)
    assert sentence.startswith("parrot: ")
    assert "\n" not in sentence
    assert str(path) not in sentence, "no paths of this machine"
    return sentence


def save_random_model(folder: Path, kind: str, **config: Any) -> None:
    make: Any = AutoModelForCausalLM.from_config
    make(AutoConfig.for_model(kind, **config)).save_pretrained(folder)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_progress_is_told_and_what_was_loaded_is_described(tiny: Path) -> None:
    shares: list[float] = []
    loaded = load_model(ModelSpec(str(tiny), "parrot"), OPTIONS, shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert loaded.context_length == 512
    assert loaded.end_ids == {2}
    assert loaded.n_parameters == sum(p.numel() for p in loaded.model.parameters())
    assert loaded.dtype.reason


def test_pickled_weights_are_never_loaded(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert "pickle" in refusal(copy)


def test_a_folder_without_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert "no weights" in refusal(copy)


def test_a_folder_without_config(copy: Path) -> None:
    (copy / "config.json").unlink()
    assert "no config.json" in refusal(copy)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": 5}', "\x00\xff"])
def test_a_malformed_config(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    assert "config.json" in refusal(copy)


def test_a_config_whose_numbers_make_no_model(copy: Path) -> None:
    edit_config(copy, hidden_size="wide")
    assert "config.json describes no model" in refusal(copy)


def test_remote_code_is_not_run(copy: Path) -> None:
    marker = copy / "ran"
    (copy / "modeling_parrot.py").write_text(f"open({str(marker)!r}, 'w')")
    auto_map = {"AutoModelForCausalLM": "modeling_parrot.Parrot", "AutoConfig": "modeling_parrot.Config"}
    edit_config(copy, model_type="parrot", auto_map=auto_map)
    assert "Python code" in refusal(copy)
    assert not marker.exists()


def test_a_model_type_that_nobody_knows(copy: Path) -> None:
    edit_config(copy, model_type="parrot")
    assert "'parrot'" in refusal(copy)


def test_a_model_that_generates_no_text(copy: Path) -> None:
    edit_config(copy, model_type="vit")
    assert "does not generate text" in refusal(copy)


def test_an_adapter_without_its_base(copy: Path) -> None:
    (copy / "config.json").rename(copy / "adapter_config.json")
    assert "adapter" in refusal(copy)


def test_weights_that_are_cut_short(copy: Path) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "damaged or incomplete" in refusal(copy)


def test_a_missing_tensor_is_not_filled_with_random_numbers(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert "missing or misshapen" in refusal(copy)


def test_a_missing_shard_is_named(copy: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00002-of-00002.safetensors" in refusal(copy)


def test_a_folder_without_tokenizer(copy: Path) -> None:
    for file in copy.glob("tokenizer*"):
        file.unlink()
    assert "no tokenizer" in refusal(copy)


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    assert "no folder" in refusal(tmp_path / "nowhere")


def test_a_hub_id_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "hub" in refusal("nobody/nothing")


def test_a_recurrent_model_is_refused_because_it_cannot_be_batched(tmp_path: Path, tiny: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "mamba"))
    save_random_model(folder, "mamba", vocab_size=512, hidden_size=32, state_size=4, num_hidden_layers=2)
    assert "in batches" in refusal(folder)


SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}


OTHERS: dict[str, dict[str, Any]] = {
    "mistral": {**SMALL, "sliding_window": 6},
    "gemma2": {**SMALL, "head_dim": 8, "sliding_window": 6},
    "qwen2": SMALL,
    "gpt2": {"vocab_size": 512, "n_positions": 256, "n_embd": 32, "n_layer": 2, "n_head": 4},
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_families_are_computed_as_they_compute_themselves(kind: str, tmp_path: Path, tiny: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "other"))
    torch.manual_seed(0)
    save_random_model(folder, kind, **OTHERS[kind])
    load(folder)  # compares batched and single logits itself, and refuses when they differ


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/a/b/c", ("/a/b/c", "c")), ("/a/b/c/", ("/a/b/c/", "c")), ("org/m=x", ("org/m", "x")), ("m", ("m", "m"))],
)
def test_a_model_is_named_by_its_last_part_or_by_hand(text: str, expected: tuple[str, str]) -> None:
    spec = ModelSpec.parse(text)
    assert (spec.source, spec.name) == expected


@pytest.mark.parametrize("text", ["", "=x", "/"])
def test_a_model_needs_a_source_and_a_name(text: str) -> None:
    with pytest.raises(ValueError, match="PATH_OR_HUB_ID"):
        ModelSpec.parse(text)


def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_devices("cpu") == (torch.device("cpu"),)
    if not torch.cuda.is_available():
        assert choose_devices("auto") == (torch.device("cpu"),)
        with pytest.raises(DeviceError, match="no CUDA device"):
            choose_devices("cuda:1")


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", "float32"),
        ("flags\t\t: fpu avx512f avx512_bf16\n", "bfloat16"),
        ("Features\t: fp asimd bf16\n", "bfloat16"),
        ("", "float32"),
    ],
)
def test_a_large_model_takes_the_number_format_that_the_processor_computes(
    cpuinfo: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = device._lines
    monkeypatch.setattr(
        device, "_lines", lambda path: cpuinfo.splitlines() if path == Path("/proc/cpuinfo") else lines(path)
    )
    assert choose_dtype("auto", torch.device("cpu"), n_parameters=200_000_000).name == name


def test_small_models_stay_in_float32_and_any_format_can_be_asked_for() -> None:
    small = choose_dtype("auto", torch.device("cpu"), n_parameters=1000)
    assert (small.name, "small" in small.reason) == ("float32", True)
    assert choose_dtype("float16", torch.device("cpu"), n_parameters=1000).name == "float16"
    assert choose_dtype("auto", torch.device("cpu"), n_parameters=10**15).name == "bfloat16"
    assert physical_cores() >= 1


def load_as(path: Path, quantisation: Quantisation | None = None, ledger: MemoryLedger | None = None) -> LoadedModel:
    options = LoadOptions((torch.device("cpu"),), "float32", ledger=ledger)
    return load_model(ModelSpec(str(path), "parrot", quantisation=quantisation), options, lambda share: None)


@pytest.mark.parametrize("kind", Quantisation)
def test_a_model_is_quantised_at_load_and_says_so(tiny: Path, kind: Quantisation) -> None:
    plain, quantised = load_as(tiny), load_as(tiny, kind)
    assert (plain.weight_format, quantised.weight_format) == ("float32", kind)
    assert quantised.n_parameters == plain.n_parameters
    assert isinstance(quantised.model.model.layers[0].self_attn.q_proj, QuantisedLinear)


def stored_in_4_bits(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    configure: Any = BitsAndBytesConfig
    settings = configure(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    make: Any = AutoModelForCausalLM.from_pretrained
    make(model, quantization_config=settings, dtype=torch.float32).save_pretrained(folder)
    return folder


def test_a_quantised_checkpoint_is_loaded_as_it_was_stored(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "floats", shape=Shape(intermediate=192))
    folder = stored_in_4_bits(model, tmp_path / "stored")
    loaded = load_as(folder)
    assert loaded.weight_format == "bitsandbytes"
    assert (folder / "model.safetensors").stat().st_size < (model / "model.safetensors").stat().st_size
    with pytest.raises(ModelRefused, match="stored as bitsandbytes already"):
        load_as(folder, Quantisation.INT8)


def test_stored_4_bits_that_the_processor_would_misread_are_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored_in_4_bits(tiny, tmp_path / "stored")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with pytest.raises(ModelRefused, match=r"down_proj have 160 numbers, no multiple of 64.*--quantize nf4"):
        load_as(folder)


@pytest.mark.parametrize(("method", "package"), [("gptq", "gptqmodel"), ("awq", "gptqmodel")])
def test_a_stored_format_whose_kernels_are_missing_names_the_package(copy: Path, method: str, package: str) -> None:
    edit_config(copy, quantization_config={"quant_method": method, "bits": 4, "group_size": 32})
    assert f"weights stored as {method} need" in refusal(copy)
    assert package in refusal(copy)


@pytest.mark.parametrize("settings", [{}, {"quant_method": 5}, {"quant_method": "\x00" * 1000}])
def test_a_malformed_quantization_config(copy: Path, settings: dict[str, object]) -> None:
    edit_config(copy, quantization_config=settings)
    assert refusal(copy)


def test_a_model_that_does_not_fit_says_what_it_needs_and_what_is_free(tiny: Path) -> None:
    with pytest.raises(ModelRefused) as caught:
        load_as(tiny, ledger=MemoryLedger((torch.device("cpu"),), limit=32 * 2**20))
    needed = r"parrot: it needs about 0\.06 GiB \(weights .* GiB, smallest cache .*\)"
    assert re.search(needed + r", and 0\.03 GiB are left of --max-memory", str(caught.value))


def test_a_model_that_does_not_fit_into_the_machine(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_worker.modeling.memory.available_memory_bytes", lambda: 10 * 2**20)
    with pytest.raises(ModelRefused, match=r"needs about .* GiB .* and 0\.01 GiB are free on cpu"):
        load_as(tiny)


def test_a_revision_is_a_part_of_a_hub_id_only() -> None:
    pinned = ModelSpec.parse("org/m@v1.0/rc=x")
    assert (pinned.source, pinned.revision, pinned.name) == ("org/m", "v1.0/rc", "x")
    assert ModelSpec.parse("m@0a1b2c").revision == "0a1b2c"
    assert ModelSpec.parse("m@0a1b2c").name == "m"
    for path in ("/models/m@v1", "./m@v1", "a/b/c@v1", "m@", "m@-x"):
        assert (ModelSpec.parse(path).source, ModelSpec.parse(path).revision) == (path, None)


@given(st.text(max_size=40))
def test_any_text_is_a_model_or_a_refusal(text: str) -> None:
    try:
        spec = ModelSpec.parse(text)
    except ValueError:
        return
    assert spec.source
    assert spec.name
    assert text.startswith(spec.source)


def test_a_second_form_of_the_weights_counts_for_the_limit(tmp_path: Path) -> None:
    shape = Shape(hidden=512, intermediate=4096, heads=8, kv_heads=8, layers=1)
    path = make_tiny_model(tmp_path / "wide", shape=shape)
    roomy, tight = (MemoryLedger((torch.device("cpu"),), limit) for limit in (2**32, 104 * 2**20))
    packed = load_as(path, ledger=roomy).runner.extra_bytes
    assert packed == 4 * 512 * (3 * 512 + 3 * 4096)
    assert load_as(path, ledger=tight).runner.extra_bytes == 0, "a quarter of what is left is not enough"
    assert roomy.held_bytes - tight.held_bytes == packed


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("models") / "t5")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_encoder_decoder_models_load_in_every_number_format(tmp_path: Path, kind: str, dtype: str) -> None:
    path = make_tiny_t5(tmp_path / "t5", kind)
    options = LoadOptions((torch.device("cpu"),), dtype)
    loaded = load_model(ModelSpec(str(path), "parrot"), options, lambda share: None)  # it compares the logits itself
    assert isinstance(loaded.runner, EncoderDecoderRunner)
    assert loaded.weight_format == dtype


def test_what_overflows_in_float16_is_clamped_as_transformers_does(t5: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(t5, tmp_path / "loud"))
    weights = load_file(folder / "model.safetensors")
    weights["decoder.block.0.layer.0.SelfAttention.o.weight"] *= 10_000
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    loaded = load_model(
        ModelSpec(str(folder), "parrot"), LoadOptions((torch.device("cpu"),), "float16"), lambda share: None
    )
    attention = loaded.model.decoder.block[0].layer[0].SelfAttention
    assert attention.o(torch.ones(1, 64, dtype=torch.float16)).isinf().any(), "nothing overflows: the test is void"


@pytest.mark.parametrize("kind", Quantisation)
def test_encoder_decoder_models_are_quantised(t5: Path, kind: Quantisation) -> None:
    loaded = load_model(ModelSpec(str(t5), "parrot", quantisation=kind), OPTIONS, lambda share: None)
    assert loaded.weight_format == kind
    assert isinstance(loaded.model.decoder.block[0].layer[1].EncDecAttention.q, QuantisedLinear)
    assert isinstance(loaded.model.encoder.block[0].layer[1].DenseReluDense.wo, QuantisedLinear)


def test_encoder_decoder_models_of_other_families_are_refused_by_name(copy: Path) -> None:
    edit_config(copy, model_type="bart", is_encoder_decoder=True)
    assert refusal(copy).endswith("of encoder-decoder models only mt5, t5, umt5 are served, and this one is 'bart'")


def test_an_encoder_decoder_model_must_say_how_its_answers_begin(t5: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(t5, tmp_path / "copy"))
    (folder / "generation_config.json").unlink()
    edit_config(folder, decoder_start_token_id=None)
    assert refusal(folder) == "parrot: its config.json has no decoder_start_token_id, with which every answer begins"


def test_an_encoder_reads_what_its_tokenizer_says_else_its_config_else_what_the_family_was_trained_with(
    t5: Path, tmp_path: Path
) -> None:
    assert load(t5).context_length == 512
    assert load(make_tiny_t5(tmp_path / "a", context=300)).context_length == 300
    unknown = make_tiny_t5(tmp_path / "b", context=None)
    assert load(unknown).context_length == 512
    edit_config(unknown, n_positions=200)
    assert load(unknown).context_length == 200
    short = LoadOptions((torch.device("cpu"),), max_context=64)
    assert load_model(ModelSpec(str(t5), "parrot"), short, lambda share: None).context_length == 64


def test_an_encoder_decoder_model_needs_memory_for_its_encoders_longest_prompt(tmp_path: Path) -> None:
    folder = make_tiny_t5(tmp_path / "t5", context=4096)
    ledger = MemoryLedger((torch.device("cpu"),), limit=200 * 2**20)
    options = LoadOptions((torch.device("cpu"),), "float32", ledger=ledger)
    # Four heads, each pair of tokens twice: 512 MiB, and 64 for everything else.
    with pytest.raises(ModelRefused, match=r"working memory 0\.56 GiB.* a smaller --max-context needs less"):
        load_model(ModelSpec(str(folder), "parrot"), options, lambda share: None)
    load_model(ModelSpec(str(folder), "parrot"), replace(options, max_context=512), lambda share: None)


def test_only_the_decoders_layers_keep_keys_and_values(t5: Path) -> None:
    # Two of them, four heads of 16 numbers of 4 bytes, keys and values.
    assert load(t5).token_bytes == 2 * 2 * 4 * 16 * 4
