"""The rectangle of keys and values: never larger than what the scheduler was told that its rows occupy."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.cache import BatchCache, footprint
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import grouped
from gpu_worker.engine.scheduler import Chunk

CPU = torch.device("cpu")


def states(n_tokens: int) -> torch.Tensor:
    return torch.arange(n_tokens, dtype=torch.float32).view(1, 1, n_tokens, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 700)), min_size=1, max_size=40))
def test_it_holds_what_its_rows_need_and_keeps_their_numbers(steps: list[tuple[bool, int, int]]) -> None:
    cache = BatchCache(1, CPU)
    lengths: list[int] = []
    for adds, place, n_tokens in steps:
        if adds or not lengths:
            row = cache.add_row()
            cache.restore(row, 0, [states(n_tokens)[0]] * 2)
            lengths.append(n_tokens)
        else:
            row = place % len(lengths)
            cache.drop_row(row)
            last = lengths.pop()
            if row < len(lengths):
                lengths[row] = last
        assert cache.lengths == lengths
        assert cache.n_tokens_held == footprint(lengths)
        for row, length in enumerate(lengths):
            keys, values = cache.export(row, 0, length)
            assert torch.equal(keys, states(length)[0])
            assert torch.equal(values, states(length)[0])


def test_a_few_long_rows_do_not_pay_for_eight() -> None:
    assert [footprint([1000] * n) for n in (0, 1, 2, 3, 8, 9)] == [1024 * rows for rows in (0, 1, 2, 4, 8, 16)]


def test_prompts_whose_padding_would_need_more_columns_compute_apart() -> None:
    def chunk(start: int, n_tokens: int) -> Chunk:
        return Chunk(Request("r", [1] * (start + n_tokens), SamplingParams(max_tokens=1), 0.0), start, n_tokens)

    late, long = chunk(500, 10), chunk(495, 14)
    # Together they would reach to column 514, and the rows have 512.
    assert grouped([late, long], [0, 1]) == [[(0, late)], [(1, long)]]
    near = chunk(480, 12)
    assert grouped([late, near], [0, 1]) == [[(0, late), (1, near)]]
