"""Every step that a recipe may name: importing this fills the registry."""

from apps.datasets.steps import (  # noqa: F401  # each registers its steps
    anonymity,
    battles,
    choosing,
    decontaminate,
    duplicates,
    fields,
    form,
    html,
    identity,
    model_names,
    moderation,
    personal,
    quality,
    questions,
    sampling,
    shape_of_text,
    splitting,
    topics,
    turns,
    words,
)
from apps.datasets.steps.base import REGISTRY

STEPS = REGISTRY
