"""Images of chats: kept from their pixels alone, seen by their owner and by models that see, gone with the chat."""

import base64
import io
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from PIL import Image

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User
from apps.catalog.errors import ModelSeesNothing
from apps.catalog.models import LanguageModel
from apps.conversations.errors import ImageNotFound, TooManyImages, TooManyImagesKept
from apps.conversations.image_marks import ImageMark, image_ids, in_words, parts_of
from apps.conversations.kept import ChatKeeper
from apps.conversations.markdown import render, render_user
from apps.conversations.models import Conversation, Message, Role
from apps.conversations.selectors.images import data_urls
from apps.conversations.selectors.reading import prompt_messages
from apps.conversations.services import images
from apps.conversations.services.branches import conversation_fork
from apps.conversations.services.conversations import conversation_delete, conversations_adopt
from apps.conversations.services.images import image_keep, images_erase, images_prune
from apps.conversations.services.shares import share_create, share_revoke
from apps.conversations.services.turns import conversation_lock, turn_edit, turn_regenerate
from apps.conversations.stored_images import ChatImage
from apps.conversations.views import images as image_views
from apps.holds.errors import Held
from apps.holds.models import HeldKind
from apps.holds.services import hold_place
from apps.moderation import selectors as moderation
from apps.moderation.actions import REMOVED
from apps.moderation.models import Incident, Opening, Policy, Rule
from apps.workers.image_files import KEPT_BYTES, MAX_IMAGES, KeptFile, kept_file
from tests.background import in_background, is_somebody_waiting_for_a_lock
from tests.conversations.conftest import MODEL, Opens
from tests.conversations.test_services import answered, start
from tests.fake_worker import FakeWorker
from tests.gpu_worker.test_images import SVG, png_of_size
from tests.gpu_worker.tiny_vision import picture
from tests.live import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def seeing(model: LanguageModel) -> LanguageModel:
    LanguageModel.objects.update(sees_images=True)
    model.refresh_from_db()
    return model


def file_of(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind.upper(), **options)
    return file.getvalue()


def kept(actor: Actor, *, turned: bool = False) -> ChatImage:
    return image_keep(actor=actor, file=kept_file(file_of(picture(turned=turned)), "image/png"))


def mark(image: ChatImage | UUID, words: str = "a slope") -> str:
    return f"![{words}](image:{image if isinstance(image, UUID) else image.public_id})"


def attach(client: Client, data: bytes, media_type: str = "image/png") -> Any:
    file = SimpleUploadedFile("photo.png", data, media_type)
    return client.post("/chat/images", {"image": file}, headers={"accept": "application/json"})


# --- Taking in --------------------------------------------------------------------------------------------------------


