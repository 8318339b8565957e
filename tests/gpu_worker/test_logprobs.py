"""Log probabilities in a stream: each comes once, in order, and never before the text that it belongs to."""

from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.logprobs import LogprobQueue, TokenLogprobs
from gpu_worker.engine.stop import StopScanner


@given(
    st.lists(st.text("abc", max_size=4), max_size=30),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_every_entry_leaves_once_with_the_chunk_in_which_its_text_begins(pieces: list[str], stops: list[str]) -> None:
    queue, scanner = LogprobQueue(), StopScanner(tuple(stops))
    shown, chunks = 0, []
    for number, piece in enumerate(pieces):
        text = scanner.feed(piece)
        queue.add(TokenLogprobs(number, -1.0), len(piece))
        chunks.append((shown, shown + len(text), queue.shown(len(text))))
        shown += len(text)
    left = queue.flush()
    assert [entry.token_id for *_, entries in chunks for entry in entries] + [e.token_id for e in left] == [
        *range(len(pieces))
    ]
    for begin, end, entries in chunks:
        assert all(begin <= entry.offset < end for entry in entries)
    assert all(entry.offset >= shown for entry in left)
    assert [e.offset for *_, entries in chunks for e in entries] + [e.offset for e in left] == [
        len("".join(pieces[:n])) for n in range(len(pieces))
    ]
