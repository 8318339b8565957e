"""Whether a text tells who a model is: names as whole words, where a model speaks of itself or is asked about it. Pure.

"Llamas eat hay" and "I would google it" tell nothing, "I am LLaMA" does. A name of one of the two that means nothing
else, such as vicuna-13b, tells wherever an answer has it.
"""

import re
from collections.abc import Iterable, Sequence

# Source: the list by which FastChat cleans its battles (clean_battle_data.py), and names that came later.
# fmt: off
KNOWN = (
    "vicuna", "lmsys", "koala", "uc berkeley", "open assistant", "openassistant", "laion", "chatglm", "glm", "chatgpt",
    "gpt", "openai", "anthropic", "claude", "bard", "palm", "lamda", "google", "deepmind", "gemini", "gemma", "llama",
    "meta", "meta ai", "facebook", "qianwen", "qwen", "tongyi", "alibaba", "mistral", "mistral ai", "mixtral", "zhipu",
    "keg lab", "01.ai", "ai2", "tülu", "tulu", "olmo", "deepseek", "hermes", "nous research", "cohere", "command r",
    "dbrx", "databricks", "grok", "xai", "microsoft", "phi", "bing", "copilot", "falcon", "yi", "kimi", "moonshot",
    "ernie", "baidu", "nvidia", "nemotron", "reka", "amazon", "nova", "apple", "hugging face", "smollm", "minimax",
    "stability ai", "stablelm", "baichuan", "internlm", "granite", "ibm", "perplexity",
)
# fmt: on

_SELF = (
    r"i am|i'm|i’m|i was|i've been|i’ve been|my name is|call me|as an? (?:ai|large|language|virtual|chat)|"
    r"ich bin|ich wurde|mein name ist|je suis|je m'appelle|je m’appelle|yo soy|soy|me llamo|sono|mi chiamo|"
    r"eu sou|meu nome é|я|меня зовут|我是|我叫|私は|저는|나는"
)
_YOU = (
    r"are you|you are|you're|you’re|aren't you|(?:talking|speaking|chatting|writing) (?:to|with)|bist du|"
    r"sind sie|du bist|es-tu|tu es|êtes-vous|eres|você é|ты|вы|你是|あなたは|당신은"
)
_BETWEEN = (
    r"a|an|the|ai|my|your|large|small|language|chat|open|source|model|models|assistant|chatbot|bot|system|software|version|"
    r"created|made|trained|developed|built|designed|released|powered|provided|tuned|fine-tuned|based|called|named|known|"
    r"by|from|at|of|on|and|or|is|in|fact|not|really|actually|just|secretly|maybe|still|team|company|people|ein|eine|von|"
    r"sprachmodell|entwickeltes|trainiertes|un|une|una|modèle|modelo|de|di|del|langage|lenguaje|par|por|da"
)
_MAKES = r"make|makes|made|create|creates|created|train|trains|trained|develop|develops|developed|build|built|own|owns"
_MAKERS = r"(?:creator|developer|maker|trainer|owner|company|model|name|makers|creators|developers|vendor|provider)s?"

_OWN = re.compile(r"[\d_/.-]|[a-z][A-Z]")
"""What makes a name unlike any other word."""


def told_by(answers: Iterable[str], contestants: Sequence[str]) -> str | None:
    """How an answer tells who wrote it, or None. `contestants`: names of the two and of their makers."""
    anywhere = _pattern("{names}", [name for name in contestants if _OWN.search(name)])
    of_itself = _pattern(_claim(_SELF, "my", "me"), [*KNOWN, *contestants])
    return _first(answers, anywhere, of_itself)


def asked_by(questions: Iterable[str], contestants: Sequence[str]) -> str | None:
    """How a message asks a model whether it is somebody, by name, or None."""
    return _first(questions, _pattern(_claim(_YOU, "your", "you"), [*KNOWN, *contestants]))


def _claim(says: str, whose: str, whom: str) -> str:
    """That it is X; that its maker is X; that X made it."""
    between = rf"(?:[\s,:*_\"'“”-]*(?:{_BETWEEN})\b){{0,12}}[\s,:*_\"'“”]*"
    return (
        rf"(?<!\w)(?:{says}){between}{{names}}"
        rf"|(?<!\w){whose}\s+{_MAKERS}\b{between}{{names}}"
        rf"|{{names}}\s+(?:{_MAKES})\s+{whom}\b"
    )


def _first(texts: Iterable[str], *patterns: re.Pattern[str]) -> str | None:
    for text in texts:
        for pattern in patterns:
            if found := pattern.search(text):
                return found[0]
    return None


def _pattern(form: str, names: Sequence[str]) -> re.Pattern[str]:
    """With any of the names, in any case, with the number of a version or without. Without names it finds nothing."""
    wanted = sorted({name.strip().lower() for name in names if len(name.strip()) > 1}, key=len, reverse=True)
    if not wanted:
        return re.compile(r"(?!)")
    whole = rf"(?<![a-zA-Z0-9_])(?:{'|'.join(map(re.escape, wanted))})(?:[ -]?v?\d[\w.]*)?(?![a-zA-Z0-9_])"
    return re.compile(form.replace("{names}", whole), re.IGNORECASE)
