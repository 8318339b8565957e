"""How much a model reads and writes."""

from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.context import Context


def test_prompt_and_answer_share_one_limit_where_one_continues_the_other() -> None:
    context = Context.shared(100)
    assert [context.room(n_prompt) for n_prompt in (1, 99, 100, 101)] == [99, 1, 0, -1]


def test_an_encoder_reads_as_much_as_its_decoder_may_write_besides() -> None:
    context = Context.apart(100, held=10_000)
    assert [context.room(n_prompt) for n_prompt in (1, 100, 101)] == [100, 100, -1]


@given(st.integers(1, 5000), st.integers(2, 12_000), st.integers(1, 6000))
def test_what_is_read_and_written_fits_the_memory(n_tokens: int, held: int, n_prompt: int) -> None:
    context = Context.apart(n_tokens, held)
    room = context.room(n_prompt)
    assert (room >= 1) == (n_prompt <= context.reads), "whatever can be read can be answered"
    assert room <= n_tokens
    assert room < 1 or n_prompt + room <= held
    assert not context.is_shared
