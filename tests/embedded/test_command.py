"""Management commands on a machine where nobody has set DATABASE_URL."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastchat_site.embedded.needs import needs_database

from .support import REPOSITORY, read_line, wait_for
from .test_launch import environment

pytestmark = pytest.mark.processes

COUNT_USERS = """
import sys
from apps.accounts.models import User
print("joined", flush=True)
sys.stdin.readline()
print("users:", User.objects.count(), flush=True)
"""


@contextmanager
def shell(data_dir: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """`manage.py shell -c`, with pipes to talk to its script."""
    env = environment() | {"FASTCHAT_DATA_DIR": str(data_dir)}
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def press_enter(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_command_waits_for_those_that_use_its_database(data_dir: Path) -> None:
    with shell(data_dir, COUNT_USERS) as owner:
        assert read_line(owner) == "joined"
        with shell(data_dir, COUNT_USERS) as guest:
            assert read_line(guest) == "joined"
            press_enter(owner)
            assert owner.stderr is not None
            assert read_line(owner) == "users: 0"
            assert owner.stderr.readline() == "Another command still uses this database: waiting for its end.\n"
            assert owner.poll() is None
            press_enter(guest)
            assert read_line(guest) == "users: 0"
            assert guest.wait(10) == 0
        wait_for(lambda: owner.poll() == 0)


def test_two_commands_started_at_once_on_no_data_both_succeed(data_dir: Path) -> None:
    with shell(data_dir, COUNT_USERS) as one, shell(data_dir, COUNT_USERS) as two:
        press_enter(one)
        press_enter(two)
        wait_for(lambda: one.poll() is not None and two.poll() is not None, limit_s=120)
        assert one.communicate()[0].endswith("users: 0\n")
        assert two.communicate()[0].endswith("users: 0\n")


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (["dataset", "check", "a.jsonl"], False),
        (["dataset", "list"], True),
        (["clean", "tidy.yaml", "--input", "a.jsonl", "--output", "made"], False),
        (["clean", "tidy.yaml", "--input", "a.jsonl", "--output", "made", "--dataset=chats"], True),
        (["clean", "tidy.yaml", "--input", "a.jsonl", "--output", "made", "--data", "chats"], True),
        (["clean", "tidy.yaml", "--input", "a.jsonl", "--output", "made", "--celery"], True),
        (["clean", "tidy.yaml", "--input", "site:chats", "--dry-run", "5"], True),
        (["clean", "tidy.yaml", "--input=site:battles", "--dry-run", "5"], True),
        (["clean", "tagged.yaml", "--input", "a.jsonl", "--output", "made"], True),
        (["clean", "tidy.yaml", "--input", "a.jsonl", "--set", f"words=[{'a word, ' * 100}]"], False),
    ],
)
def test_files_alone_are_cleaned_without_a_database(
    arguments: list[str], needs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tidy.yaml").write_text("steps: [trim_turns]\n")
    Path("tagged.yaml").write_text("steps: [moderation_tags]\n")
    assert needs_database(["manage.py", *arguments]) is needs


def test_cleaning_files_starts_no_services_and_loads_no_apps(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "tidy.yaml").write_text("steps: [trim_turns]\n")
    turns = [{"from": "human", "value": "Which tea?"}, {"from": "gpt", "value": "Green tea."}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "1", "conversations": turns}) + "\n")
    env = environment() | {"FASTCHAT_DATA_DIR": str(data_dir), "PYTHONPROFILEIMPORTTIME": "1"}
    command = [sys.executable, str(REPOSITORY / "manage.py"), "clean", "tidy.yaml", "--input", "a.jsonl"]
    done = subprocess.run(
        [*command, "--output", "made"], check=False, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1 conversations" in done.stdout
    assert not data_dir.exists() or not any(data_dir.iterdir())
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "apps.datasets.run" in loaded
    assert not loaded & {
        "django.db.models",
        "apps.datasets.models",
        "psycopg",
        "redis",
        "fastchat_site.settings.base",
        "numpy",
    }
