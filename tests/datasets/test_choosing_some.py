"""Some of many: by model, however it is spelled, and by chance, from strata."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.records import Record
from apps.datasets.steps.model_names import KeepModels, ModelNames
from apps.datasets.steps.sampling import Sample, equal_shares, proportional_shares
from tests.datasets.support import Notes, applied, chosen, reason, talk


@pytest.mark.parametrize("name", ["gpt-4", "GPT4", "gpt_4", "Gpt 4"])
def test_a_model_is_known_however_it_is_spelled(name: str) -> None:
    step = KeepModels(names=["gpt-4"])
    assert isinstance(applied(step, talk("ua", model=name)), Record)
    assert reason(applied(step, talk("ua", model="gpt-4o"))) == "other model"
    assert reason(applied(step, talk("ua"))) == "no model is named"
    assert isinstance(applied(KeepModels(names=["gpt-4"], unknown=True), talk("ua")), Record)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("GPT4", "gpt-4"),
        ("gpt-4", "gpt-4"),
        ("Default", "gpt-3.5-turbo"),
        ("gpt35", "gpt-3.5-turbo"),
        ("vicuna", "vicuna"),
    ],
)
def test_a_models_name_is_written_in_one_way_and_what_stood_there_is_kept(written: str, name: str) -> None:
    step = ModelNames(names=["gpt-4"], aliases={"default": "gpt-3.5-turbo", "GPT-3.5": "gpt-3.5-turbo"})
    record = step.apply(talk("ua", model=written), notes := Notes())
    assert isinstance(record, Record)
    assert record.model == name
    assert record.fields == ({} if written == name else {"model_as_written": written})
    assert record.steps == ([] if written == name else ["model_names"])
    assert sum(notes.values()) == (written != "gpt-4")


def test_a_sample_is_the_same_for_a_seed_and_as_large_as_asked() -> None:
    many = [talk("ua", id=str(n), model="ab"[n % 10 == 0]) for n in range(100)]
    drawn = chosen(Sample(n=20, seed=1), *many)
    assert sum(drawn) == 20
    assert drawn == chosen(Sample(n=20, seed=1), *many) != chosen(Sample(n=20, seed=2), *many)
    assert sum(chosen(Sample(n=1000), *many)) == 100


def test_a_sample_by_a_field_takes_the_same_of_each_value_as_far_as_there_is() -> None:
    many = [talk("ua", id=str(n), model="a" if n % 10 else "b") for n in range(100)]
    drawn = [one.model for one, is_in in zip(many, chosen(Sample(n=40, by=["model"]), *many), strict=True) if is_in]
    assert Counter(drawn) == {"a": 30, "b": 10}


def test_a_proportional_sample_takes_of_each_value_as_many_as_its_share() -> None:
    many = [talk("ua", id=str(n), model="a" if n % 10 else "b") for n in range(100)]
    step = Sample(n=40, by=["model"], proportional=True)
    drawn = [one.model for one, is_in in zip(many, chosen(step, *many), strict=True) if is_in]
    assert Counter(drawn) == {"a": 36, "b": 4}


def test_strata_are_of_all_the_fields_named() -> None:
    many = [talk("ua", id=str(n), model="ab"[n % 2], fields={"language": ["en", "de"][n // 50]}) for n in range(100)]
    step = Sample(n=8, by=["model", "language"])
    drawn = [one for one, is_in in zip(many, chosen(step, *many), strict=True) if is_in]
    assert set(Counter((one.model, one.fields["language"]) for one in drawn).values()) == {2}


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(1, 200))
def test_shares_are_as_many_as_asked_and_no_more_than_there_are(sizes: list[int], n: int) -> None:
    for shares in (equal_shares(sizes, n), proportional_shares(sizes, n)):
        assert sum(shares) == min(n, sum(sizes))
        assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
    equal = equal_shares(sizes, n)
    not_emptied = [share for share, size in zip(equal, sizes, strict=True) if share < size]
    assert not not_emptied or max(equal) - min(not_emptied) <= 1
    for share, size in zip(proportional_shares(sizes, n), sizes, strict=True):
        assert abs(share - min(n, sum(sizes)) * size / sum(sizes)) < 1
