"""Stored beginnings of texts: found by all their tokens, dropped from their ends."""

from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.prefix import BLOCK_TOKENS, PrefixStore


def text(*blocks: int, rest: int = 1) -> list[int]:
    """Blocks of equal tokens, and a few more."""
    return [token for block in blocks for token in [block] * BLOCK_TOKENS] + [0] * rest


def store_of(*texts: list[int]) -> PrefixStore:
    store = PrefixStore()
    for tokens in texts:
        put(store, tokens)
    return store


def put(store: PrefixStore, tokens: list[int], salt: str = "") -> None:
    store.put(tokens, salt, lambda start: tokens[start])


def test_the_longest_stored_beginning_is_found() -> None:
    store = store_of(text(1, 2, 3), text(1, 4))
    assert store.n_tokens == 4 * BLOCK_TOKENS, "what two texts share is stored once"
    assert store.match(text(1, 2, 9)) == [1, 2]
    assert store.match(text(1, 4, 3)) == [1, 4]
    assert store.match(text(2, 3)) == []


def test_at_least_one_token_is_left_to_compute() -> None:
    store = store_of(text(1, 2))
    assert store.match(text(1, 2, rest=0)) == [1]
    assert store.match(text(1, 2, rest=1)) == [1, 2]


def test_the_same_tokens_under_another_adapter_are_another_text() -> None:
    store = PrefixStore()
    put(store, text(1, 2), "adapter")
    assert store.match(text(1, 2)) == []
    assert store.match(text(1, 2), "adapter") == [1, 2]


def test_what_was_not_used_for_longest_goes_first_and_ends_go_before_beginnings() -> None:
    store = store_of(text(1, 2, 3), text(4, 5))
    store.match(text(1, 2, 3))
    store.shrink_to(4 * BLOCK_TOKENS)
    assert (store.match(text(4, 5)), store.match(text(1, 2, 3))) == ([4], [1, 2, 3])
    store.shrink_to(2 * BLOCK_TOKENS)
    assert (store.match(text(4, 5)), store.match(text(1, 2, 3))) == ([], [1, 2])
    store.shrink_to(BLOCK_TOKENS - 1)
    assert store.n_tokens == 0


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.integers(0, 12)), min_size=1, max_size=30
    )
)
def test_a_match_is_always_a_true_beginning_and_no_block_outlives_what_comes_before_it(
    steps: list[tuple[list[int], int]],
) -> None:
    store = PrefixStore()
    for blocks, room in steps:
        tokens = text(*blocks)
        found = store.match(tokens)
        assert found == blocks[: len(found)]
        put(store, tokens)
        store.shrink_to(room * BLOCK_TOKENS)
        assert store.n_tokens <= room * BLOCK_TOKENS
        # Every stored block can still be reached: it is found through those before it.
        reached = {tuple(b[:n]) for b, _ in steps for n in range(1, len(store.match(text(*b))) + 1)}
        assert len(reached) * BLOCK_TOKENS == store.n_tokens
