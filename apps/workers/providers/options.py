"""The options of a request that may reach a provider, with the values that ask for nothing. Pure.

An option that a provider does not take may be left out only if its value asks for nothing; any other value is refused.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.workers.errors import WorkerRefused
from gpu_worker.protocol import WorkerErrorCode

Json = dict[str, Any]

ASKS_FOR_NOTHING: Mapping[str, tuple[object, ...]] = {
    "add_generation_prompt": (True,),
    "allowed_token_ids": ([],),
    "audio": (),
    "bad_words": ([],),
    "best_of": (1,),
    "continue_final_message": (False,),
    "dimensions": (),
    "echo": (False,),
    "encoding_format": ("float",),
    "frequency_penalty": (0,),
    "function_call": ("auto", "none"),
    "functions": ([],),
    "guided_choice": (),
    "guided_decoding_backend": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_whitespace_pattern": (),
    "ignore_eos": (False,),
    "include_stop_str_in_output": (False,),
    "input": (),
    "logit_bias": ({},),
    "logits_processors": ([],),
    "logprobs": (False,),
    "max_completion_tokens": (),
    "max_tokens": (),
    "messages": (),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt": (),
    "prompt_embeds": (),
    "prompt_logprobs": (),
    "reasoning_effort": (),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "seed": (),
    "service_tier": ("auto",),
    "skip_special_tokens": (True,),
    "stop": ([], ""),
    "stop_token_ids": ([],),
    "store": (False,),
    "structured_outputs": ({},),
    "suffix": ("",),
    "temperature": (),
    "tool_choice": ("auto",),
    "tools": ([],),
    "top_k": (0, -1),
    "top_logprobs": (0,),
    "top_p": (1,),
    "use_beam_search": (False,),
    "verbosity": (),
    "web_search_options": (),
}

OF_THE_SITE = frozenset(
    {"model", "stream", "stream_options", "user", "safety_identifier", "metadata", "generation_id", "priority"}
)
"""Between a program, the site and its own workers. Who the end user is, is nobody else's business."""

MAKES_A_PROMPT = frozenset({"prompt_template"})
"""Prompt formats are for workers that render prompts."""


def refused(param: str, reason: str) -> WorkerRefused:
    return WorkerRefused(
        reason=f"{param}: {reason}", worker_code=str(WorkerErrorCode.UNSUPPORTED_PARAMETER), param=param
    )


def invalid(param: str, reason: str) -> WorkerRefused:
    return WorkerRefused(reason=f"{param}: {reason}", worker_code=str(WorkerErrorCode.INVALID_REQUEST), param=param)


def taken(body: Json, takes: Iterable[str], provider: str) -> Json:
    """Of a request's fields those that this provider takes and that ask for something.

    Fields that nobody knows are left out: the site has told their names in a header. Raises: WorkerRefused, naming the
    first field that the provider cannot honour.
    """
    takes = frozenset(takes)
    chosen: Json = {}
    for name, value in body.items():
        if value is None or name in OF_THE_SITE:
            continue
        if name in MAKES_A_PROMPT:
            raise refused(name, f"an administrator chose a prompt format for this model, and {provider} has its own")
        if name in takes:
            chosen[name] = value
        elif name in ASKS_FOR_NOTHING and not any(_same(value, harmless) for harmless in ASKS_FOR_NOTHING[name]):
            raise refused(name, f"{provider}, which serves this model, does not support it")
    return chosen


def _same(value: object, harmless: object) -> bool:
    """Whether JSON would say the same: true is not 1 there."""
    return isinstance(value, bool) == isinstance(harmless, bool) and value == harmless
