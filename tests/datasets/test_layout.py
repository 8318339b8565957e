"""Which files of a dataset of Hugging Face are read, and of which split."""

from collections.abc import Sequence
from contextlib import nullcontext
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.formats.globs import glob_fits, glob_parts
from apps.datasets.formats.layout import LayoutWrong, Splits, splits_of


def found(names: str, config: str | None = None, **texts: str) -> Splits:
    """`texts`: what stands in README.md (`card`) and in other files."""
    files = {"README.md": texts.pop("card"), **texts} if "card" in texts else texts
    return splits_of([*names.split(), *files], files.__getitem__, config)


def card(configs: str) -> str:
    return f"---\nlicense: mit\nconfigs:\n{configs}\n---\n# Tea\n"


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("data/train-00000-of-00001.parquet", {"train": ["data/train-00000-of-00001.parquet"]}),
        (
            "data/train-00001-of-00002-ab12.parquet data/train-00000-of-00002-cd34.parquet",
            {"train": ["data/train-00000-of-00002-cd34.parquet", "data/train-00001-of-00002-ab12.parquet"]},
        ),
        (
            "data/tea-00000-of-00001.parquet data/test-00000-of-00001.parquet data/more.parquet",
            {"test": ["data/test-00000-of-00001.parquet"], "tea": ["data/tea-00000-of-00001.parquet"]},
        ),
        ("train.jsonl test.jsonl.gz", {"train": ["train.jsonl"], "test": ["test.jsonl.gz"]}),
        ("my-dev_2.json.zst a/my_eval.jsonl", {"validation": ["my-dev_2.json.zst"], "test": ["a/my_eval.jsonl"]}),
        ("training/a.jsonl x/val-1/b.jsonl", {"train": ["training/a.jsonl"], "validation": ["x/val-1/b.jsonl"]}),
        ("train/test.jsonl", {"train": ["train/test.jsonl"]}),
        ("strain.jsonl contest.jsonl", {"train": ["contest.jsonl", "strain.jsonl"]}),
        ("b/a.parquet all.jsonl .git/x.json __x/y.json notes.txt", {"train": ["all.jsonl", "b/a.parquet"]}),
    ],
)
def test_names_tell_splits(names: str, splits: Splits) -> None:
    assert found(names) == splits
    assert list(found(names)) == list(splits)


@pytest.mark.parametrize(
    ("configs", "splits"),
    [
        ("- {config_name: default, data_files: '*.jsonl'}", {"train": ["a.jsonl", "b.jsonl"]}),
        ("- {data_files: [b.jsonl, a.jsonl]}", {"train": ["b.jsonl", "a.jsonl"]}),
        (
            "- {data_files: [{split: good, path: a.*}, {split: bad, path: [b.jsonl, 'x/**']}]}",
            {"good": ["a.jsonl"], "bad": ["b.jsonl", "x/y/c.parquet", "x/z.parquet"]},
        ),
        ("- {data_files: {held: 'x/*'}}", {"held": ["x/z.parquet"]}),
        ("- {data_files: '**/*.parquet'}", {"train": ["x/y/c.parquet", "x/z.parquet"]}),
        ("- {config_name: only, data_dir: x}", {"train": ["x/y/c.parquet", "x/z.parquet"]}),
        ("- {config_name: a, data_files: a.jsonl}\n- {config_name: b, default: true, data_files: b.jsonl}",
         {"train": ["b.jsonl"]}),
        ("- {config_name: b, data_files: b.jsonl}\n- {config_name: default, data_files: a.jsonl}",
         {"train": ["a.jsonl"]}),
    ],
)  # fmt: skip
def test_a_card_says_it_first(configs: str, splits: Splits) -> None:
    assert found("a.jsonl b.jsonl x/y/c.parquet x/z.parquet x/.d.parquet", card=card(configs)) == splits


def test_a_card_may_choose_some_of_the_parts_that_are_there() -> None:
    first = card("- {data_files: 'data/train-00000-*'}")
    two = "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet"
    assert found(two, card=first) == {"train": ["data/train-00000-of-00002.parquet"]}
    with pytest.raises(LayoutWrong, match="data/train-00001-of-00002, of the split train, is missing"):
        found("data/train-00000-of-00002.parquet", card=first)


@pytest.mark.parametrize("pattern", ["'*.json'", "'**'", "'*'", "./*.json"])
def test_a_pattern_takes_no_files_that_tell_of_the_data(pattern: str) -> None:
    names = "a.json dataset_infos.json dataset_info.json config.json"
    assert found(names, card=card(f"- {{data_files: {pattern}}}")) == {"train": ["a.json"]}


def test_what_a_card_names_is_data_whatever_its_name() -> None:
    assert found("a.json config.json", card=card("- {data_files: config.json}")) == {"train": ["config.json"]}


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("**/" * 1_500 + "*.jsonl", True), ("**/*/" * 15 + "**/*.jsonl", True), ("**/*/" * 15 + "**/*.json", False)],
    ids=["many in a row", "many ways that fit", "many ways that do not"],
)
def test_a_pattern_is_read_in_a_time_that_it_does_not_choose(pattern: str, fits: bool) -> None:
    name = "a/" * 40 + "a.jsonl"
    with nullcontext() if fits else pytest.raises(LayoutWrong, match="no file is"):
        assert found(name, card=card(f"- {{data_files: '{pattern}'}}")) == {"train": [name]}


def fits_slowly(pattern: Sequence[str], name: Sequence[str]) -> bool:
    """By trying every way."""
    if not pattern or not name:
        return not pattern and not name
    if pattern[0] == "**":
        if len(pattern) == len(name) == 1:
            return not name[0].startswith(".")
        is_passed = not name[0].startswith((".", "__")) and fits_slowly(pattern, name[1:])
        return is_passed or fits_slowly(pattern[1:], name)
    is_shown = pattern[0].startswith(".") or not name[0].startswith(".")
    return is_shown and fnmatchcase(name[0], pattern[0]) and fits_slowly(pattern[1:], name[1:])


