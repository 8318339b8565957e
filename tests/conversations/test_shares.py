"""Links to a chat: a copy for everyone who has the address, until it is revoked or expires."""

from datetime import timedelta
from functools import partial

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import (
    ChatBehind,
    ChatNotFound,
    NothingToShare,
    ShareNotFound,
    ShareTooLong,
    SignInRequired,
    TooManyShares,
)
from apps.conversations.models import Conversation, Message, Share
from apps.conversations.selectors.shares import share_get, shares_list
from apps.conversations.services import shares
from apps.conversations.services.conversations import conversation_delete
from apps.conversations.services.settings import conversation_configure
from apps.conversations.services.shares import share_create, share_revoke
from apps.core.threads import in_thread
from apps.privacy.models import Kept
from apps.privacy.services.retention import retention_run
from tests.conversations.test_services import answered, at_once, start


@pytest.fixture
def chat(alices: Actor, model: LanguageModel) -> Conversation:
    return answered(alices, "What is <b>this</b>?", answer="A *fox*.").conversation


def shared(actor: Actor, chat: Conversation, lasts: timedelta | None = None) -> Share:
    return share_create(actor=actor, conversation_id=chat.public_id, lasts=lasts)


def test_everybody_who_has_the_address_sees_the_copy_and_nothing_else(
    client: Client, alices: Actor, chat: Conversation
) -> None:
    conversation_configure(actor=alices, conversation_id=chat.public_id, settings=ChatSettings("A secret prompt"))
    share = shared(alices, chat)
    answered(alices, "Said later", chat)

    response = client.get(f"/shared/{share.token}")

    page = response.content.decode()
    assert response.status_code == 200
    assert "<em>fox</em>" in page
    assert "&lt;b&gt;this" in page
    for kept in ("Said later", "A secret prompt", str(chat.public_id), "alice"):
        assert kept not in page
    assert "noindex" in response["X-Robots-Tag"]
    assert '<meta name="robots" content="noindex' in page
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]


def test_a_revoked_an_expired_and_an_unknown_link_lead_nowhere(
    client: Client, alices: Actor, chat: Conversation
) -> None:
    revoked, expired = shared(alices, chat), shared(alices, chat, timedelta(days=1))
    share_revoke(actor=alices, share_id=revoked.pk)
    Share.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for token in (revoked.token, expired.token, "nothing", "x" * 500):
        assert client.get(f"/shared/{token}").status_code == 404
        with pytest.raises(ShareNotFound):
            share_get(token)
    revoked.refresh_from_db()
    assert revoked.messages == []
    assert shares_list(alices) == []


def test_what_is_deleted_is_not_shared_any_more(client: Client, alices: Actor, chat: Conversation) -> None:
    share = shared(alices, chat)
    conversation_delete(actor=alices, conversation_id=chat.public_id)
    assert client.get(f"/shared/{share.token}").status_code == 404
    assert not Share.objects.exists()


def test_an_answer_that_is_being_written_is_not_in_the_copy(alices: Actor, model: LanguageModel) -> None:
    turn = start(alices, "Hi")
    assert [m["role"] for m in shared(alices, turn.conversation).messages] == ["user"]
    turn.conversation.messages.all().delete()
    with pytest.raises(NothingToShare):
        shared(alices, turn.conversation)


def test_links_end_at_a_limit(alices: Actor, chat: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "SHARES_MAX", 2)
    first = shared(alices, chat)
    shared(alices, chat)
    with pytest.raises(TooManyShares):
        shared(alices, chat)
    share_revoke(actor=alices, share_id=first.pk)
    shared(alices, chat)


def test_charlie_makes_sees_and_revokes_no_link_of_alices(
    alices: Actor, charlies: Actor, charlie: User, chat: Conversation
) -> None:
    share = shared(alices, chat)
    client = Client()
    client.force_login(charlie)
    url = f"/chat/{chat.public_id}/links"
    assert client.get(url).status_code == 404
    assert client.post(f"{url}/create").status_code == 404
    assert client.post(f"/chats/shared/{share.pk}/revoke").status_code == 404
    assert share.token not in client.get("/chats/shared").content.decode()
    with pytest.raises(ChatNotFound):
        share_revoke(actor=charlies, share_id=share.pk)
    assert share_get(share.token) == share


def test_the_owners_doors(alice: User, alices: Actor, chat: Conversation) -> None:
    client = Client()
    client.force_login(alice)
    url = f"/chat/{chat.public_id}/links"
    assert "no link" in client.get(url).content.decode()

    page = client.post(f"{url}/create", {"lasts": "30"}).content.decode()

    share = Share.objects.get()
    assert f"http://testserver/shared/{share.token}" in page
    assert share.expires_at is not None
    assert timedelta(days=29) < share.expires_at - timezone.now() <= timedelta(days=30)
    client.post(f"{url}/create", {"lasts": ""})
    assert Share.objects.filter(expires_at=None).count() == 1
    assert share.token in client.get("/chats/shared").content.decode()
    assert client.post(f"/chats/shared/{share.pk}/revoke")["Location"] == "/chats/shared"
    assert share.token not in client.get("/chats/shared").content.decode()


