"""Which model folders may be loaded: found, complete, safetensors only, no code of their own.

It reads names, sizes and JSON; it loads no weights. Refusals say which model and why, in a sentence.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gpu_worker.engine.interface import EngineKind

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
PINNED_HUB_ID = re.compile(rf"(?P<hub_id>{HUB_ID.pattern})@(?P<revision>[A-Za-z0-9][\w./-]{{0,99}})")
HEADLESS = re.compile(r"(?<!LMHead)Model$|ForMaskedLM$")
ENCODER_DECODERS = frozenset({"t5", "mt5", "umt5"})
"""Those that are served, by their `model_type`."""
SEEING = frozenset({"idefics3", "llava", "qwen2_5_vl", "qwen2_vl", "smolvlm"})
"""Models for text and images that are served, by their `model_type`."""
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]


class Head(StrEnum):
    """What a model puts into classes that writes nothing: whole texts, or each token of them."""

    TEXTS = "ForSequenceClassification"
    TOKENS = "ForTokenClassification"


class ModelRefused(Exception):
    """A model cannot be served. The message is one sentence for people, without a path of this machine."""

    code = "worker.model_refused"


class Quantisation(StrEnum):
    """How the weights of a model's linear layers are kept, when not as they were stored."""

    INT8 = "int8"
    NF4 = "nf4"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: where it comes from, and the name that requests use."""

    source: str
    name: str
    revision: str | None = None
    """Of a model on the hub: a commit, a tag or a branch. With one, `source` is never a folder."""
    quantisation: Quantisation | None = None
    template: str | None = None
    """The prompt format by name, instead of the tokenizer's own chat template."""
    engine: EngineKind | None = None
    """What computes it; None for what its files ask for."""

    @property
    def is_hub_id(self) -> bool:
        """Whether it can be one; a folder of this name would come first."""
        return len(self.source) <= 200 and HUB_ID.fullmatch(self.source) is not None

    @classmethod
    def parse(cls, text: str) -> "ModelSpec":
        """`PATH_OR_HUB_ID[@REVISION][=NAME]`; without a name, the last part of the path. Raises: ValueError.

        `@` belongs to the path unless all before it can be a hub id and all after it a revision: a folder that looks
        like that is written with `./` before it.
        """
        source, _, name = text.partition("=")
        pinned = PINNED_HUB_ID.fullmatch(source)
        revision = pinned["revision"] if pinned else None
        source = pinned["hub_id"] if pinned else source
        name = name or Path(source).name
        if not source or not name or len(name) > 200:
            raise ValueError(f"expected PATH_OR_HUB_ID[@REVISION][=NAME], found {text!r}")
        return cls(source, name, revision)


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """An adapter to serve: the name of its base model here, where it comes from, and the name that requests use."""

    base: str
    source: str
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "AdapterSpec":
        """`BASE=PATH_OR_HUB_ID[@REVISION][=NAME]`. Raises: ValueError."""
        base, _, rest = text.partition("=")
        source, _, name = rest.partition("=")
        return cls.parse_parts(base, source, name)

    @classmethod
    def parse_parts(cls, base: str, source: str, name: str) -> "AdapterSpec":
        """Without a name, the last part of the source. Raises: ValueError."""
        if not base or not source or "=" in source:
            raise ValueError("expected BASE=PATH_OR_HUB_ID[@REVISION][=NAME] with the name of a model as BASE")
        model = ModelSpec.parse(f"{source}={name}")
        return cls(base, model.source, model.name, model.revision)


