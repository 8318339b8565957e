"""What a model's makers do to an image before the model sees it: sizes, crops, numbers, and its places in the prompt.

It is transformers' own processor of the model, on Pillow and NumPy, without what it has for videos. It decodes no
files (`images` does).
"""

import hashlib
from typing import Any

from PIL import Image

from gpu_worker.engine.picture import Picture
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.modeling.folder_files import one_line
from gpu_worker.modeling.source import ModelFolder, ModelRefused

LEAST_SIDE = 28
"""In pixels. A smaller image is enlarged: processors guess from sizes which axis is colour, and the smallest fail."""

PLAINER = {"SmolVLMProcessor": "Idefics3Processor"}
"""Processors that want further packages for videos, and those that read images the same way without them."""


class ImageProcessor:
    """Prepares images for one model. Safe to use from several threads: it keeps no state."""

    def __init__(self, folder: ModelFolder, name: str, tokenizer: Any) -> None:
        """Raises: ModelRefused."""
        try:
            self._processor = _load(folder, tokenizer)
        except Exception as exc:  # transformers raises many kinds for what is one thing to a user
            reason = one_line(exc, folder)
            raise ModelRefused(f"{name}: it has no image processor that can be loaded ({reason})") from exc
        self.image_token: str = self._processor.image_token
        """Stands in the chat template's text where an image is."""
        self.chat_template: Any = self._processor.chat_template
        """None where only the tokenizer has one."""

    def prepare(self, image: Image.Image, param: str) -> tuple[str, Picture]:
        """What stands in the prompt for the image, and what the model sees. `param`: where it came from.

        Raises: WorkerError (invalid_request): its shape is one that the model cannot take.
        """
        try:
            prepared = self._processor(
                images=[_enlarged(image)],
                text=[self.image_token],
                return_tensors="pt",
                return_text_replacement_offsets=True,
            )
            (place,) = prepared.pop("text_replacement_offsets")[0]
        except ValueError as exc:
            raise _unfit(param, exc) from exc
        words: str = place["replacement"]
        digest = hashlib.blake2b(f"{image.size}".encode() + image.tobytes(), digest_size=16).hexdigest()
        return words, Picture(digest, dict(prepared), words.count(self.image_token))


def _unfit(param: str, exc: Exception) -> WorkerError:
    return invalid(param, f"the model cannot take an image of this shape ({str(exc)[:200]})")


def _enlarged(image: Image.Image) -> Image.Image:
    short = min(image.size)
    if short >= LEAST_SIDE:
        return image
    width, height = (max(LEAST_SIDE, round(side * LEAST_SIDE / short)) for side in image.size)
    return image.resize((width, height))


def _load(folder: ModelFolder, tokenizer: Any) -> Any:
    import transformers
    from transformers import AutoImageProcessor
    from transformers.models.auto import processing_auto

    auto: Any = processing_auto
    named = auto.PROCESSOR_MAPPING_NAMES[folder.config["model_type"]]
    base: Any = getattr(transformers, PLAINER.get(named, named))

    class StillImages(base):
        """The same without videos, which torchvision would read."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            return ["image_processor", "tokenizer"]

    settings, _ = base.get_processor_dict(folder.path, local_files_only=True)
    settings.pop("video_processor", None)
    image_processor = AutoImageProcessor.from_pretrained(
        folder.path, backend="pil", trust_remote_code=False, local_files_only=True
    )
    return StillImages.from_args_and_dict([image_processor, tokenizer], settings)
