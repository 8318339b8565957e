"""Keys that open less: for some models, endpoints, addresses, for a time; and secrets that are changed."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts import services
from apps.accounts.actors import Actor, actor_get
from apps.accounts.errors import EndpointNotAllowed, KeyInvalid, KeyScopeWrong, ModelNotAllowed
from apps.accounts.key_scope import KeyScope
from apps.accounts.models import ApiKey, Endpoint, User
from apps.accounts.selectors import key_check
from apps.catalog.models import LanguageModel
from apps.catalog.selectors import models_visible
from apps.core.client_ip import client_ip
from apps.workers.call import WorkerPath
from fastchat_site.settings.networks import networks

HOME = "192.0.2.7"


def make(user: User | None, **scope: Any) -> services.NewKey:
    return services.api_key_create(name="k", user=user, scope=KeyScope(**scope))


def opens(secret: str, *, at: str = HOME) -> bool:
    try:
        services.api_key_authenticate(secret, client_ip=at)
    except KeyInvalid:
        return False
    return True


# --- What a key may do ------------------------------------------------------------------------------------------------


def test_a_key_opens_only_from_its_addresses(alice: User) -> None:
    secret = make(alice, ip_ranges=["192.0.2.0/24", "2001:db8::1"]).secret

    assert [opens(secret, at=address) for address in (HOME, "2001:db8::1", "::ffff:192.0.2.9")] == [True] * 3
    assert [opens(secret, at=address) for address in ("192.0.3.1", "2001:db8::2", "", "nonsense")] == [False] * 4


def test_a_key_opens_until_it_expires(alice: User) -> None:
    new = make(alice, expires_at=timezone.now() + timedelta(hours=1))
    job = Actor(user_id=alice.pk, api_key_id=new.key.pk)
    key_check(job, endpoint=Endpoint.CHAT, model_name="tiny")

    ApiKey.objects.update(expires_at=timezone.now())
    assert not opens(new.secret)
    with pytest.raises(KeyInvalid):
        key_check(job, endpoint=Endpoint.CHAT, model_name="tiny")


def test_a_key_for_some_models_sees_and_asks_no_others(alice: User) -> None:
    for name in ("tiny", "other"):
        LanguageModel.objects.create(name=name)
    actor = services.api_key_authenticate(make(alice, model_names=["tiny"]).secret, client_ip=HOME)

    assert [model.name for model in models_visible(actor)] == ["tiny"]
    key_check(actor, endpoint=Endpoint.CHAT, model_name="tiny")
    with pytest.raises(ModelNotAllowed, match="'other', only for tiny"):
        key_check(actor, endpoint=Endpoint.CHAT, model_name="other")


def test_a_key_for_some_endpoints_may_be_used_at_no_others(alice: User) -> None:
    actor = services.api_key_authenticate(make(alice, endpoints=[Endpoint.EMBEDDINGS]).secret, client_ip=HOME)

    key_check(actor, endpoint=Endpoint.EMBEDDINGS, model_name="any")
    with pytest.raises(EndpointNotAllowed, match="only at /v1/embeddings"):
        key_check(actor, endpoint=Endpoint.CHAT, model_name="any")


def test_a_key_that_was_revoked_in_mid_job_asks_nothing_more(alice: User) -> None:
    new = make(alice)
    job = Actor(user_id=alice.pk, api_key_id=new.key.pk)
    key_check(job, endpoint=Endpoint.CHAT, model_name="tiny")
    services.api_key_revoke(new.key)

    with pytest.raises(KeyInvalid):
        key_check(job, endpoint=Endpoint.CHAT, model_name="tiny")


def test_every_door_of_a_worker_is_an_endpoint_that_keys_can_be_restricted_to() -> None:
    assert set(Endpoint.values) >= set(WorkerPath)


@pytest.mark.parametrize(
    "scope",
    [
        {"ip_ranges": ["10.0.0.1/8"]},
        {"ip_ranges": ["home"]},
        {"ip_ranges": ["fe80::1%" + "e" * 60]},
        {"ip_ranges": ["fe80::1%eth0"]},
        {"endpoints": ["/v1/everything"]},
        {"model_names": ["\0"]},
        {"model_names": ["m"] * 51},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
    ],
    ids=lambda scope: next(iter(scope)),
)
def test_a_restriction_that_makes_no_sense_is_refused(db: None, scope: dict[str, Any]) -> None:
    with pytest.raises(KeyScopeWrong) as refusal:
        make(None, **scope)
    assert refusal.value.field == next(iter(scope))
    assert not ApiKey.objects.exists()


# --- Rotation ---------------------------------------------------------------------------------------------------------


def test_both_secrets_open_while_they_overlap(alice: User) -> None:
    old = make(alice)
    new = services.api_key_rotate(old.key, overlap=timedelta(hours=1))

    assert (new.key.pk, new.secret == old.secret) == (old.key.pk, False)
    assert (opens(old.secret), opens(new.secret)) == (True, True)
    ApiKey.objects.update(previous_expires_at=timezone.now())
    assert (opens(old.secret), opens(new.secret)) == (False, True)


def test_without_an_overlap_the_old_secret_stops_at_once_and_two_rotations_leave_two(alice: User) -> None:
    first = make(alice)
    second = services.api_key_rotate(first.key, overlap=timedelta(hours=1))
    third = services.api_key_rotate(second.key, overlap=timedelta(hours=1))
    assert [opens(key.secret) for key in (first, second, third)] == [False, True, True]

    fourth = services.api_key_rotate(third.key, overlap=timedelta(0))
    assert [opens(key.secret) for key in (second, third, fourth)] == [False, False, True]


def test_revoking_ends_both_secrets_and_a_revoked_key_is_not_rotated(alice: User) -> None:
    old = make(alice)
    new = services.api_key_rotate(old.key, overlap=timedelta(hours=1))
    services.api_key_revoke(new.key)

    assert (opens(old.secret), opens(new.secret)) == (False, False)
    with pytest.raises(KeyInvalid):
        services.api_key_rotate(new.key, overlap=timedelta(0))


def test_a_key_that_opens_nothing_gets_no_new_secret(alice: User, bob: User) -> None:
    expired, disabled = (
        make(alice).key,
        make(bob).key,
    )
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    User.objects.filter(pk=bob.pk).update(is_active=False)

    for key in (expired, disabled):
        with pytest.raises(KeyInvalid):
            services.api_key_rotate(key, overlap=timedelta(hours=1))


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_page_makes_a_restricted_key_and_says_what_is_wrong(client: Client, alice: User) -> None:
    client.force_login(alice)
    form = {"name": "ci", "model_names": "tiny, other\ntiny", "ip_ranges": "10.0.0.0/8", "endpoints": [Endpoint.CHAT]}

    wrong = client.post("/account/keys", form | {"ip_ranges": "here"}).content.decode()
    assert "no address or network such as 192.0.2.7" in wrong
    assert "That time has passed" not in wrong
    assert "That time has passed" in client.post("/account/keys", form | {"expires_at": "2020-01-01"}).content.decode()
    assert "Choose an earlier day" in client.post("/account/keys", form | {"expires_at": "9999-12-31"}).content.decode()
    page = client.post("/account/keys", form | {"expires_at": "2999-12-31"}).content.decode()
    key = ApiKey.objects.get()
    assert (key.model_names, key.ip_ranges) == (["tiny", "other"], ["10.0.0.0/8"])
    assert str(key.expires_at) == "3000-01-01 00:00:00+00:00"
    for words in ("tiny, other", "/v1/chat/completions", "from 10.0.0.0/8", "1 Jan 3000"):
        assert words in page


def test_the_page_rotates_and_shows_the_new_secret_once(client: Client, alice: User) -> None:
    client.force_login(alice)
    old = make(alice)

    page = client.post(f"/account/keys/{old.key.pk}/rotate", {"overlap_s": "3600"})
    secret = page.context["new_key"].secret
    assert secret in page.content.decode()
    assert "The old secret works until" in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert secret not in client.get("/account/keys").content.decode()
    assert opens(secret)
    assert client.post(f"/account/keys/{old.key.pk}/rotate", {"overlap_s": "-5"}).status_code == 400
    services.api_key_revoke(old.key)
    assert client.post(f"/account/keys/{old.key.pk}/rotate", {"overlap_s": "0"}).status_code == 409


def test_the_page_offers_no_rotation_of_a_key_that_has_expired(client: Client, alice: User) -> None:
    client.force_login(alice)
    old = make(alice)
    rotates, revokes = (f"/account/keys/{old.key.pk}/{verb}" for verb in ("rotate", "revoke"))
    assert rotates in client.get("/account/keys").content.decode()
    ApiKey.objects.update(expires_at=timezone.now())
    page = client.get("/account/keys").content.decode()
    assert rotates not in page
    assert revokes in page  # its name is free again after that


def test_charlie_rotates_nothing_of_alices(client: Client, alice: User, charlie: User) -> None:
    old = make(alice)
    assert client.post(f"/account/keys/{old.key.pk}/rotate", {"overlap_s": "0"}).status_code == 302
    client.force_login(charlie)
    assert client.post(f"/account/keys/{old.key.pk}/rotate", {"overlap_s": "0"}).status_code == 404
    assert opens(old.secret)


# --- Where a request comes from ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "10.0.0.9", "203.0.113.5"),  # a stranger says it forwards
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),  # what is further left anybody may have written
        ("10.0.0.1", "1.1.1.1, 203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"),
        ("", "203.0.113.5", ""),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, client: str) -> None:
    with override_settings(TRUSTED_PROXIES=networks("TRUSTED_PROXIES", ["10.0.0.0/8"])):
        assert client_ip({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) == client


@given(peer=st.ip_addresses(), forwarded=st.text())
def test_without_trusted_proxies_nothing_in_a_header_matters(peer: Any, forwarded: str) -> None:
    with override_settings(TRUSTED_PROXIES=[]):
        seen = client_ip({"REMOTE_ADDR": str(peer), "HTTP_X_FORWARDED_FOR": forwarded})
    assert seen == str(getattr(peer, "ipv4_mapped", None) or peer)


def test_a_setting_that_is_no_network_is_loud() -> None:
    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES"):
        networks("TRUSTED_PROXIES", ["proxy.example.org"])


def test_a_browser_has_no_key(rf: Any) -> None:
    assert actor_get(AnonymousUser(), {}) == Actor()
    key_check(Actor(), endpoint=Endpoint.CHAT, model_name="tiny")
