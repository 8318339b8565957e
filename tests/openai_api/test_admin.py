"""What admins see of files, batches and responses, and the one thing that they may do: cancel a batch."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import NewKey
from apps.openai_api.models import ApiFile, Batch, BatchState, StoredResponse
from tests.openai_api.batch_support import line, new_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client: Client, db: None) -> User:
    root = User.objects.create_superuser("root", "root@example.org", "open sesame")
    client.force_login(root)
    return root


def change(row: ApiFile | Batch) -> str:
    return reverse(f"admin:openai_api_{row._meta.model_name}_change", args=[row.pk])


def cancel(client: Client, *rows: Batch) -> str:
    chosen = {"action": "cancel", "_selected_action": [row.pk for row in rows]}
    reply = client.post(reverse("admin:openai_api_batch_changelist"), chosen, follow=True)
    return str(reply.content.decode())


def test_the_pages_show_whose_it_is_and_how_it_goes_and_nothing_of_what_it_says(
    client: Client, root: User, key: NewKey
) -> None:
    batch = new_batch(key, line("private", prompt="private words"))
    Batch.objects.update(errors=[{"message": "private mistake"}], metadata={"of": "private"})
    file = ApiFile.objects.get()
    lists = [reverse(f"admin:openai_api_{name}_changelist") for name in ("batch", "apifile")]
    for page in (*lists, change(batch), change(file)):
        text = client.get(page).content.decode()
        assert "alice" in text
        assert "private" not in text


def test_nobody_makes_changes_or_deletes_them_in_the_admin(client: Client, root: User, key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    file = ApiFile.objects.get()
    for row in (batch, file):
        assert client.post(change(row).replace("change", "delete"), {"post": "yes"}).status_code == 403
        assert client.get(reverse(f"admin:openai_api_{row._meta.model_name}_add")).status_code == 403
    client.post(change(batch), {"state": "completed", "endpoint": "/v1/embeddings"})
    client.post(change(file), {"name": "other"})
    batch.refresh_from_db()
    file.refresh_from_db()
    assert (batch.state, batch.endpoint, file.name) == (BatchState.VALIDATING, "/v1/completions", "in.jsonl")


def test_a_batch_is_cancelled_once_and_it_is_written_down(client: Client, root: User, key: NewKey) -> None:
    running, ended = new_batch(key, line("a")), new_batch(key, line("b"))
    Batch.objects.filter(pk=ended.pk).update(state=BatchState.COMPLETED)

    text = cancel(client, running, ended)
    assert "1 batch(es) cancelled" in text
    assert "is completed and cannot be cancelled" in text
    running.refresh_from_db()
    assert running.state == BatchState.CANCELLING
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(running.pk)]


def test_who_may_only_look_cancels_nothing(client: Client, key: NewKey, django_user_model: Any) -> None:
    viewer = django_user_model.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_batch"))
    client.force_login(viewer)
    batch = new_batch(key, line("a"))
    cancel(client, batch)
    batch.refresh_from_db()
    assert batch.state == BatchState.VALIDATING


def test_responses_are_shown_without_a_word_of_them_and_are_not_changed(
    client: Client, alice: User, root: User, key: NewKey
) -> None:
    response = StoredResponse.objects.create(
        user=alice,
        api_key=key.key,
        model_name="tiny",
        repeated={"instructions": "private", "metadata": {"of": "private"}},
        items=[{"content": "private"}],
        output=[{"content": "private"}],
        error={"code": "server_error", "message": "private"},
        usage={"input_tokens": 71, "output_tokens": 13},
        state="failed",
        expires_at=timezone.now(),
    )
    client.force_login(root)
    one = reverse("admin:openai_api_storedresponse_change", args=[response.pk])
    for url in (reverse("admin:openai_api_storedresponse_changelist"), one):
        page = client.get(url).content.decode()
        assert "71 / 13" in page
        assert "alice" in page
        assert "private" not in page
    assert "server_error" in client.get(one).content.decode()
    assert client.post(one, {"state": "completed"}).status_code == 403


@pytest.mark.parametrize("written", ["batch_{0.hex}", "{0.hex}", " {0} "])
def test_a_row_is_found_by_the_id_that_programs_have(client: Client, root: User, key: NewKey, written: str) -> None:
    wanted, other = new_batch(key, line("a")), new_batch(key, line("b"))
    address = reverse("admin:openai_api_batch_changelist")
    page = client.get(address, {"q": written.format(wanted.public_id)}).content.decode()
    assert str(wanted.public_id) in page
    assert str(other.public_id) not in page
