"""Tokens of a version: counted by a tokenizer in any number of processes, and kept beside it."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.datasets.children import children_close
from apps.datasets.models import DatasetVersion, TokenCount
from apps.datasets.services.versions import version_delete
from apps.datasets.token_totals import TOKEN_EDGES, TokenTotals, in_chunks
from apps.datasets.tokens import counter_of
from tests.conftest import DEMO_BASE
from tests.datasets.support import lines_of
from tests.datasets.test_dataset_command import dataset
from tests.datasets.test_versions import clean

talks = st.lists(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 3000)), max_size=6))


@given(talks, st.integers(0, 20))
def test_parts_joined_are_the_whole_and_each_token_is_somewhere(found: list[list[tuple[str, int]]], place: int) -> None:
    whole, parts = TokenTotals(), [TokenTotals(), TokenTotals()]
    for number, one in enumerate(found):
        whole.add(one)
        parts[number >= place].add(one)
    joined = TokenTotals()
    for part in parts:
        joined.join(part)
    assert joined.as_dict() == whole.as_dict()
    assert whole.roles.total() == whole.n_tokens == sum(n for one in found for _, n in one)
    assert whole.lengths.total() == whole.n_conversations == len(found)
    assert set(whole.lengths) <= set(TOKEN_EDGES)


@given(st.lists(st.binary(max_size=20)))
def test_no_line_is_lost_between_chunks(lines: list[bytes]) -> None:
    assert [line for chunk in in_chunks(lines, "x") for line in chunk.lines] == lines


@pytest.mark.django_db
def test_tokens_are_counted_by_role_and_kept_beside_the_version(tmp_path: Path) -> None:
    output = clean(tmp_path, n=600)
    said = [message for row in lines_of(output / "all.jsonl") for message in row["messages"]]
    counter = counter_of(str(DEMO_BASE))
    wanted = {
        role: sum(counter.count([one["content"] for one in said if one["role"] == role]))
        for role in ("assistant", "user")
    }
    children_close()
    told = dataset("stats", "tea@1/all", "--tokenizer", DEMO_BASE, "--workers", "2")
    count = TokenCount.objects.get()
    assert count.totals["roles"] == wanted
    assert count.totals["n_tokens"] == sum(wanted.values())
    assert count.totals["n_conversations"] == sum(count.totals["lengths"].values()) == 600
    assert f"tokens by {DEMO_BASE.name} ({count.tokenizer_hash[:12]}): {sum(wanted.values())}, at most" in told
    assert "600   100.0% have as many or more" in told
    assert dataset("stats", "tea@1/all") == told, "it is kept"
    first = count.totals
    dataset("stats", "tea@1/all", "--tokenizer", DEMO_BASE, "--workers", "1")
    assert TokenCount.objects.get().totals == first, "with any number of processes, and once"
    dataset("stats", "tea@1", "--tokenizer", DEMO_BASE, "--workers", "1")
    assert set(TokenCount.objects.values_list("set_name", flat=True)) == {"all", "short"}
    version_delete(DatasetVersion.objects.get())
    assert not TokenCount.objects.exists()


@pytest.mark.django_db
def test_the_page_shows_them_drawn_and_as_a_table(tmp_path: Path, client: Client) -> None:
    clean(tmp_path)
    dataset("stats", "tea@1/all", "--tokenizer", DEMO_BASE, "--workers", "1")
    client.force_login(User.objects.create_superuser("root", "root@example.org", "open sesame"))
    text = client.get("/datasets/tea/1").content.decode()
    for title in ("Turns", f"Tokens by {DEMO_BASE.name}", f"Tokens of roles by {DEMO_BASE.name}"):
        assert f"<h3>{title}</h3>" in text
        assert f'aria-label="{title} of all, numbers"' in text
    assert f"Tokens by {DEMO_BASE.name} of short" not in text


@pytest.mark.django_db
def test_turns_are_counted_in_report_card_and_stats(tmp_path: Path) -> None:
    output = clean(tmp_path)
    report = json.loads((output / "report.json").read_text())
    assert report["sets"]["all"]["turns"] == {"2": 5}
    assert report["sets"]["short"]["turns"] == {"1": 5}
    assert (
        "| questions of a conversation, from | conversations |\n|---|---:|\n| 2 | 5 |"
        in (output / "README.md").read_text()
    )
    told = dataset("stats", "tea@1/all").splitlines()
    assert told[told.index("  questions, from") + 1].split() == ["2", "5"]


@pytest.mark.django_db
def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    clean(tmp_path)
    with pytest.raises(CommandError, match=r"tokenizer.json: No such file or directory"):
        dataset("stats", "tea", "--tokenizer", tmp_path)
    with pytest.raises(CommandError, match="give --tokenizer FOLDER too"):
        dataset("stats", "tea", "--workers", "2")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CommandError, match="cannot be read as a tokenizer"):
        dataset("stats", "tea", "--tokenizer", tmp_path, "--workers", "1")
    assert not TokenCount.objects.exists()
