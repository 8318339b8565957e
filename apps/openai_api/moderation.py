"""Requests and answers on their way through the gate (`apps.moderation`)."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

from apps.accounts.actors import Actor
from apps.moderation import gate
from apps.moderation.answers import AnswerGate
from apps.moderation.choices import Surface
from apps.moderation.images import images_pass
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.prompt_texts import fixed, has_token_ids, places, tell_at, told_at
from apps.openai_api.responses.request import ResponseRequest, response_request
from apps.openai_api.shapes import Json
from apps.openai_api.unknown_texts import audio_in, unknown_texts
from apps.workers.call import Call, WorkerPath
from apps.workers.images import images_in

TOO_DEEP = "the body is nested too deep"

MAX_IMAGES = 100
"""That a classifier is asked about for one request. Our own workers take fewer, and providers say what they take."""

WRITES = (WorkerPath.CHAT_COMPLETIONS, WorkerPath.COMPLETIONS)


async def call_pass(call: Call) -> Call:
    """The call with its texts as they may go on. Raises: TextRefused, ImageNotAccepted; InvalidRequest for what
    nobody can look at: token ids, audio, addresses of images, very many of them.
    """
    if call.path not in WRITES:
        return call
    body = await _body_pass(call.body, call.actor)
    return call if body is call.body else replace(call, body=body)


def answer_gate(
    actor: Actor, *, records: Callable[[], bool] = lambda: True, reference: str | None = None
) -> AnswerGate:
    """For what a model answers to a program."""
    return AnswerGate(surface=Surface.API, actor=actor, records=records, reference=reference)


async def response_pass(wanted: ResponseRequest, actor: Actor, *, reference: str | None = None) -> ResponseRequest:
    """As `call_pass`, for a request for a response. What it continues has passed before.

    `reference`: by which an incident finds what is kept of it.
    """
    body = await _body_pass(wanted.body, actor, reference)
    return wanted if body is wanted.body else response_request(body)


async def _body_pass(body: Json, actor: Actor, reference: str | None = None) -> Json:
    """The body itself if nothing was taken out of it."""
    if not await gate.looks():
        return body
    await images_pass(_image_urls(body), surface=Surface.API, actor=actor, reference=reference)
    if has_token_ids(body) and await gate.acts_on(Surface.API):
        reason = "'prompt' must be a text, or a list of texts: token ids cannot be looked at by the rules of this site"
        raise InvalidRequest(reason=reason, param="prompt")
    if (path := audio_in(body)) is not None and await gate.acts_on(Surface.API):
        reason = f"'{path}' must be a text or an image: nobody here can listen to audio by the rules of this site"
        raise InvalidRequest(reason=reason, param=path)
    try:
        texts, untouchable = [told_at(place) for place in places(body)], [*fixed(body), *unknown_texts(body)]
    except RecursionError as exc:
        raise InvalidRequest(reason=TOO_DEEP) from exc
    passed = await gate.texts_pass(texts, surface=Surface.API, actor=actor, fixed=untouchable, reference=reference)
    if passed == texts:
        return body
    try:
        changed = deepcopy(body)  # it goes deeper into its own calls than the look before
    except RecursionError as exc:
        raise InvalidRequest(reason=TOO_DEEP) from exc
    for place, text in zip(places(changed), passed, strict=True):
        tell_at(place, text)
    return changed


def _image_urls(body: Json) -> list[str]:
    """Images that a classifier may be asked about: it would fetch an address from inside of the network.

    Raises: InvalidRequest.
    """
    images = [image for name in ("messages", "input") for image in images_in(body.get(name), name)]
    if len(images) > MAX_IMAGES:
        image = images[MAX_IMAGES]
        reason = f"at most {MAX_IMAGES} images in a request, found {len(images)}"
        raise InvalidRequest(reason=reason, param=image.path)
    for image in images:
        if image.url[:5].lower() != "data:":
            reason = f"'{image.path}': no URL is fetched; send the image itself as data:image/png;base64,..."
            raise InvalidRequest(reason=reason, param=image.path)
    return [image.url for image in images]