def test_a_photo_is_kept_without_its_place_and_given_to_its_owner_alone(alice: User, charlie: User) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"  # a place
    client = Client()
    client.force_login(alice)
    sent = file_of(picture(2000, 1000), "jpeg", exif=exif, comment=b"<script>alert(1)</script>") + b"PK\x03\x04 more"
    reply = attach(client, sent, "image/jpeg").json()
    assert (reply["width"], reply["height"]) == (1536, 768)
    stored = ChatImage.objects.get()
    for trace in (b"Exif", b"script", b"PK"):
        assert trace not in bytes(stored.data)

    shown = client.get(reply["url"])
    assert shown.content == bytes(stored.data)
    assert shown["Content-Type"] == "image/jpeg"
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert shown["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "private" in shown["Cache-Control"]
    stranger, visitor = Client(), Client()
    stranger.force_login(charlie)
    visitor.cookies[VISITOR_COOKIE] = visitor_cookie_value(uuid4())
    assert {one.get(reply["url"]).status_code for one in (stranger, visitor, Client())} == {404}


def test_the_same_image_is_kept_once_and_a_large_one_made_small(alice: User, alices: Actor) -> None:
    client = Client()
    client.force_login(alice)
    assert attach(client, file_of(picture())).json()["id"] == attach(client, file_of(picture())).json()["id"]
    noise = Image.effect_noise((1200, 1200), 90).convert("RGB")
    assert attach(client, file_of(noise, "webp", quality=90), "image/webp").status_code == 200
    assert len(bytes(ChatImage.objects.latest("pk").data)) <= KEPT_BYTES


@pytest.mark.parametrize(
    ("data", "media_type", "words"),
    [
        (SVG, "image/svg+xml", "is no kind of image that is read here"),
        (SVG, "image/png", "no valid PNG"),
        (b"<html><script>alert(1)</script>", "text/html", "is no kind of image"),
        (file_of(picture()), "image/jpeg", "no valid JPEG"),
        (file_of(picture())[:100], "image/png", "cut off"),
        (png_of_size(20_000, 20_000), "image/png", "more than 50 million pixels"),
        (b"", "image/png", "no valid PNG"),
    ],
)
def test_what_is_no_image_is_refused_in_words_and_not_kept(
    alice: User, data: bytes, media_type: str, words: str
) -> None:
    client = Client()
    client.force_login(alice)
    reply = attach(client, data, media_type)
    assert reply.status_code == 400
    assert words in reply.json()["error"]["message"]
    assert not ChatImage.objects.exists()


def test_nobody_unknown_attaches_anything_and_nobody_without_end(
    alice: User, alices: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attach(Client(), file_of(picture())).status_code in (403, 404)
    monkeypatch.setattr(images, "IMAGES_OF_OWNER_MAX", 1)
    kept(alices)
    with pytest.raises(TooManyImagesKept):
        kept(alices, turned=True)
    client = Client()
    client.force_login(alice)
    assert client.post("/chat/images", headers={"accept": "application/json"}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_an_image_passes_the_gate_before_it_is_kept(alice: User) -> None:
    Rule.objects.create(name="House words", category="rude", kind="words", pattern="bother")
    Policy.objects.create(surface="chat", action="refuse", category="image")
    moderation.forget()
    client = Client()
    client.force_login(alice)
    reply = attach(client, file_of(picture()))
    moderation.forget()
    assert reply.status_code == 403
    assert "The image is not accepted here" in reply.json()["error"]["message"]
    assert Incident.objects.get().categories == ["image"]
    assert not ChatImage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_while_an_image_is_read_and_judged_no_connection_to_the_database_is_held(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def noted(data: bytes, media_type: str) -> KeptFile:
        held.append(connection.connection)
        return kept_file(data, media_type)

    def judged(function: Any) -> Any:
        held.append(connection.connection)
        return async_to_sync(function)

    monkeypatch.setattr(images, "kept_file", noted)
    monkeypatch.setattr(image_views, "async_to_sync", judged)
    client = Client()
    client.force_login(alice)
    assert attach(client, file_of(picture())).status_code == 200
    assert held == [None, None]


@pytest.mark.django_db(transaction=True)
def test_of_one_image_that_is_attached_twice_at_once_both_incidents_lead_to_it(
    alice: User, alices: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(function: Any) -> Any:
        kept(alices)
        return async_to_sync(function)

    Rule.objects.create(name="words", category="rude", kind="words", pattern="darn")
    moderation.forget()
    monkeypatch.setattr(image_views, "async_to_sync", overtaken)
    client = Client()
    client.force_login(alice)
    image_id = attach(client, file_of(picture())).json()["id"]
    assert str(ChatImage.objects.get().public_id) == image_id
    assert Incident.objects.get().reference == image_id
    moderation.forget()


def test_one_image_too_many_at_once_is_put_off_and_none_of_them_keeps_its_place(alice: User) -> None:
    client = Client()
    client.force_login(alice)
    with ExitStack() as others:
        n_others = 0
        while images.reading.acquire(blocking=False):
            others.callback(images.reading.release)
            n_others += 1
        reply = attach(client, file_of(picture()))
        assert (reply.status_code, reply.json()["error"]["retryable"]) == (503, True)
        assert "Attach it again" in reply.json()["error"]["message"]
    for _ in range(n_others + 1):
        assert attach(client, SVG).status_code == 400
    assert attach(client, file_of(picture())).status_code == 200


# --- Marks in texts ---------------------------------------------------------------------------------------------------


def test_marks_are_told_from_what_was_typed() -> None:
    first, second = uuid4(), uuid4()
    text = f"Look:\n\n{mark(first, 'a [x')}{mark(first)} and {mark(second, '')}\n"
    assert list(parts_of(text)) == [
        f"Look:\n\n{mark(first, 'a [x')}",  # no mark: a bracket is in its words
        ImageMark("a slope", first),
        " and ",
        ImageMark("", second),
    ]
    assert image_ids(text) == [first, second]
    assert in_words(f"{mark(first)}, {mark(second, ' ')}") == "a slope, Image"


def test_a_mark_out_of_whose_words_something_was_taken_still_leads_to_its_image(
    alices: Actor, seeing: LanguageModel
) -> None:
    image = kept(alices)
    turn = answered(alices, f"Look {mark(image, 'a darn slope')}")
    message = turn.user_message
    assert message is not None
    ChatKeeper().redact(
        str(message.public_id), author=alices, taken_out=lambda texts: [t.replace("darn", REMOVED) for t in texts]
    )
    message.refresh_from_db()
    assert list(parts_of(message.content)) == ["Look ", ImageMark(f"a {REMOVED} slope", image.public_id)]
    assert list(message.images.all()) == [image]


def test_nothing_that_is_typed_into_a_mark_becomes_code_or_an_address() -> None:
    image = uuid4()
    attack = '" onerror="alert(1)" x="<script>'
    html = render_user(
        f"![{attack}](image:{image})\n\n![x](image:javascript:alert(1))\n\n![x](image:https://evil.example)"
    )
    assert f'<img src="/chat/images/{image}" alt="&quot; onerror=&quot;alert(1)&quot; x=&quot;&lt;script&gt;">' in html
    assert html.count("<img") == html.count("<a ") == 1
    assert "<script" not in html


def test_a_model_shows_nobody_an_image() -> None:
    said = mark(uuid4())
    assert "<img" not in render(f"<think>{said}</think>{said}")


def test_very_many_beginnings_of_marks_cost_little() -> None:
    assert render_user("![" * 50_000)
    assert render_user("![a](image:" * 20_000)


# --- Turns ------------------------------------------------------------------------------------------------------------


async def test_a_model_that_sees_gets_the_image_and_the_page_shows_it(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    await LanguageModel.objects.filter(name=MODEL).aupdate(sees_images=True)
    image = await sync_to_async(kept)(Actor(user_id=alice.pk))
    async with opens(alice) as page:
        accepted = await page.ask(f"What is it?\n\n{mark(image)}")
        await page.until_end(accepted["generation"])
        assert f'<img src="/chat/images/{image.public_id}" alt="a slope">' in accepted["user_message"]["html"]
        assert accepted["conversation"]["title"] == "What is it?"
        again = await page.ask("And now?", conversation=accepted["conversation"]["id"])
        await page.until_end(again["generation"])
    url = "data:image/png;base64," + base64.b64encode(bytes(image.data)).decode()
    shown = {
        "role": "user",
        "content": [{"type": "text", "text": "What is it?\n\n"}, {"type": "image_url", "image_url": {"url": url}}],
    }
    assert worker.requests[0]["messages"] == [shown]
    assert worker.requests[1]["messages"][0] == shown
    assert worker.requests[1]["messages"][2] == {"role": "user", "content": "And now?"}


def test_a_model_that_sees_nothing_is_not_asked(alices: Actor, seeing: LanguageModel) -> None:
    turn = answered(alices, mark(kept(alices)))
    assert turn.conversation.title == "a slope"
    LanguageModel.objects.update(sees_images=False)
    with pytest.raises(ModelSeesNothing, match="cannot see images"):
        start(alices, "And now?", turn.conversation)
    again = partial(turn_regenerate, actor=alices, conversation_id=turn.conversation.public_id, model_name=MODEL)
    with pytest.raises(ModelSeesNothing):
        again()
    with pytest.raises(ModelSeesNothing):
        start(alices, mark(kept(alices)))
    assert Message.objects.count() == 2
    start(alices, "A chat without images goes on as ever.")


def test_no_more_images_than_a_request_takes(alices: Actor, seeing: LanguageModel) -> None:
    pictures = [
        image_keep(actor=alices, file=kept_file(file_of(Image.new("RGB", (30, 30), (n, 0, 0))), "image/png"))
        for n in range(MAX_IMAGES + 1)
    ]
    turn = answered(alices, "".join(map(mark, pictures[:MAX_IMAGES])))
    with pytest.raises(TooManyImages, match="8 images"):
        start(alices, mark(pictures[-1]), turn.conversation)


def test_an_image_that_is_shown_again_and_again_counts_each_time(alices: Actor, seeing: LanguageModel) -> None:
    with pytest.raises(TooManyImages, match="8 images"):
        start(alices, mark(kept(alices)) * (MAX_IMAGES + 1))
    turn = start(alices, mark(kept(alices)) * MAX_IMAGES)
    [prompt] = prompt_messages(turn.conversation.pk, before=turn.generation.public_id)
    assert [part["type"] for part in prompt["content"]] == ["image_url"] * MAX_IMAGES  # type: ignore[index]


def test_nobody_shows_what_is_somebody_elses(alices: Actor, charlies: Actor, seeing: LanguageModel) -> None:
    theirs = kept(charlies)
    for image in (theirs, uuid4()):
        with pytest.raises(ImageNotFound):
            start(alices, f"Look {mark(image)}")
    assert not Conversation.objects.exists()


def test_an_edited_message_shows_what_is_left_in_it(alices: Actor, seeing: LanguageModel) -> None:
    first, other = kept(alices), kept(alices, turned=True)
    turn = answered(alices, f"Both {mark(first)}{mark(other)}")
    assert turn.user_message is not None
    edited = turn_edit(
        actor=alices,
        conversation_id=turn.conversation.public_id,
        message_id=turn.user_message.public_id,
        model_name=MODEL,
        text=f"One {mark(other)}",
    )
    [prompt] = prompt_messages(turn.conversation.pk, before=edited.generation.public_id)
    assert [part["type"] for part in prompt["content"]] == ["text", "image_url"]  # type: ignore[index]


def test_a_mark_in_an_answer_shows_a_model_nothing(alices: Actor, seeing: LanguageModel) -> None:
    image = kept(alices)
    turn = answered(alices, answer=f"See {mark(image)}")
    following = start(alices, "Again", turn.conversation)
    prompt = prompt_messages(turn.conversation.pk, before=following.generation.public_id)
    assert all(isinstance(message["content"], str) for message in prompt)


# --- Forgetting -------------------------------------------------------------------------------------------------------


def test_images_go_with_the_last_chat_that_shows_them(alices: Actor, seeing: LanguageModel) -> None:
    image = kept(alices)
    turn = answered(alices, mark(image))
    fork = conversation_fork(
        actor=alices,
        conversation_id=turn.conversation.public_id,
        message_id=turn.assistant_message.public_id,
    )
    conversation_delete(actor=alices, conversation_id=turn.conversation.public_id)
    following = start(alices, "Still there?", fork)
    prompt = prompt_messages(fork.pk, before=following.generation.public_id)
    assert isinstance(prompt[0]["content"], list)
    conversation_delete(actor=alices, conversation_id=fork.public_id)
    assert not ChatImage.objects.exists()


def test_what_was_never_sent_is_forgotten_after_a_day(alices: Actor, seeing: LanguageModel) -> None:
    sent, unsent = kept(alices), kept(alices, turned=True)
    answered(alices, mark(sent))
    assert images_prune() == 0
    ChatImage.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert images_prune() == 1
    assert list(ChatImage.objects.all()) == [sent]
    assert unsent.pk != sent.pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("forget", ["prune", "erase"])
def test_an_image_that_is_sent_while_it_is_forgotten_stays(alices: Actor, seeing: LanguageModel, forget: str) -> None:
    image, forgotten = kept(alices), list[int]()
    ChatImage.objects.update(created_at=timezone.now() - timedelta(days=2))
    work = images_prune if forget == "prune" else partial(images_erase, alices, [])
    with transaction.atomic():
        turn = start(alices, mark(image))
        forgetting = in_background(lambda: forgotten.append(work()))
        wait_until(
            lambda: bool(forgotten) or is_somebody_waiting_for_a_lock(), what="the end of the image to come near"
        )
    forgetting.join()
    assert forgotten == [0]
    assert list(image.messages.all()) == [turn.user_message]


@pytest.mark.parametrize("whose", ["user", "visitor"])
def test_what_was_never_sent_stays_while_its_owner_is_held(
    alice: User, alices: Actor, visitor: UUID, seeing: LanguageModel, whose: str
) -> None:
    kept(alices)
    kept(Actor(visitor_public_id=visitor))
    held = alice.public_id if whose == "user" else visitor
    hold_place(kind=HeldKind(whose), subject=held, reason="Case 7", is_told=True, placed_by=alice)
    ChatImage.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert images_prune() == 1
    left = ChatImage.objects.get()
    assert left.user == (alice if whose == "user" else None)


def test_an_image_that_moderators_take_out_is_kept_nowhere(alices: Actor, seeing: LanguageModel) -> None:
    shown, other = kept(alices), kept(alices, turned=True)
    turn = answered(alices, f"Look {mark(shown)}{mark(other)}")
    elsewhere = answered(alices, f"Only {mark(other)}")
    assert turn.user_message is not None
    conversation_fork(
        actor=alices, conversation_id=turn.conversation.public_id, message_id=turn.assistant_message.public_id
    )
    ChatKeeper().redact(
        str(turn.user_message.public_id), author=alices, taken_out=lambda texts: ["[removed]" for _ in texts]
    )
    assert list(ChatImage.objects.all()) == [other]
    assert list(other.messages.all()) == [elsewhere.user_message]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_sent", [False, True])
def test_moderators_see_an_image_that_was_flagged_and_its_owner_learns_of_it(
    alice: User, alices: Actor, seeing: LanguageModel, is_sent: bool
) -> None:
    Rule.objects.create(name="words", category="rude", kind="words", pattern="darn")
    moderation.forget()
    client, moderator = Client(), Client()
    client.force_login(alice)
    moderator.force_login(User.objects.create_superuser("root"))
    image_id = attach(client, file_of(picture())).json()["id"]
    assert attach(client, file_of(picture())).json()["id"] == image_id
    assert set(Incident.objects.values_list("reference", flat=True)) == {image_id}
    if is_sent:
        answered(alices, f"Look {mark(UUID(image_id))}")
    [url] = data_urls(ChatImage.objects.all()).values()
    address = f"/admin/moderation/incident/{Incident.objects.latest('pk').pk}/review/"
    page = moderator.get(address).content.decode()
    assert f'src="{url}"' in page
    assert ("Look" in page) == is_sent
    opening = Opening.objects.get()
    assert (opening.owner, opening.reader_name) == (alice, "root")
    assert opening.what == str(Conversation.objects.get() if is_sent else ChatImage.objects.get())
    assert LogEntry.objects.count() == is_sent  # of the chat

    assert moderator.post(f"{address}redact/").status_code == 302
    assert not ChatImage.objects.exists()
    assert [one.content for one in Message.objects.filter(role="user")] == ["Look [removed]"] * is_sent
    assert "cannot be shown" in moderator.get(address).content.decode()
    moderation.forget()


@pytest.mark.django_db(transaction=True)
def test_an_image_that_is_sent_while_moderators_take_it_out_is_gone_all_the_same(
    alices: Actor, seeing: LanguageModel
) -> None:
    image, taken_out = kept(alices), list[bool]()
    redact = partial(ChatKeeper().redact, str(image.public_id), author=alices, taken_out=list)
    with transaction.atomic():
        turn = start(alices, mark(image))
        redacting = in_background(lambda: taken_out.append(redact()))
        wait_until(lambda: bool(taken_out) or is_somebody_waiting_for_a_lock(), what="the image to be taken out")
    redacting.join()
    assert taken_out == [True]
    assert not ChatImage.objects.exists()
    assert turn.user_message is not None
    turn.user_message.refresh_from_db()
    assert turn.user_message.content == "[removed]"


@pytest.mark.django_db(transaction=True)
def test_whoever_sends_an_image_again_and_who_takes_it_out_do_not_wait_for_each_other(
    alices: Actor, seeing: LanguageModel
) -> None:
    image, taken_out = kept(alices), list[bool]()
    first = answered(alices, mark(image))
    redact = partial(ChatKeeper().redact, str(image.public_id), author=alices, taken_out=list)
    with transaction.atomic():
        conversation_lock(alices, first.conversation.public_id)
        redacting = in_background(lambda: taken_out.append(redact()))
        wait_until(lambda: bool(taken_out) or is_somebody_waiting_for_a_lock(), what="the image to be taken out")
        start(alices, mark(image), first.conversation)
    redacting.join()
    assert taken_out == [True]
    assert not ChatImage.objects.exists()
    said = Message.objects.filter(conversation=first.conversation, role=Role.USER)
    assert [message.content for message in said] == ["[removed]", "[removed]"]


def test_no_image_is_seen_by_the_incident_of_somebody_else(alices: Actor, bob: User, visitor: UUID) -> None:
    image = kept(alices)
    for actor in (Actor(user_id=bob.pk), Actor(visitor_public_id=visitor), Actor()):
        assert ChatKeeper().open(str(image.public_id), author=actor, reader=bob) is None
        assert not ChatKeeper().redact(str(image.public_id), author=actor, taken_out=list)
    assert ChatImage.objects.exists()
    assert not Opening.objects.exists()


def test_a_held_image_is_not_taken_out(alice: User, alices: Actor) -> None:
    image = kept(alices)
    hold_place(kind=HeldKind.USER, subject=alice.public_id, reason="Case 7", is_told=True, placed_by=alice)
    with pytest.raises(Held):
        ChatKeeper().redact(str(image.public_id), author=alices, taken_out=list)
    assert ChatImage.objects.get() == image


def test_a_person_who_leaves_leaves_no_image(
    alice: User, alices: Actor, charlies: Actor, visitor: UUID, seeing: LanguageModel
) -> None:
    others = kept(charlies)
    sent, unsent = kept(alices), kept(alices, turned=True)
    chat = answered(alices, mark(sent)).conversation
    assert images_erase(alices, [alice.public_id]) == 0  # held
    assert images_erase(alices, []) == 1
    assert not ChatImage.objects.filter(pk=unsent.pk).exists()
    conversation_delete(actor=alices, conversation_id=chat.public_id)
    kept(alices)
    kept(Actor(visitor_public_id=visitor))
    conversations_adopt(user=alice, visitor_public_id=visitor)
    assert ChatImage.objects.filter(user=alice).count() == 2
    alice.delete()
    assert list(ChatImage.objects.all()) == [others]


# --- Sharing ----------------------------------------------------------------------------------------------------------


def test_a_shared_chat_shows_its_own_images_for_as_long_as_it_is_shared(
    alices: Actor, seeing: LanguageModel, client: Client
) -> None:
    first, later = kept(alices), kept(alices, turned=True)
    turn = answered(alices, f"Look {mark(first)}")
    share = share_create(actor=alices, conversation_id=turn.conversation.public_id, lasts=None)
    answered(alices, mark(later), turn.conversation)
    page = client.get(f"/shared/{share.token}").content.decode()
    address = f"/shared/{share.token}/images/{first.public_id}"
    assert f'<img src="{address}" alt="a slope">' in page
    shown = client.get(address)
    assert shown.content == bytes(first.data)
    assert shown["Cache-Control"] == "no-store"
    assert "noindex" in shown["X-Robots-Tag"]
    for hidden in (later.public_id, uuid4()):
        assert client.get(f"/shared/{share.token}/images/{hidden}").status_code == 404
    assert client.get(f"/chat/images/{first.public_id}").status_code == 404
    share_revoke(actor=alices, share_id=share.pk)
    assert client.get(address).status_code == 404
