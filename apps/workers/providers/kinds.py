"""The registry: which kinds of provider there are, where they are, how they let the site in, what they take. Data.

What a kind takes is what its vendor documents. Everything else is refused by name, also where the vendor's server would
ignore it silently. To add a kind, add a row.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from apps.workers.call import WorkerPath


class Language(StrEnum):
    """What a provider speaks."""

    CHAT_COMPLETIONS = "chat_completions"
    """OpenAI's, which most others speak too."""
    MESSAGES = "messages"
    """Anthropic's."""


class Auth(StrEnum):
    """In which header the key travels."""

    BEARER = "Authorization"
    AZURE = "api-key"
    ANTHROPIC = "x-api-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One row of the registry. `takes` holds the options that each door takes; a door that is missing is not there."""

    name: str
    label: str
    base_url: str
    """Where it is, or a pattern with the words in capitals to be replaced."""
    takes: dict[WorkerPath, frozenset[str]]
    language: Language = Language.CHAT_COMPLETIONS
    auth: Auth = Auth.BEARER
    is_vendor: bool = False
    """Somebody else's service: it needs a key, and the key travels over TLS only."""
    renames: dict[str, str] = field(default_factory=dict)
    """Of options that have another name there."""
    max_tokens: str = "max_tokens"
    """What the longest answer of a chat is called."""
    takes_stream_options: bool = True
    """If not, it tells the usage of every stream unasked."""
    continues: bool = False
    """Whether it goes on with an answer of which the prompt has the beginning."""
    lists_models: bool = True
    """If not, only a request shows whether it is there."""


_SAMPLING = frozenset({"stop", "temperature", "top_p"})
_PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
_TOOLS = frozenset({"tools", "tool_choice"})
_LOGPROBS = frozenset({"logprobs", "top_logprobs"})
_CHAT = frozenset({"messages", "response_format"}) | _SAMPLING | _TOOLS
_FULL_CHAT = _CHAT | _PENALTIES | _LOGPROBS | {"seed", "n", "logit_bias", "parallel_tool_calls"}
_TEXT = frozenset({"prompt", "seed"}) | _SAMPLING | _PENALTIES
_FULL_TEXT = _TEXT | {"n", "best_of", "echo", "logprobs", "logit_bias", "suffix"}
_VECTORS = frozenset({"input", "encoding_format"})
_CONTINUES = frozenset({"continue_final_message", "add_generation_prompt"})
_ENGINE = frozenset(
    {"top_k", "min_p", "repetition_penalty", "stop_token_ids", "min_tokens", "ignore_eos", "skip_special_tokens"}
)


