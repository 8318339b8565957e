"""A recipe says what is done and which sets come out; a word that is not known is refused with the nearest that is."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from apps.datasets.errors import RecipeWrong
from apps.datasets.recipe import recipe_parse, recipe_read
from apps.datasets.steps.all import STEPS
from apps.datasets.steps.choosing import Part
from apps.datasets.steps.words import Length
from tests.datasets.support import RELEASE_KEY
from tests.live import ROOT


def parsed(value: Any, **given: str) -> Any:
    return recipe_parse(value, given, default_name="tidy")


def refused(value: Any, **given: str) -> str:
    with pytest.raises(RecipeWrong) as caught:
        parsed(value, **given)
    return caught.value.message


def test_steps_are_made_with_their_options() -> None:
    found = parsed({"steps": ["part", {"length": {"min_chars": 3}}]})
    assert found.steps == (Part(), Length(min_chars=3))
    assert [(one.name, one.parent) for one in found.outputs] == [("tidy", None)]


def test_outputs_may_go_on_from_one_above() -> None:
    found = parsed({"outputs": {"train": {"steps": ["part"]}, "short": {"from": "train", "steps": ["single_round"]}}})
    assert [(one.name, one.parent) for one in found.outputs] == [("train", None), ("short", "train")]


def test_parameters_are_filled_in_from_the_file_or_the_command() -> None:
    said = {
        "parameters": {"least": 5, "most": None},
        "steps": [{"length": {"min_chars": "$least", "max_chars": "$most"}}],
    }
    assert parsed(said, most="70").steps == (Length(5, 70),)
    assert parsed(said, most="70", least="6").steps == (Length(6, 70),)
    assert "it needs --set most=VALUE" in refused(said)
    assert "there is no 'mots'; did you mean 'most'?" in refused(said, mots="1")


def test_what_it_does_decides_its_hash_and_not_what_it_is_called() -> None:
    one, same = parsed({"name": "a", "steps": ["part"]}), parsed({"name": "b", "steps": ["part"]})
    assert one.hash == same.hash != parsed({"steps": [{"part": {"seed": 1}}]}).hash


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "the recipe: expected a table"),
        ({"stpes": []}, "there is no 'stpes'; did you mean 'steps'?"),
        ({"steps": "part"}, "steps: expected a list of steps"),
        ({"steps": ["splitlong"]}, "steps[0]: there is no step 'splitlong'; did you mean 'split_long'?"),
        ({"steps": [{"length": {"min_char": 1}}]}, "there is no 'min_char'; did you mean 'min_chars'?"),
        ({"steps": [{"length": {"min_chars": "many"}}]}, "expected a whole number, found 'many'"),
        ({"steps": [{"length": {"min_chars": True}}]}, "expected a whole number, found True"),
        ({"steps": [{"blocked_words": {"words": "x"}}]}, "expected a list, each of it a text"),
        ({"steps": [{"a": 1, "b": 2}]}, "expected the name of a step, or one name with its options"),
        ({"steps": [{"length": {"min_chars": "$leats"}}], "parameters": {"least": 1}}, "did you mean 'least'?"),
        ({"outputs": {}}, "outputs: name at least one"),
        ({"outputs": {"../x": {}}}, "cannot be the name of a file"),
        ({"outputs": {"a": {"from": "b"}, "b": {}}}, "'b' is not an output above it"),
        ({"steps": ["blocked_words"]}, "steps[0].blocked_words.words: give at least one"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(value: Any, says: str) -> None:
    assert says in refused(value)


def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    for raw in (b"a: [", b"\xff\xfe\x00", b"!!python/object/apply:os.system [id]", b"[" * 100_000, b"name: 2024-02-30"):
        path.write_bytes(raw)
        with pytest.raises(RecipeWrong):
            recipe_read(path)
    assert "--set most is not YAML" in refused({"parameters": {"most": 1}}, most="2024-02-30")
    with pytest.raises(RecipeWrong, match="No such file"):
        recipe_read(tmp_path / "none.yaml")


def test_the_recipes_that_come_with_the_site_can_be_used() -> None:
    given = {
        "prepare_all": {"tokenizer": str(ROOT / "examples" / "models" / "demo-base")},
        "release_battles": {"blocked_words": "[owl]", "key_file": str(RELEASE_KEY)},
        "release_chats": {"blocked_words": "[owl]"},
    }
    paths = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))
    assert paths
    for path in paths:
        assert recipe_read(path, given[path.stem]).outputs


def test_every_step_has_a_section_in_the_docs_that_names_its_options() -> None:
    page = (ROOT / "docs" / "data_steps.md").read_text()
    _, *parts = re.split(r"^### `(\w+)`$", page, flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert sorted(sections) == sorted(STEPS)
    for name, kind in STEPS.items():
        options = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # each is a dataclass
        assert options <= set(re.findall(r"`(\w+)`", sections[name])), name
