"""Tiny models for text and images with random weights, each with its makers' own processor, made offline.

Real in every format, worthless as models, like those of `tiny_models`.
"""

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from tests.gpu_worker.tiny_models import Shape, write_tokenizer

SHAPE = Shape(vocabulary=600, context=1024)

MARKERS = (
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ 'IMAGE' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)

TEXT: dict[str, Any] = {
    "vocab_size": SHAPE.vocabulary,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": SHAPE.context,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

EYES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}

KINDS = ("idefics3", "smolvlm", "llava", "qwen2_vl", "qwen2_5_vl")


def make_tiny_vision(path: Path, kind: str = "idefics3") -> Path:
    """Write a model folder at `path` and return it. `kind`: one of `KINDS`."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

    write_tokenizer(path, SHAPE, None, MARKERS)
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    place = "<|vision_start|><|image_pad|><|vision_end|>" if kind.startswith("qwen") else "<image>"
    image_token = "<|image_pad|>" if kind.startswith("qwen") else "<image>"
    _processor(kind, tokenizer, TEMPLATE.replace("IMAGE", place)).save_pretrained(path)
    config = AutoConfig.for_model(kind, **_config(kind), image_token_id=tokenizer.convert_tokens_to_ids(image_token))
    make: Any = AutoModelForImageTextToText.from_config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "vision" in name or "visual" in name:  # the default is so small that all images look alike
                    parameter.normal_(std=0.3)
    model.save_pretrained(path)
    return path


def _config(kind: str) -> dict[str, Any]:
    if kind in ("idefics3", "smolvlm"):
        text = TEXT | {"model_type": "llama"}
        return {"vision_config": EYES | {"image_size": 32, "patch_size": 8}, "text_config": text, "scale_factor": 2}
    if kind == "llava":
        eyes = EYES | {"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, "projection_dim": 32}
        return {"vision_config": eyes, "text_config": TEXT | {"model_type": "llama"}, "vision_feature_layer": -1}
    text = TEXT | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}}
    sizes = {"depth": 2, "num_heads": 4, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}
    if kind == "qwen2_vl":
        return {"vision_config": sizes | {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}, "text_config": text}
    more = {"hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64, "window_size": 16}
    return {"vision_config": sizes | more | {"fullatt_block_indexes": [1]}, "text_config": text}


def _processor(kind: str, tokenizer: Any, template: str) -> Any:
    import transformers

    hf: Any = transformers
    if kind == "llava":
        size = {"height": 32, "width": 32}
        eyes: Any = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
        return hf.LlavaProcessor(
            eyes, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
            chat_template=template,
        )  # fmt: skip
    if kind in ("idefics3", "smolvlm"):
        make: Any = hf.Idefics3ImageProcessorPil if kind == "idefics3" else hf.SmolVLMImageProcessorPil
        eyes = make(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
        return hf.Idefics3Processor(eyes, tokenizer, image_seq_len=4, chat_template=template)
    eyes = hf.Qwen2VLImageProcessorPil(
        patch_size=4, temporal_patch_size=2, merge_size=2, min_pixels=64, max_pixels=1024
    )
    tokenizer.chat_template = template  # with a processor of its own it would need what reads videos
    return _Pair(tokenizer, eyes)


class _Pair:
    """The files of a processor without what it has for videos, as makers publish them."""

    def __init__(self, tokenizer: Any, eyes: Any) -> None:
        self._tokenizer, self._eyes = tokenizer, eyes

    def save_pretrained(self, path: Path) -> None:
        self._tokenizer.save_pretrained(path)
        self._eyes.save_pretrained(path)


def picture(width: int = 48, height: int = 40, *, turned: bool = False) -> Image.Image:
    """A gradient: every part of it is different. `turned`: another one."""
    gradient = Image.linear_gradient("L").resize((width, height))
    flipped = gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    other = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (flipped, other, gradient) if turned else (gradient, other, gradient))


def data_url(image: Image.Image | bytes, kind: str = "png", **options: Any) -> str:
    """An image file as a URL. Bytes are taken as they are."""
    if isinstance(image, Image.Image):
        file = io.BytesIO()
        image.save(file, kind.upper(), **options)
        image = file.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def asked(text: str, *images: Image.Image | str) -> list[dict[str, Any]]:
    """A chat whose one message has images, then text."""
    urls = [image if isinstance(image, str) else data_url(image) for image in images]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
