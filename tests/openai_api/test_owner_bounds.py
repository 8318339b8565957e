"""What one owner may have: files by their size together, and unfinished batches; however many requests come at once."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from apps.accounts.actors import Actor
from apps.accounts.key_scope import KeyScope
from apps.accounts.models import User
from apps.accounts.services import NewKey, api_key_create
from apps.openai_api.errors import FilesTooLarge
from apps.openai_api.models import ApiFile, Batch, BatchState, FileChunk
from apps.openai_api.selectors import batches_free
from apps.openai_api.services import batches, files
from tests.background import in_background, is_somebody_waiting_for_a_lock
from tests.live import wait_until
from tests.openai_api.batch_support import line, new_batch

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_uploads_at_once_find_room_for_one(alice: User, bob: User, key: NewKey, settings: Settings) -> None:
    settings.API_FILES_MAX_BYTES = 15
    actor, ended = Actor(user_id=alice.pk, api_key_id=key.key.pk), list[str]()

    def upload(name: str, pieces: Iterator[bytes]) -> None:
        try:
            files.file_upload(actor=actor, name=name, purpose="batch", pieces=pieces)
            ended.append(f"{name} stored")
        except FilesTooLarge:
            ended.append(f"{name} refused")

    def slow() -> Iterator[bytes]:
        yield b"x" * 5
        other = in_background(lambda: upload("second", iter([b"x" * 10])))
        wait_until(lambda: bool(ended) or is_somebody_waiting_for_a_lock(), what="the second upload to come")
        others.append(other)
        yield b"x" * 5

    others: list[object] = []
    upload("first", slow())
    wait_until(lambda: len(ended) == 2, what="both uploads to end")
    assert ended == ["first stored", "second refused"]
    assert others
    key_of_bob = api_key_create(name="bobs", user=bob).key
    files.file_upload(
        actor=Actor(user_id=bob.pk, api_key_id=key_of_bob.pk), name="his", purpose="batch", pieces=[b"x" * 15]
    )


def test_a_key_that_sees_only_its_own_files_has_no_room_of_its_own(
    alice: User, key: NewKey, settings: Settings
) -> None:
    settings.API_FILES_MAX_BYTES = 15
    restricted = api_key_create(name="tiny", user=alice, scope=KeyScope(model_names=["tiny"])).key

    def upload(key_pk: int) -> None:
        actor = Actor(user_id=alice.pk, api_key_id=key_pk)
        files.file_upload(actor=actor, name="a", purpose="batch", pieces=[b"x" * 10])

    upload(key.key.pk)
    with pytest.raises(FilesTooLarge):
        upload(restricted.pk)


def test_of_a_file_that_is_too_large_no_more_is_read_than_shows_it(key: NewKey, settings: Settings) -> None:
    settings.API_FILES_MAX_BYTES = 15
    read = []

    def pieces() -> Iterator[bytes]:
        for number in range(9):
            read.append(number)
            yield b"x" * 10

    with pytest.raises(FilesTooLarge):
        files.file_upload(
            actor=Actor(user_id=key.key.user_id, api_key_id=key.key.pk), name="a", purpose="batch", pieces=pieces()
        )
    assert read == [0, 1]
    assert not ApiFile.objects.exists()
    assert not FileChunk.objects.exists()


def test_an_owner_has_so_many_unfinished_batches_and_no_more(
    client: Client, key: NewKey, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_UNFINISHED", 2)
    body = {"endpoint": "/v1/completions", "completion_window": "24h"}
    last = [new_batch(key, line("a")) for _ in range(2)][-1]

    def create() -> tuple[int, object]:
        file_id = f"file-{last.input_file_public_id.hex}"
        reply = client.post(
            "/v1/batches",
            body | {"input_file_id": file_id},
            content_type="application/json",
            headers={"Authorization": f"Bearer {key.secret}"},
        )
        return reply.status_code, reply.json().get("error", {}).get("code")

    assert create() == (429, "too_many_batches")
    new_batch(api_key_create(name="charlies", user=charlie), line("a"))
    batches.batch_cancel(last)
    assert create() == (429, "too_many_batches"), "it has not ended yet"
    Batch.objects.filter(pk=last.pk).update(state=BatchState.CANCELLED)
    assert create() == (200, None)


def test_the_batch_whose_last_turn_is_longest_ago_is_first(key: NewKey) -> None:
    first, second, third = [new_batch(key, line("a")) for _ in range(3)]
    Batch.objects.filter(pk=first.pk).update(tried_at=timezone.now())
    Batch.objects.filter(pk=second.pk).update(tried_at=timezone.now())
    assert batches_free(9) == [third.pk, first.pk, second.pk]
    assert batches_free(1) == [third.pk]
