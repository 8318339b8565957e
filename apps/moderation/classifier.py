"""Ask a classifier what it thinks of texts. The only code that talks to one, by the site's one way out.

Source: OpenAI API reference, "Create moderation".
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import httpx

from apps.core.errors import SiteError
from apps.core.outbound import http_client
from apps.core.texts import clean_json, strict_json
from apps.moderation.actions import UNCHECKED, Finding
from apps.moderation.batches import batches
from apps.moderation.errors import ClassifierAway
from apps.moderation.models import Classifier

Input = str | dict[str, Any]
"""A text, or an image as a part of a message."""

MAX_REPLY_BYTES = 4 * 1024 * 1024
MAX_CATEGORIES = 200
GROUPS_AT_ONCE = 4
"""Of one request. A long one goes to the classifier in groups, which it can judge in the memory that it has."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one text: which categories it is in, and how likely, 0 to 1."""

    categories: dict[str, bool]
    scores: dict[str, float]

    def findings(self, by: str) -> list[Finding]:
        return [Finding(category, by) for category, is_found in self.categories.items() if is_found]


async def judged(classifier: Classifier, texts: list[str]) -> list[Judgement]:
    """One judgement for each text. Raises: ClassifierAway, if there is not one for each in its time."""
    asking = _Asking(classifier)
    groups = await asyncio.gather(*map(asking.judged, batches(texts)), return_exceptions=True)
    judgements: list[Judgement] = []
    for group in groups:
        if isinstance(group, BaseException):
            raise group
        judgements += group
    return judgements


async def findings_of(classifier: Classifier, texts: list[str]) -> list[list[Finding]]:
    """Of each text what the classifier finds; what it has not judged in its time is unchecked."""
    asking = _Asking(classifier)
    return list(chain.from_iterable(await asyncio.gather(*map(asking.findings, batches(texts)))))


async def image_findings(classifier: Classifier, urls: Sequence[str]) -> list[list[Finding]]:
    """Of each image, as a `data:` URL, what the classifier finds; what it has not judged in its time is unchecked.

    Source: OpenAI API reference, "Create moderation", multi-modal input: one image in a request.
    """
    asking = _Asking(classifier)
    images: list[list[Input]] = [[{"type": "image_url", "image_url": {"url": url}}] for url in urls]
    return list(chain.from_iterable(await asyncio.gather(*map(asking.findings, images))))


class _Asking:
    """All that one request asks: group by group, a few at once, and all of them within the classifier's time."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._places = asyncio.Semaphore(GROUPS_AT_ONCE)
        self._ends_at = asyncio.get_running_loop().time() + classifier.timeout_s

    async def judged(self, inputs: Sequence[Input]) -> list[Judgement]:
        """Raises: ClassifierAway."""
        try:
            async with asyncio.timeout_at(self._ends_at), self._places:
                return await _judged(self._classifier, inputs)
        except TimeoutError as exc:
            raise ClassifierAway(reason=f"it did not judge all in {self._classifier.timeout_s:g} s") from exc

    async def findings(self, inputs: Sequence[Input]) -> list[list[Finding]]:
        name = self._classifier.name
        try:
            return [judgement.findings(name) for judgement in await self.judged(inputs)]
        except ClassifierAway:
            return [[Finding(UNCHECKED, name)] for _ in inputs]


async def _judged(classifier: Classifier, inputs: Sequence[Input]) -> list[Judgement]:
    """Raises: ClassifierAway, TimeoutError."""
    body: dict[str, Any] = {"input": inputs}
    if classifier.model_name:
        body["model"] = classifier.model_name
    try:
        key = classifier.key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"{classifier.base_url.rstrip('/')}/moderations"
        reply = await _posted(url, body, headers, classifier.timeout_s)
        return [_judgement(result) for result in _results(reply, len(inputs))]
    except SiteError as exc:
        raise ClassifierAway(reason=exc.message) from exc
    except (httpx.RequestError, httpx.InvalidURL) as exc:
        raise ClassifierAway(reason=str(exc) or type(exc).__name__) from exc
    except (ValueError, OverflowError, RecursionError) as exc:
        raise ClassifierAway(reason=f"it does not answer as OpenAI's does: {exc}") from exc


async def _posted(url: str, body: dict[str, Any], headers: dict[str, str], timeout_s: float) -> bytes:
    content = bytearray()
    async with http_client().stream("POST", url, json=body, headers=headers, timeout=timeout_s) as response:
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > MAX_REPLY_BYTES:
                raise ValueError(f"more than {MAX_REPLY_BYTES} bytes")
    if response.status_code != 200:
        raise ValueError(f"HTTP {response.status_code}")
    return bytes(content)


def _results(reply: bytes, n_texts: int) -> list[Any]:
    answer = clean_json(strict_json(reply))
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != n_texts:
        raise ValueError(f"expected {n_texts} results")
    return results


def _judgement(result: Any) -> Judgement:
    categories = result.get("categories") if isinstance(result, dict) else None
    if not isinstance(categories, dict) or len(categories) > MAX_CATEGORIES:
        raise ValueError("a result without categories")
    scores = result.get("category_scores")
    return Judgement(
        {str(name)[:60]: value is True for name, value in categories.items()},
        {
            str(name)[:60]: float(value)
            for name, value in (scores if isinstance(scores, dict) else {}).items()
            if isinstance(value, int | float)
        },
    )