def test_an_admin_revokes_a_link_without_seeing_its_address(alices: Actor, chat: Conversation) -> None:
    share = shared(alices, chat)
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.org", "an admin's own"))
    url = "/admin/conversations/share/"
    for page in (url, f"{url}{share.pk}/change/"):
        assert share.token not in client.get(page).content.decode()
    client.post(url, {"action": "revoke", "_selected_action": [share.pk]})
    with pytest.raises(ShareNotFound):
        share_get(share.token)


def test_a_shared_page_leaves_nothing_to_be_done_for_who_asks(
    client: Client, alices: Actor, chat: Conversation
) -> None:
    share = shared(alices, chat)
    assert "<em>fox</em>" in client.get(f"/shared/{share.token}").content.decode()
    share.messages = [kept | {"content": "*another*"} for kept in share.messages]
    share.save()
    # Whoever asks gets the page that was kept: nothing is made of the text.
    page = client.get(f"/shared/{share.token}").content.decode()
    assert "<em>fox</em>" in page
    assert "another" not in page


def test_a_page_for_everybody_has_a_longest_length(
    alices: Actor, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "SHARED_MAX_CHARS", 10)
    with pytest.raises(ShareTooLong):
        shared(alices, chat)


@pytest.mark.django_db(transaction=True)
def test_what_changes_while_it_is_looked_at_is_not_shared(
    alices: Actor, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile(texts: list[str], **_: object) -> list[str]:
        await in_thread(Message.objects.filter(role="user").update, content="[removed]")
        return texts

    monkeypatch.setattr(shares, "texts_pass", meanwhile)
    with pytest.raises(ChatBehind):
        shared(alices, chat)
    assert not Share.objects.exists()


def test_whoever_may_not_chat_shares_nothing_and_what_they_shared_leads_nowhere(
    client: Client, alice: User, alices: Actor, chat: Conversation
) -> None:
    share = shared(alices, chat)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    with pytest.raises(SignInRequired):
        shared(alices, chat)
    assert client.get(f"/shared/{share.token}").status_code == 404


def test_of_links_at_once_to_two_chats_the_limit_lets_one_through(
    transactional_db: None, alices: Actor, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "SHARES_MAX", 1)
    chats = [answered(alices, "One").conversation, answered(alices, "Two").conversation]
    made = list(at_once(*(partial(shared, alices, one) for one in chats * 3)))
    assert [type(one) for one in made].count(Share) == Share.objects.count() == 1


def test_a_link_without_a_time_lasts_a_week(alice: User, chat: Conversation) -> None:
    client = Client()
    client.force_login(alice)
    client.post(f"/chat/{chat.public_id}/links/create")
    assert Share.objects.get().expires_at is not None


def test_links_that_lead_nowhere_are_forgotten(alices: Actor, chat: Conversation) -> None:
    revoked, expired, kept = shared(alices, chat), shared(alices, chat, timedelta(0)), shared(alices, chat)
    share_revoke(actor=alices, share_id=revoked.pk)
    assert retention_run() == {Kept.LINKS: 2}
    assert list(Share.objects.all()) == [kept]
    assert not Share.objects.filter(pk=expired.pk).exists()


def test_a_nul_in_an_address_names_nothing(client: Client, alice: User, db: None) -> None:
    assert client.get("/shared/%00").status_code == 404
    client.force_login(alice)
    assert client.get("/chats?folder=%00").status_code == 200


def test_an_admin_finds_a_link_by_its_address_and_revokes_it(
    admin_client: Client, alices: Actor, chat: Conversation
) -> None:
    share, other = shared(alices, chat), shared(alices, chat)
    url = reverse("admin:conversations_share_changelist")
    page = admin_client.get(url, {"q": f"https://site.example/shared/{share.token}/"}).content.decode()
    assert f"/{share.pk}/change/" in page
    assert f"/{other.pk}/change/" not in page
    assert other.token not in page
    admin_client.post(url, {"action": "revoke", "_selected_action": [share.pk]})
    share.refresh_from_db()
    assert share.revoked_at is not None
    assert share.messages == []
    assert share_get(other.token) == other


@pytest.mark.parametrize(
    ("name", "value", "words"), [("SHARED_HTML_MAX_CHARS", 10, "of HTML"), ("RENDER_WITHIN_S", -1.0, "to make")]
)
def test_the_page_of_a_link_has_a_longest_length_and_a_longest_time(
    alices: Actor, chat: Conversation, monkeypatch: pytest.MonkeyPatch, name: str, value: float, words: str
) -> None:
    monkeypatch.setattr(shares, name, value)
    with pytest.raises(ShareTooLong, match=words):
        shared(alices, chat)
    assert not Share.objects.exists()


def test_whoever_has_too_many_links_is_told_before_anybody_looks_at_the_chat(
    alices: Actor, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "SHARES_MAX", 0)
    Message.objects.update(content="x" * 300_001)
    with pytest.raises(TooManyShares):
        shared(alices, chat)
