"""API keys: shown once, stored as a digest, useless after they are revoked."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from apps.accounts import services
from apps.accounts.actors import Actor
from apps.accounts.errors import KeyInvalid, KeyNameEmpty, KeyNameTaken
from apps.accounts.models import ApiKey, User

pytestmark = pytest.mark.django_db


def opened(secret: str) -> Actor:
    return services.api_key_authenticate(secret, client_ip="192.0.2.7")


def test_a_key_opens_for_its_owner_and_is_not_stored(alice: User) -> None:
    new = services.api_key_create(name="laptop", user=alice)

    actor = opened(new.secret)
    assert (actor.user_id, actor.is_authenticated) == (alice.pk, True)
    row = ApiKey.objects.values().get()
    assert new.secret not in map(str, row.values())
    assert row["last_used_at"] is not None
    assert new.secret not in repr(new)


@pytest.mark.parametrize("secret", ["", "fcs_", "fcs_unknown", "\ud800", "x" * 10_000, "\0"])
def test_what_is_no_key_opens_nothing(secret: str) -> None:
    with pytest.raises(KeyInvalid):
        opened(secret)


def test_a_revoked_key_and_the_key_of_a_disabled_user_open_nothing(alice: User, bob: User) -> None:
    revoked = services.api_key_create(name="old", user=alice)
    services.api_key_revoke(revoked.key)
    disabled = services.api_key_create(name="his", user=bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)

    for new in (revoked, disabled):
        with pytest.raises(KeyInvalid):
            opened(new.secret)


def test_names_are_told_apart_among_active_keys_of_one_owner(alice: User, bob: User) -> None:
    first = services.api_key_create(name="ci", user=alice)
    services.api_key_create(name="ci", user=bob)
    services.api_key_create(name="ci", user=None)
    for owner in (alice, None):
        with pytest.raises(KeyNameTaken):
            services.api_key_create(name="ci", user=owner)
    services.api_key_revoke(first.key)
    services.api_key_create(name="ci", user=alice)
    with pytest.raises(KeyNameEmpty):
        services.api_key_create(name="  ", user=alice)


def test_the_command_prints_the_key_alone_on_stdout() -> None:
    out, err = StringIO(), StringIO()
    call_command("apikey", "create", "nightly", stdout=out, stderr=err)
    assert opened(out.getvalue().strip()).is_authenticated

    prefix = ApiKey.objects.get().prefix
    call_command("apikey", "revoke", prefix, stdout=StringIO())
    with pytest.raises(KeyInvalid):
        opened(out.getvalue().strip())
    listing = StringIO()
    call_command("apikey", "list", stdout=listing)
    assert f"{prefix}\tnightly\t-\trevoked" in listing.getvalue()
    with pytest.raises(CommandError, match="no user named"):
        call_command("apikey", "create", "x", "--user", "nobody")


def test_the_command_restricts_and_rotates_keys() -> None:
    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("apikey", *arguments, stdout=out, stderr=StringIO())
        return out.getvalue().strip()

    first = run(
        "create", "ci", "--model", "tiny", "--endpoint", "/v1/embeddings", "--from", "10.0.0.0/8", "--days", "2"
    )
    key = ApiKey.objects.get()
    assert (key.model_names, key.endpoints, key.ip_ranges) == (["tiny"], ["/v1/embeddings"], ["10.0.0.0/8"])
    assert key.expires_at is not None
    second = run("rotate", key.prefix, "--overlap-hours", "1")
    for secret in (first, second):
        assert services.api_key_authenticate(secret, client_ip="10.1.2.3").api_key_id == key.pk
    with pytest.raises(CommandError, match="no address or network"):
        run("create", "x", "--from", "here")


def test_the_page_shows_a_key_once(client: Client, alice: User) -> None:
    client.force_login(alice)
    made = client.post("/account/keys", {"name": "laptop"})
    secret = made.context["new_key"].secret
    assert secret in made.content.decode()
    assert made["Cache-Control"] == "no-store"
    assert secret not in client.get("/account/keys").content.decode()


def test_a_stranger_sees_and_revokes_nothing(client: Client, alice: User, charlie: User) -> None:
    key = services.api_key_create(name="laptop", user=alice).key
    assert client.get("/account/keys").status_code == 302

    client.force_login(charlie)
    assert "laptop" not in client.get("/account/keys").content.decode()
    assert client.post(f"/account/keys/{key.pk}/revoke").status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_the_command_says_which_keys_open_nothing_and_rotates_none_of_them(alice: User, bob: User) -> None:
    now = timezone.now()
    keys = {user: services.api_key_create(name="k", user=user).key for user in (alice, bob, None)}
    ApiKey.objects.filter(user=alice).update(expires_at=now)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    listing = StringIO()
    call_command("apikey", "list", stdout=listing)

    states = {line.split("\t")[2]: line.split("\t")[3] for line in listing.getvalue().splitlines()}
    assert states == {"alice": f"expired {now:%Y-%m-%d}", "bob": "owner disabled", "-": "active"}
    for user in (alice, bob):
        with pytest.raises(CommandError, match="make a new key"):
            call_command("apikey", "rotate", keys[user].prefix, stdout=StringIO(), stderr=StringIO())
    call_command("apikey", "revoke", keys[alice].prefix, stdout=StringIO())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "x", "--days", "999999999999"], "end of the calendar"),
        (["create", "x", "--days", "99999999"], "end of the calendar"),
        (["rotate", "fcs_", "--overlap-hours", "1e300"], "from 0 to 8760"),
        (["rotate", "fcs_", "--overlap-hours", "nan"], "from 0 to 8760"),
        (["rotate", "fcs_", "--overlap-hours", "-1"], "from 0 to 8760"),
    ],
)
def test_the_command_refuses_times_that_are_none(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("apikey", *arguments)
    assert not ApiKey.objects.exists()
