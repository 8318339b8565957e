"""Load a text-classification model, and judge texts by it: windows of what it can read, and of each label the worst."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gpu_worker.modeling.device import choose_devices
from gpu_worker.modeling.folder_files import load_tokenizer, load_weights
from gpu_worker.modeling.source import Head, ModelRefused, ModelSpec, open_source

WINDOWS_AT_ONCE = 16
OVERLAP = 8
"""Neighbouring windows share this part of their length, so that nothing is cut in two in both."""
LONGEST_WINDOW = 2048
_STRANGE = re.compile(r"[^a-z0-9_/]+")


@dataclass(frozen=True, slots=True)
class LoadedClassifier:
    """`categories`: of each output of the model, in their order, the category; empty for those that are harmless.

    `is_multi_label`: labels are independent of each other; else exactly one of them is true.
    """

    name: str
    model: Any
    tokenizer: Any
    categories: tuple[str, ...]
    is_multi_label: bool
    window: int

    def scores(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Of each text how likely it is in each category, 0 to 1. A long text is as bad as its worst window."""
        cut = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.window,
            stride=self.window // OVERLAP,
            return_overflowing_tokens=True,
        )
        owners: list[int] = cut.pop("overflow_to_sample_mapping")
        found: list[dict[str, float]] = [dict.fromkeys(filter(None, self.categories), 0.0) for _ in texts]
        for begin in range(0, len(owners), WINDOWS_AT_ONCE):
            part = {name: values[begin : begin + WINDOWS_AT_ONCE] for name, values in cut.items()}
            for owner, row in zip(owners[begin : begin + WINDOWS_AT_ONCE], self._windows(part), strict=True):
                for category, score in zip(self.categories, row, strict=True):
                    if category:
                        found[owner][category] = max(found[owner][category], score)
        return found

    def _windows(self, part: dict[str, list[list[int]]]) -> list[list[float]]:
        padded = self.tokenizer.pad(part, padding=True, return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            logits = self.model(**padded).logits.float()
        scores = logits.sigmoid() if self.is_multi_label else logits.softmax(-1)
        rows: list[list[float]] = scores.cpu().tolist()
        return rows


def load_classifier(spec: ModelSpec, *, device: str, harmless: Collection[str]) -> LoadedClassifier:
    """`harmless`: labels that are no category, as the model names them. Raises: ModelRefused, DeviceError."""
    from transformers import AutoModelForSequenceClassification

    folder = open_source(spec, head=Head.TEXTS)
    tokenizer = load_tokenizer(folder, spec.name)
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise ModelRefused(f"{spec.name}: its tokenizer cannot cut long texts into windows and fill up short ones")
    [place, *_] = choose_devices(device)
    model = load_weights(AutoModelForSequenceClassification, folder, spec, "auto", [place])
    return LoadedClassifier(
        name=spec.name,
        model=model,
        tokenizer=tokenizer,
        categories=categories_of(model.config.id2label, harmless, spec.name),
        is_multi_label=model.config.problem_type == "multi_label_classification" or model.config.num_labels == 1,
        window=window_of(model, tokenizer),
    )


def categories_of(labels: dict[int, str], harmless: Collection[str], name: str) -> tuple[str, ...]:
    """Labels as policies of the site can name them: "Self Harm" is "self-harm". Raises: ModelRefused."""
    if unknown := sorted(set(harmless) - set(labels.values())):
        known = ", ".join(map(repr, labels.values()))
        raise ModelRefused(f"{name}: it has no label {unknown[0]!r}, only {known}")
    ordered = [label for _, label in sorted(labels.items())]
    found = tuple("" if label in harmless else _STRANGE.sub("-", label.lower()).strip("-_/") for label in ordered)
    kept = [category for category in found if category]
    n_named = sum(label not in harmless for label in ordered)
    if not kept or len(kept) < n_named or len(set(kept)) < len(kept):
        raise ModelRefused(f"{name}: its labels are no categories that can be told apart: {', '.join(labels.values())}")
    return found


def window_of(model: Any, tokenizer: Any) -> int:
    """How many tokens it can read at once. RoBERTa counts positions from behind the padding token's id."""
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST_WINDOW
    embeddings = getattr(model.base_model, "embeddings", None)
    if getattr(embeddings, "padding_idx", None) is not None:
        positions -= model.config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length, LONGEST_WINDOW))
