"""Server-sent events, however the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.workers import sse
from apps.workers.sse import EventTooLarge, SseEvent, SseParser

texts = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])).map(str.strip)


@given(st.lists(texts), st.lists(st.integers(0, 400)))
def test_events_are_the_same_however_the_bytes_are_cut(payloads: list[str], cuts: list[int]) -> None:
    sent = [SseEvent(i, text) for i, text in enumerate(payloads, 1)]
    stream = "".join(f"id: {event.number}\ndata: {event.data}\n\n" for event in sent).encode()
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})

    parser = SseParser()
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert [event for piece in pieces for event in parser.feed(piece)] == sent


def test_a_heartbeat_has_no_data_and_an_event_may_have_no_number() -> None:
    assert SseParser().feed(b": still here\n\ndata: {}\n\n") == [SseEvent(0, ""), SseEvent(0, "{}")]


def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    parser = SseParser()
    with pytest.raises(EventTooLarge):
        for _ in range(3):
            parser.feed(b"data: " + b"x" * 40)