parts = st.lists(st.sampled_from(["a", "b", ".a", "__a"]), min_size=1, max_size=6)
wanted = st.lists(st.sampled_from(["**", "**", "*", "a", ".*", "__a", "?"]), max_size=6)


@given(wanted, parts)
def test_names_fit_as_if_every_way_was_tried(pattern: list[str], name: list[str]) -> None:
    assert glob_fits(glob_parts(pattern), name) == fits_slowly(pattern, name)


def test_a_configuration_is_chosen_by_name() -> None:
    two = card("- {config_name: a, data_files: a.jsonl}\n- {config_name: b, data_files: b.jsonl}")
    assert found("a.jsonl b.jsonl", "b", card=two) == {"train": ["b.jsonl"]}
    with pytest.raises(LayoutWrong, match="choose one with --config, of a, b"):
        found("a.jsonl b.jsonl", card=two)
    with pytest.raises(LayoutWrong, match="no configuration 'c': --config is one of a, b"):
        found("a.jsonl b.jsonl", "c", card=two)
    with pytest.raises(LayoutWrong, match="leave --config out"):
        found("a.jsonl", "c")


def test_a_card_without_configurations_leaves_it_to_the_names() -> None:
    for text in ("# Tea", "---\nlicense: mit\n---\n", "---\nconfigs: [{config_name: x}]\n---\n", "---\nno end"):
        assert found("test.jsonl", card=text) == {"test": ["test.jsonl"]}


def test_what_save_to_disk_left_is_read_by_its_state() -> None:
    state = '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": %s}'
    files = "data-00000-of-00001.arrow cache-12.arrow dataset_info.json"
    assert found(files, **{"state.json": state % '"test"'}) == {"test": ["data-00000-of-00001.arrow"]}
    assert list(found(files, **{"state.json": state % "null"})) == ["train"]
    both = {
        "dataset_dict.json": '{"splits": ["tea", "milk"]}',
        "tea/state.json": state % 0,
        "milk/state.json": state % 0,
    }
    names = "tea/data-00000-of-00001.arrow milk/data-00000-of-00001.arrow"
    assert found(names, **both) == {
        "tea": ["tea/data-00000-of-00001.arrow"],
        "milk": ["milk/data-00000-of-00001.arrow"],
    }
    with pytest.raises(LayoutWrong, match=r"milk/data-00000-of-00001.arrow is missing, which milk/state.json names"):
        found("tea/data-00000-of-00001.arrow", **both)
    with pytest.raises(LayoutWrong, match=r"dataset_dict\.json does not name its splits"):
        found(files, **{"dataset_dict.json": '{"splits": []}'})
    with pytest.raises(LayoutWrong, match=r"state.json is not JSON"):
        found(files, **{"state.json": "{"})


@pytest.mark.parametrize(
    ("names", "configs", "says"),
    [
        ("data/train-00000-of-00003.parquet data/train-00002-of-00003.parquet", "",
         "data/train-00001-of-00003, of the split train, is missing"),
        ("../train.jsonl", "", "no data in Parquet, Arrow or JSON$"),
        ("/etc/train.jsonl //etc/train.jsonl", "", "no data in Parquet, Arrow or JSON$"),
        ("README data.csv", "", "no data in Parquet, Arrow or JSON: data.csv is of a kind that is not read here"),
        ("tea.py", "", "no data in Parquet, Arrow or JSON$"),
        ("a.jsonl", "- {data_files: b.jsonl}", "no file is b.jsonl, as its README.md says of the split train"),
        ("a.csv", "- {data_files: a.csv}", "a.csv, of the split train, is of a kind that is not read here"),
        ("a.jsonl", "- {data_files: ../a.jsonl}", "lies outside of the dataset"),
        ("a.jsonl", "- {data_files: /etc/a.jsonl}", "lies outside of the dataset"),
        ("a.jsonl", "- {data_files: 'https://x/a.jsonl'}", "lies outside of the dataset"),
        ("a.jsonl", "- {data_files: 7}", "neither patterns nor splits"),
        ("a.jsonl", "- {data_files: [{split: train}]}", "a split without a path"),
        ("a.jsonl b.jsonl", "- {data_files: [{split: good, path: a.jsonl}, {split: good, path: b.jsonl}]}",
         "its README.md has the split good twice"),
        ("a.jsonl b.jsonl", "- {config_name: x, data_files: a.jsonl}\n- {config_name: x, data_files: b.jsonl}",
         "its README.md has the configuration x twice"),
        ("a.jsonl", "- 7", "no list of tables"),
        ("a.jsonl", "- {config_name: 2024, data_files: a.jsonl}", "a configuration that is no text: put it in quotes"),
        ("a.jsonl", "- {data_dir: [a], data_files: a.jsonl}", "a data_dir that is no text"),
        ("a.jsonl", "- {data_files: [{path: a.jsonl}]}", "a split that is no text"),
        ("a.jsonl", "- {data_files: {7: a.jsonl}}", "a split that is no text"),
        ("a.jsonl", "- {", "not YAML"),
        *(("a.jsonl", f"- {{data_files: a.jsonl, since: {value}}}", "not YAML")
          for value in ("2024-02-30", "0b_", "!!timestamp tea", "!!bool tea")),
    ],
)  # fmt: skip
def test_what_cannot_be_read_whole_is_refused(names: str, configs: str, says: str) -> None:
    with pytest.raises(LayoutWrong, match=says):
        found(names, **({"card": card(configs)} if configs else {}))