def _doors(
    chat: frozenset[str], text: frozenset[str] = frozenset(), vectors: frozenset[str] = frozenset()
) -> dict[WorkerPath, frozenset[str]]:
    doors = {
        WorkerPath.CHAT_COMPLETIONS: chat,
        WorkerPath.COMPLETIONS: text,
        WorkerPath.EMBEDDINGS: vectors,
    }
    return {path: takes for path, takes in doors.items() if takes}


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        # Source: OpenAI API reference, "Create chat completion", "Create completion", "Create embeddings".
        Kind(
            name="openai",
            label="OpenAI",
            base_url="https://api.openai.com/v1",
            takes=_doors(
                _FULL_CHAT | {"reasoning_effort", "verbosity", "service_tier", "prediction"},
                _FULL_TEXT,
                _VECTORS | {"dimensions"},
            ),
            is_vendor=True,
            max_tokens="max_completion_tokens",
        ),
        # Source: Microsoft, "Azure OpenAI in Foundry Models v1 API": `api-key`, deployment names as models.
        Kind(
            name="azure",
            label="Azure OpenAI (v1)",
            base_url="https://RESOURCE.openai.azure.com/openai/v1",
            takes=_doors(_FULL_CHAT | {"reasoning_effort", "verbosity"}, vectors=_VECTORS | {"dimensions"}),
            auth=Auth.AZURE,
            is_vendor=True,
            max_tokens="max_completion_tokens",
        ),
        # Source: Anthropic, "Messages API"; see `messages`.
        Kind(
            name="anthropic",
            label="Anthropic",
            base_url="https://api.anthropic.com/v1",
            takes=_doors(_CHAT | {"top_k", "parallel_tool_calls"}),
            language=Language.MESSAGES,
            auth=Auth.ANTHROPIC,
            is_vendor=True,
        ),
        # Source: Mistral, "Chat completion API": `random_seed`; usage comes with the last chunk of every stream.
        Kind(
            name="mistral",
            label="Mistral",
            base_url="https://api.mistral.ai/v1",
            takes=_doors(_CHAT | _PENALTIES | {"seed", "n", "parallel_tool_calls"}, vectors=_VECTORS),
            is_vendor=True,
            renames={"seed": "random_seed"},
            takes_stream_options=False,
        ),
        # Source: GroqDocs, "OpenAI compatibility", the list of unsupported fields.
        Kind(
            name="groq",
            label="Groq",
            base_url="https://api.groq.com/openai/v1",
            takes=_doors(_CHAT | _PENALTIES | {"seed", "parallel_tool_calls", "reasoning_effort", "service_tier"}),
            is_vendor=True,
            max_tokens="max_completion_tokens",
        ),
        # Source: Google, "OpenAI compatibility" of the Gemini API.
        Kind(
            name="gemini",
            label="Google Gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            takes=_doors(_CHAT | {"n", "reasoning_effort"}, vectors=_VECTORS | {"dimensions"}),
            is_vendor=True,
        ),
        # Source: Cohere, "Using Cohere models via the OpenAI SDK", supported parameters; it refuses stream_options.
        Kind(
            name="cohere",
            label="Cohere",
            base_url="https://api.cohere.ai/compatibility/v1",
            takes=_doors((_CHAT | _PENALTIES | {"seed"}) - {"tool_choice"}, vectors=_VECTORS),
            is_vendor=True,
            takes_stream_options=False,
        ),
        # Source: AWS, "Invoke a model with the OpenAI Chat Completions API": a Bedrock API key as bearer token.
        # "Get list of models": this endpoint has none in OpenAI's language.
        Kind(
            name="bedrock",
            label="Amazon Bedrock",
            base_url="https://bedrock-runtime.REGION.amazonaws.com/openai/v1",
            takes=_doors(_CHAT | {"reasoning_effort"}),
            is_vendor=True,
            max_tokens="max_completion_tokens",
            lists_models=False,
        ),
        # Source: vLLM, "OpenAI-Compatible Server", extra parameters.
        Kind(
            name="vllm",
            label="vLLM",
            base_url="http://HOST:8000/v1",
            takes=_doors(
                _FULL_CHAT | _ENGINE | _CONTINUES | {"structured_outputs", "bad_words", "allowed_token_ids"},
                _FULL_TEXT - {"best_of", "suffix"} | _ENGINE | {"structured_outputs", "allowed_token_ids"},
                _VECTORS | {"dimensions"},
            ),
            continues=True,
        ),
        # Source: SGLang, "OpenAI APIs - Completions", extra parameters.
        Kind(
            name="sglang",
            label="SGLang",
            base_url="http://HOST:30000/v1",
            takes=_doors(_FULL_CHAT | _ENGINE, _FULL_TEXT - {"best_of", "suffix"} | _ENGINE, _VECTORS),
        ),
        # Source: Text Generation Inference, "Messages API", `ChatRequest`: logit_bias and n are unused there.
        Kind(
            name="tgi",
            label="Text Generation Inference",
            base_url="http://HOST:8080/v1",
            takes=_doors(_CHAT | _PENALTIES | _LOGPROBS | {"seed"}),
        ),
        # Source: llama.cpp, tools/server/README.md, "OpenAI-compatible Chat Completions API".
        Kind(
            name="llamacpp",
            label="llama.cpp",
            base_url="http://HOST:8080/v1",
            takes=_doors(
                _CHAT | _PENALTIES | _LOGPROBS | {"seed", "logit_bias", "parallel_tool_calls", "top_k", "min_p"},
                _TEXT | {"logit_bias", "top_k", "min_p"},
                _VECTORS,
            ),
        ),
        # Source: Ollama, "OpenAI compatibility", supported request fields.
        Kind(
            name="ollama",
            label="Ollama",
            base_url="http://HOST:11434/v1",
            takes=_doors(
                (_CHAT | _PENALTIES | {"seed", "reasoning_effort"}) - {"tool_choice"},
                _TEXT | {"suffix"},
                _VECTORS | {"dimensions"},
            ),
        ),
        Kind(
            name="other",
            label="Another OpenAI-compatible server",
            base_url="https://HOST/v1",
            takes=_doors(_CHAT | _PENALTIES | {"seed"}, _TEXT, _VECTORS),
        ),
    )
}


UNLISTED = [kind.name for kind in KINDS.values() if not kind.lists_models]


def choices() -> list[tuple[str, str]]:
    """For forms."""
    return [(kind.name, kind.label) for kind in KINDS.values()]
