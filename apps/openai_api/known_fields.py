"""Which fields of a request mean something here, which of them are refused, and which nobody knows.

The worker refuses by name what it knows and does not do. Here are the fields that only the site can judge, and the
names of all that are known, so that a program is told which of its fields were ignored.

Source: OpenAI API reference; vLLM, "Extra parameters", for what OpenAI does not have.
"""

from collections.abc import Mapping
from urllib.parse import quote

from apps.openai_api.errors import InvalidRequest, unsupported

MAX_NAMES_TOLD = 20
MAX_NAME_CHARS = 64
MAX_END_USER_CHARS = 256

_OF_THE_SITE = frozenset({"user", "safety_identifier", "metadata"})

_SAMPLING = frozenset(
    {
        "model", "n", "best_of", "stream", "stream_options", "stop", "stop_token_ids", "seed", "logit_bias",
        "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
        "max_tokens", "min_tokens", "ignore_eos", "response_format", "guided_json", "guided_regex", "guided_choice",
        "guided_grammar", "guided_whitespace_pattern", "guided_decoding_backend", "structured_outputs", "logprobs",
        "prompt_logprobs", "echo", "use_beam_search", "include_stop_str_in_output", "skip_special_tokens",
        "allowed_token_ids", "bad_words", "logits_processors",
    }
)  # fmt: skip

_CHANGES_THE_PROMPT: dict[str, tuple[object, ...]] = {
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "mm_processor_kwargs": ({},),
}
"""Parameters of vLLM, with the values that ask for nothing. Ignoring one would answer another question."""

CHAT = _SAMPLING | _OF_THE_SITE | _CHANGES_THE_PROMPT.keys() | {
    "messages", "max_completion_tokens", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "functions",
    "function_call", "audio", "modalities", "prediction", "reasoning_effort", "verbosity", "web_search_options",
    "store", "service_tier",
}  # fmt: skip
COMPLETION = _SAMPLING | _OF_THE_SITE | {"prompt", "suffix", "prompt_embeds"}
EMBEDDING = frozenset({"model", "input", "encoding_format", "dimensions", "user", "safety_identifier"})
TOKENIZE = frozenset(
    {
        "model", "prompt", "messages", "add_special_tokens", "add_generation_prompt", "tools", "tool_choice",
        "parallel_tool_calls",
    }
)  # fmt: skip


def ignored(body: Mapping[str, object], known: frozenset[str]) -> tuple[str, ...]:
    """The fields that nobody knows, in the order in which they came."""
    return tuple(name for name in body if name not in known)


def ignored_header(names: tuple[str, ...]) -> str:
    """Names as a header's value: percent-encoded, cut, and not more of them than a header should hold."""
    told = [quote(name[:MAX_NAME_CHARS], safe="", errors="backslashreplace") for name in names[:MAX_NAMES_TOLD]]
    return ", ".join(told + ["..."] * (len(names) > MAX_NAMES_TOLD))


def refuse_unsupported(body: Mapping[str, object], known: frozenset[str]) -> None:
    """Raises: InvalidRequest for what changes a prompt, and for metadata, which belong to stored answers."""
    refuse_all_but(body, {name: harmless for name, harmless in _CHANGES_THE_PROMPT.items() if name in known})
    if "metadata" in known and body.get("metadata"):
        raise unsupported("metadata", "it is kept with stored answers only, such as those of /v1/responses")


def refuse_all_but(body: Mapping[str, object], neutral: Mapping[str, tuple[object, ...]]) -> None:
    """`neutral`: fields that are known and not supported, with the values that ask for nothing; null is always one.

    Raises: InvalidRequest.
    """
    for name, harmless in neutral.items():
        value = body.get(name)
        if value is not None and value not in harmless:
            raise unsupported(name, "it is not supported here")


def end_user(body: Mapping[str, object], known: frozenset[str]) -> str | None:
    """Whom the program says it asks for; `safety_identifier` is the newer name. Raises: InvalidRequest."""
    found = None
    for name in ("user", "safety_identifier"):
        value = body.get(name) if name in known else None
        if value is None:
            continue
        if not isinstance(value, str) or len(value) > MAX_END_USER_CHARS:
            raise InvalidRequest(reason=f"{name!r} must be a text of up to {MAX_END_USER_CHARS} characters", param=name)
        found = value
    return found
