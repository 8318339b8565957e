"""People of the site with chats and battles, for tests of datasets that are made of these."""

import io
import json
from pathlib import Path
from typing import Any

from django.core.management import call_command

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.consents.models import Kind
from apps.consents.services import consent_answer
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.models import Conversation, Message, Role
from apps.conversations.services.turns import conversation_create
from tests.datasets.support import lines_of

RECIPE = "name: tidy\nsteps: [trim_turns, html_to_markdown]\noutputs: {all: {}}\n"


def agree(actor: Actor, *kinds: Kind, is_given: bool = True) -> None:
    for kind in kinds or Kind:
        consent_answer(actor=actor, kind=kind, is_given=is_given)


def chat(owner: Actor, *texts: str, prompt: str = "", model: str = "owl-7b", **of_answers: Any) -> Conversation:
    """Questions and answers in turn, the last of them shown."""
    conversation = conversation_create(owner, texts[0], ChatSettings(prompt, {}))
    writer, _ = LanguageModel.objects.get_or_create(name=model)
    for number, text in enumerate(texts):
        more = {"model": writer, **of_answers} if number % 2 else {}
        conversation.active_leaf = Message.objects.create(
            conversation=conversation,
            parent=conversation.active_leaf,
            role=Role.ASSISTANT if number % 2 else Role.USER,
            content=text,
            **more,
        )
    conversation.save()
    return conversation


def clean_site(folder: Path, *arguments: str, name: str = "out", of: str = "site:chats", dataset: str = "tea") -> str:
    """What the command prints."""
    recipe = folder / "tidy.yaml"
    recipe.write_text(RECIPE)
    out = io.StringIO()
    files = ["--input", of, "--output", str(folder / name), "--dataset", dataset]
    workers = [] if {"--workers", "--celery"} & set(arguments) else ["--workers", "1"]
    call_command("clean", str(recipe), *files, *workers, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return lines_of(folder / "all.jsonl")


def said_in(folder: Path) -> list[str]:
    """The first message of each row."""
    return [row["messages"][0]["content"] for row in rows_in(folder)]


def dropped(folder: Path) -> dict[str, int]:
    report = json.loads((folder / "report.json").read_text())
    [taken] = [step for step in report["steps"] if step["name"] == "take from the site"]
    assert taken["n_in"] == taken["n_out"] + sum(taken["dropped"].values())
    return dict(taken["dropped"])
