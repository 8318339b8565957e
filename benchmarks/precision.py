"""What a number format of the weights costs and gains: seconds of a decode step, and perplexity.

Imported after the environment of torch is set.
"""

import math

import torch
from torch.nn import functional

from benchmarks.engine_steps import StepPlan, Subject, load, measure
from benchmarks.report import middle
from gpu_worker.modeling.loading import LoadedModel
from gpu_worker.modeling.source import Quantisation
from gpu_worker.training.curriculum import conversations
from gpu_worker.training.curriculum.turns import Persona

SEED = 20_000_003
"""Of the text: not the one that the demonstration models were trained with."""


def step_s(name: str, plan: StepPlan, kinds: tuple[Quantisation | None, ...]) -> list[float]:
    """Seconds of a decode step at one stream for each kind of weights, measured turn about."""
    models = [Subject.of(load(name, plan, kind)) for kind in kinds]
    rounds = [[middle(measure(model, 1, plan).whole_s) for model in models] for _ in range(plan.rounds + 1)]
    return [middle([times[place] for times in rounds[1:]]) for place in range(len(models))]  # the first one warms


def perplexity(loaded: LoadedModel, n_conversations: int) -> float:
    """Of the demonstration's conversations as the chat template writes them, per token."""
    nats, n_tokens = 0.0, 0
    for messages in conversations(SEED, n_conversations, Persona(loaded.name, shows_working=True)):
        text = loaded.tokenizer.apply_chat_template(messages, tokenize=False)
        ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"][: loaded.context_length]
        tokens = torch.tensor([ids])
        with torch.inference_mode():
            logits = loaded.model(tokens).logits[0, :-1].float()
        nats += functional.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()
        n_tokens += len(ids) - 1
    return math.exp(nats / n_tokens)
