"""Rows of keys and values: what is written stays with its row while others come, grow and go."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.engine.rows import GRAIN_TOKENS, SLAB_ROWS, Rows, RowShape, capacity_for, footprint, slab_sizes

SHAPE = RowShape(n_layers=2, n_heads=1, head_size=1, dtype=torch.float32)

EVENTS = st.lists(
    st.tuples(st.sampled_from(["add", "grow", "drop"]), st.integers(0, 40), st.integers(1, 400)), max_size=60
)


class Model:
    """What the rows should hold: every row is full of its own number."""

    def __init__(self) -> None:
        self.rows = Rows(SHAPE)
        self.lengths: dict[str, int] = {}

    def add(self, name: str, n_tokens: int) -> None:
        self.rows.add({name: n_tokens})
        self.lengths[name] = n_tokens
        self.fill(name)

    def grow(self, names: list[str], n_tokens: int) -> None:
        self.rows.reserve({name: self.lengths[name] + n_tokens for name in names})
        for name in names:
            self.lengths[name] += n_tokens
            self.check(name, self.lengths[name] - n_tokens)
            self.fill(name)

    def drop(self, name: str) -> None:
        self.rows.drop(name)
        del self.lengths[name]

    def fill(self, name: str) -> None:
        self.rows[name].states[:, :, :, : self.lengths[name]] = float(name)

    def check(self, name: str, n_tokens: int) -> None:
        row = self.rows[name]
        assert row.capacity == capacity_for(self.lengths[name])
        assert (row.states[:, :, :, :n_tokens] == float(name)).all()
        assert row.slab.states.isfinite().all()


@settings(deadline=None)
@given(EVENTS)
def test_every_row_keeps_what_was_written_to_it_and_the_memory_is_what_the_footprint_says(
    events: list[tuple[str, int, int]],
) -> None:
    model = Model()
    for number, (event, which, n_tokens) in enumerate(events):
        names = list(model.lengths)
        if event == "add" or not names:
            model.add(str(number), n_tokens)
        elif event == "grow":
            model.grow(names[which % len(names) :], n_tokens)
        else:
            model.drop(names[which % len(names)])
        for name, length in model.lengths.items():
            model.check(name, length)
        assert model.rows.n_tokens_held == footprint(list(model.lengths.values()))


@given(st.integers(0, 100))
def test_slabs_hold_exactly_the_rows(n_rows: int) -> None:
    sizes = slab_sizes(n_rows)
    assert sum(sizes) == n_rows
    assert len(sizes) <= n_rows // SLAB_ROWS + SLAB_ROWS.bit_length() - 1


@given(st.integers(1, 100_000))
def test_a_capacity_holds_the_tokens_and_little_more(n_tokens: int) -> None:
    assert n_tokens <= capacity_for(n_tokens) <= max(1.25 * n_tokens, n_tokens + GRAIN_TOKENS - 1)
    assert capacity_for(capacity_for(n_tokens)) == capacity_for(n_tokens)


def test_rows_of_one_capacity_lie_side_by_side() -> None:
    rows = Rows(SHAPE)
    rows.add({str(number): 10 for number in range(20)})
    assert [(rows[str(n)].slab.n_rows, rows[str(n)].index) for n in (0, 15, 16, 19)] == [
        (16, 0),
        (16, 15),
        (4, 0),
        (4, 3),
    ]


def test_a_row_that_holds_nan_leaves_none_behind() -> None:
    rows = Rows(SHAPE)
    rows.add({"broken": 10, "next": 10})
    rows["broken"].states.fill_(torch.nan)
    slab = rows["broken"].slab
    rows.drop("broken", wipe=True)
    assert slab.states.isfinite().all()
    assert rows["next"].states.isfinite().all()
