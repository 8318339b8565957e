"""Whether a text tells who a model is: names as whole words, where a model speaks of itself or is asked about it. Pure.

"Llamas eat hay" and "I would google it" tell nothing, "I am LLaMA" does. A name of one of the two that means nothing
else, such as vicuna-13b, tells wherever an answer has it.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

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
    "通义千问", "文心一言", "豆包", "智谱清言",
)
# fmt: on

_SELF = (
    r"i am|i'm|i’m|i go by|i was|i've been|i’ve been|my name is|call me|as an? (?:ai|large|language|virtual|chat)|"
    r"ich bin|ich wurde|mein name ist|je suis|je m'appelle|je m’appelle|yo soy|me llamo|sono|mi chiamo|"
    r"eu sou|meu nome é|я|меня зовут|我是|我叫|私は|저는|나는"
)
_YOU = (
    r"are you|you are|you're|you’re|aren't you|(?:talking|speaking|chatting|writing) (?:to|with)|bist du|"
    r"sind sie|du bist|es-tu|tu es|êtes-vous|eres|você é|ты|вы|你是|あなたは|당신은"
)
_BLANK = r" \t\u00a0\u3000"
_GAP = f"[{_BLANK}]"
"""Between two words of one claim. The next line is another one: "I am Claude" and below it "How can I help?"."""
_DONE = r"created|made|trained|developed|built|designed|released|powered|provided|tuned|based"
_BETWEEN = (
    rf"(?:{_DONE}|team|people|company|lab){_GAP}+at|(?:{_DONE}){_GAP}+(?:on|and)|"
    r"a|an|the|ai|my|your|large|small|language|chat|open|source|model|models|assistant|chatbot|bot|system|software|version|"
    r"created|made|trained|developed|built|designed|released|powered|provided|tuned|fine-tuned|based|called|named|known|"
    r"that|which|was|has|been|part|one|member|family|series|"
    r"by|from|of|or|is|in fact|not|really|actually|just|secretly|maybe|still|team|company|people|"
    r"ein|eine|von|sprachmodell|entwickeltes|trainiertes|un|une|una|modèle|modelo|de|di|del|langage|lenguaje|par|por|da"
)
_MAKES = r"make|makes|made|create|creates|created|train|trains|trained|develop|develops|developed|build|built|own|owns"
_MAKERS = r"(?:creator|developer|maker|trainer|owner|company|model|name|makers|creators|developers|vendor|provider)s?"

_ROLES = (
    r"users?|fans?|customers?|employees?|engineers?|experts?|recruiters?|developers?|managers?|interviewers?|investors?|"
    r"shareholders?|lovers?|owners?|designers?|consultants?|administrators?|admins?|specialists?|executives?|ceo"
)
_SUFFIXES = (
    r"AI|Pro|Plus|Max|Mini|Nano|Ultra|Flash|Turbo|Opus|Sonnet|Haiku|Instruct|Instant|Chat|Base|Large|Small|Medium|Coder|"
    r"Code|Vision|Nemo|Advanced|Lite|Thinking|Preview|Next|Omni|Scout|Maverick|Reasoner|Assistant|Model|Team|Research|"
    r"Family"
)
_SOMEBODY_ELSE = (
    rf"(?!(?:['’]s)?{_GAP}+(?:[\w-]+{_GAP}+){{0,2}}(?:{_ROLES})\b)"  # an Apple user, an IBM mainframe engineer
    rf"(?!{_GAP}+(?-i:(?!(?:{_SUFFIXES})\b)[A-Z][a-z]))"  # Claude Monet, Nova Scotia
)
_OF_ITSELF_TOO = (
    r"|(?:^|[.!\n]\s*)this is[ *_`]+{names}(?=[ *_`]*(?:[.,!;:\n]|$))"
    rf"|(?<![\w\"“'‘])as {{names}}{_GAP}*,{_GAP}*i\b"
    # Spanish, and not soy beans: at the beginning of a clause, and before a name or a Spanish word.
    r"|(?:^|[.!,;:¡\n])[ *_`]*soy[ *_`]+(?:(?:un|una|el|la|de|modelo|lenguaje|asistente|ia)[ *_`]+){0,8}"
    r"(?-i:(?=[A-Z])){names}"
    r"|you(?: are|'re|’re) (?:talking|speaking|chatting) (?:to|with)[ *_`]+{names}"
)
OWN_MIN_CHARS = 5


def told_by(answers: Iterable[str], contestants: Sequence[str], makers: Sequence[str] = ()) -> str | None:
    """How an answer tells who wrote it, or None. `contestants`: names of the two; `makers`: of their makers."""
    return _first(answers, *_telling(tuple(contestants), tuple(makers)))


def asked_by(questions: Iterable[str], contestants: Sequence[str], makers: Sequence[str] = ()) -> str | None:
    """How a message asks a model whether it is somebody, by name, or None."""
    names = _claimed([*KNOWN, *contestants, *makers])
    return _first(questions, _pattern(_claim(_YOU, "your", "you"), names, _SOMEBODY_ELSE))


@lru_cache(maxsize=4096)
def _telling(contestants: tuple[str, ...], makers: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Kept, since a battle file asks for the same names again and again."""
    anywhere = _pattern("{names}", [re.escape(name) for name in _cleaned(contestants) if _is_own(name)])
    of_itself = _claim(_SELF, "my", "me") + _OF_ITSELF_TOO
    return anywhere, _pattern(of_itself, _claimed([*KNOWN, *contestants, *makers]), _SOMEBODY_ELSE)