def adapter_folder(spec: AdapterSpec) -> Path:
    """Find an adapter's folder, downloading it when it is a hub id. Raises: ModelRefused."""
    try:
        folder = Path(spec.source).expanduser()
        if spec.revision is None and folder.is_dir():
            return folder
    except (OSError, RuntimeError) as exc:  # too long, not to be read, or the home of somebody who does not exist
        raise ModelRefused(f"{spec.name}: the path that was given for it cannot be read") from exc
    return _download(ModelSpec(spec.source, spec.name, spec.revision))


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that may be loaded."""

    path: Path
    config: dict[str, Any]
    weight_files: list[Path]
    revision: str | None

    @property
    def weight_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.weight_files)

    @property
    def has_encoder(self) -> bool:
        """Whether the prompt goes to an encoder, and the answer comes from a decoder that looks at it."""
        return self.config["model_type"] in ENCODER_DECODERS

    @property
    def sees_images(self) -> bool:
        return self.config["model_type"] in SEEING

    @property
    def stored_quantisation(self) -> str | None:
        """The method by which the stored weights are quantised already, such as `gptq`."""
        found = self.config.get("quantization_config")
        return str(found.get("quant_method", "unnamed"))[:40] if isinstance(found, dict) else None


def embeds(folder: Path) -> bool:
    """Whether a folder holds a model that turns text into vectors. False for what cannot be read.

    It does if it has sentence-transformers' layout, or an architecture without a head, or with one for masked words.
    """
    try:
        folder = folder.expanduser()
        if (folder / "modules.json").is_file():
            return True
        architectures = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
        return bool(HEADLESS.search(architectures[0]))
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return False


def open_source(spec: ModelSpec, *, head: Head | None = None) -> ModelFolder:
    """Find a model's folder, downloading it when it is a hub id, and check it. Raises: ModelRefused.

    `head`: it shall put texts or tokens into classes, and nothing else.
    """
    folder = Path(spec.source).expanduser()
    revision = None
    if spec.revision is not None or not folder.is_dir():
        folder = _download(spec)
        revision = folder.name[:100]
    config = _read_config(folder, spec.name)
    if head is not None:
        _refuse_no_classifier(config, spec.name, head)
    else:
        _refuse_remote_code(config, spec.name, embeds=embeds(folder))
    weight_files = _weight_files(folder, spec.name)
    return ModelFolder(folder, config, weight_files, revision)


def _download(spec: ModelSpec) -> Path:
    if not HUB_ID.fullmatch(spec.source):
        raise ModelRefused(f"{spec.name}: there is no folder at the path that was given for it")
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(snapshot_download(spec.source, revision=spec.revision, allow_patterns=HUB_FILES))
    except RevisionNotFoundError as exc:
        raise ModelRefused(f"{spec.name}: the hub has the model, but no revision {spec.revision!r} of it") from exc
    except GatedRepoError as exc:
        raise ModelRefused(f"{spec.name}: the hub gives it only to accounts that have been granted access") from exc
    except RepositoryNotFoundError as exc:
        raise ModelRefused(f"{spec.name}: neither a folder here nor a model on the hub has this name") from exc
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx2.HTTPError, OSError) as exc:
        raise ModelRefused(f"{spec.name}: it is no folder here, and the hub cannot be reached to download it") from exc


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelRefused(f"{name}: this is an adapter, which cannot be served without its base model")
        raise ModelRefused(f"{name}: the folder has no config.json, so it is not a model in Hugging Face's format")
    try:
        config = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise ModelRefused(f"{name}: its config.json is not valid JSON ({exc})") from exc
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelRefused(f"{name}: its config.json does not say which model_type it is")
    return config


def _refuse_remote_code(config: dict[str, Any], name: str, *, embeds: bool) -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto as auto

    kind = config["model_type"]
    if not embeds and config.get("is_encoder_decoder") is True and kind not in ENCODER_DECODERS:
        served = ", ".join(sorted(ENCODER_DECODERS))
        raise ModelRefused(f"{name}: of encoder-decoder models only {served} are served, and this one is {kind[:40]!r}")
    known = set(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) | ENCODER_DECODERS | SEEING
    if embeds:
        known |= set(auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES) | set(auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    if kind in known:
        return
    if "auto_map" in config:
        raise ModelRefused(f"{name}: it needs Python code that comes with the model, which is never run here")
    if not embeds and kind in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        served = ", ".join(sorted(SEEING))
        raise ModelRefused(f"{name}: of models that see images only {served} are served, and this one is {kind[:40]!r}")
    if kind in CONFIG_MAPPING:
        what = "read text" if embeds else "generate text from text"
        raise ModelRefused(f"{name}: a model of type {kind!r} does not {what}")
    raise ModelRefused(f"{name}: the installed transformers does not know its model_type {kind!r}")


def _refuse_no_classifier(config: dict[str, Any], name: str, head: Head) -> None:
    from transformers.models.auto import modeling_auto as auto

    if "auto_map" in config:
        raise ModelRefused(f"{name}: it needs Python code that comes with the model, which is never run here")
    architectures = config.get("architectures")
    heads = architectures if isinstance(architectures, list) else []
    match head:
        case Head.TEXTS:
            known = auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        case Head.TOKENS:
            known = auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES
    if not any(str(one).endswith(head) for one in heads) or config["model_type"] not in known:
        raise ModelRefused(f"{name}: it is no model that puts {head.name.lower()} into classes ({head})")


def _weight_files(folder: Path, name: str) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return _indexed_files(index, name)
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    if any(next(folder.glob(pattern), None) for pattern in PICKLED):
        raise ModelRefused(
            f"{name}: its weights are pickled, and loading a pickle can run any code; only safetensors are loaded"
        )
    raise ModelRefused(f"{name}: the folder has no weights (model.safetensors)")


def _indexed_files(index: Path, name: str) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise ModelRefused(f"{name}: its model.safetensors.index.json is malformed") from exc
    files = [index.parent / file for file in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ModelRefused(f"{name}: {len(missing)} of {len(files)} weight files are missing, such as {missing[0]}")
    return files