def _is_own(name: str) -> bool:
    """Whether a name means nothing else, so that it tells wherever it stands: vicuna-13b does, LLaMA and 3.5 do not."""
    return len(name) >= OWN_MIN_CHARS and bool(re.search(r"[a-z]", name)) and bool(re.search(r"\w[_/.-]\w", name))


def _claim(says: str, whose: str, whom: str) -> str:
    """That it is X; that its maker is X; that X made it. Not what somebody is quoted with."""
    between = rf"(?:[{_BLANK},:*_\"'“”`(-]*(?:{_BETWEEN})\b){{0,12}}[{_BLANK},:*_\"'“”`(]*"
    return (
        rf"(?<![\w\"“'‘„«])(?:{says}){between}{{names}}"
        rf"|(?<![\w\"“'‘„«]){whose}{_GAP}+{_MAKERS}\b(?:{_GAP}+at\b)?{between}{{names}}"
        rf"|{{names}}{_GAP}+(?:{_MAKES}){_GAP}+{whom}\b(?!{_GAP}+(?!(?:to|as|and|in|on|with|for|from|by|using|at)\b)\w)"
    )


def _first(texts: Iterable[str], *patterns: re.Pattern[str]) -> str | None:
    for text in texts:
        for pattern in patterns:
            if found := pattern.search(text):
                return found[0]
    return None


def _cleaned(names: Sequence[str]) -> list[str]:
    wanted = {name.strip().lower() for name in names if re.search(r"\w\w", name)}
    return sorted((name for name in wanted if not re.fullmatch(r"[\d\W_]+", name)), key=len, reverse=True)


def _claimed(names: Sequence[str]) -> list[str]:
    """As somebody writes names who speaks of them: acme-helper is Acme Helper too."""
    return [f"[-_{_BLANK}]?".join(map(re.escape, re.split(r"[-_\s]+", name))) for name in _cleaned(names)]


def _pattern(form: str, names: Sequence[str], not_before: str = "") -> re.Pattern[str]:
    """With any of the names, in any case, with the number of a version or without. Without names it finds nothing."""
    if not names:
        return re.compile(r"(?!)")
    one = rf"(?:{'|'.join(names)})(?:[ -]?v?\d[\w.]*)?(?![a-zA-Z0-9_])"
    whole = rf"(?<![a-zA-Z0-9_]){one}(?:{_GAP}+{one})?{not_before}" if not_before else rf"(?<![a-zA-Z0-9_]){one}"
    return re.compile(form.replace("{names}", whole), re.IGNORECASE)
