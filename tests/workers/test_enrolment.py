"""Who may become a worker, and stay one: tokens that work once, secrets, and the addresses that a worker may bring."""

import uuid
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.workers.models import EnrolmentToken, Worker
from apps.workers.services import administration, enrolment

from .leases import SECRET, lease_body, loaded, put_lease

pytestmark = pytest.mark.django_db
ALICE, CHARLIE = uuid.UUID(int=1), uuid.UUID(int=3)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def enrol(client: Client, token: str, worker_id: uuid.UUID = ALICE, **changes: Any) -> Any:
    return put_lease(client, worker_id, lease_body(loaded("tiny"), **changes), headers=bearer(token))


def code(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


def let_lease_run_out() -> None:
    Worker.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_a_token_brings_a_secret_with_which_the_lease_is_renewed(client: Client) -> None:
    token = enrolment.token_create(label="gpu7").secret
    secret = enrol(client, token).json()["secret"]

    renewed = enrol(client, secret)
    assert renewed.status_code == 200
    assert "secret" not in renewed.json()
    assert Worker.objects.get().is_alive(timezone.now())
    stored = [*EnrolmentToken.objects.values_list("digest", "prefix"), *Worker.objects.values_list("secret_digest")]
    assert not any(token in row or secret in row for row in stored)


def test_a_token_works_once(client: Client) -> None:
    token = enrolment.token_create().secret
    secret = enrol(client, token).json()["secret"]
    assert code(enrol(client, token, CHARLIE)) == (401, "workers.token_used")
    enrol(client, secret)
    assert code(enrol(client, token)) == (401, "workers.token_used")
    assert Worker.objects.count() == 1


def test_an_answer_that_was_lost_may_be_asked_for_again_by_the_same_worker(client: Client) -> None:
    token = enrolment.token_create().secret
    lost = enrol(client, token).json()["secret"]
    secret = enrol(client, token).json()["secret"]
    assert code(enrol(client, lost)) == (401, "workers.credential_wrong")
    assert enrol(client, secret).status_code == 200


def test_a_token_expires(client: Client) -> None:
    token = enrolment.token_create(life=timedelta(seconds=-1)).secret
    assert code(enrol(client, token)) == (401, "workers.token_expired")


def test_a_lease_that_is_refused_leaves_the_token_as_it_was(client: Client) -> None:
    token = enrolment.token_create().secret
    assert code(enrol(client, token, speed=-1)) == (400, "workers.lease_malformed")
    assert enrol(client, token).status_code == 200


@pytest.mark.parametrize("secret", ["", "wrong", "fce_wrong", "fcw_wrong", "\udcff", "fce_" + "x" * 9000])
def test_without_a_credential_nobody_comes_in(client: Client, secret: str) -> None:
    assert code(enrol(client, secret.encode("utf-8", "surrogateescape").decode("latin-1"))) == (
        401,
        "workers.credential_wrong",
    )
    assert not Worker.objects.exists()


def test_the_secret_of_one_worker_opens_no_other_ones_lease(client: Client) -> None:
    alices = enrol(client, enrolment.token_create().secret).json()["secret"]
    charlies = enrol(client, enrolment.token_create().secret, CHARLIE).json()["secret"]

    assert code(enrol(client, charlies, base_url="http://127.0.0.1:666")) == (401, "workers.credential_wrong")
    left = client.delete(f"/internal/workers/{ALICE}/lease", headers=bearer(charlies))
    assert code(left) == (401, "workers.credential_wrong")
    assert Worker.objects.alive().count() == 2
    assert client.delete(f"/internal/workers/{ALICE}/lease", headers=bearer(alices)).status_code == 204
    assert Worker.objects.alive().count() == 1


def test_a_new_token_does_not_put_another_in_the_place_of_a_worker_that_runs(client: Client) -> None:
    enrol(client, enrolment.token_create().secret)
    token = enrolment.token_create().secret
    assert code(enrol(client, token)) == (409, "workers.alive")
    let_lease_run_out()
    assert enrol(client, token).status_code == 200


def test_a_removed_worker_does_not_come_back_by_a_token(client: Client) -> None:
    enrol(client, enrolment.token_create().secret)
    administration.worker_remove(Worker.objects.get())
    assert code(enrol(client, enrolment.token_create().secret)) == (403, "workers.removed")


# --- Where a worker may be --------------------------------------------------------------------------------------------


def put_from(client: Client, peer: str, base_url: str, allowed: str = "") -> Any:
    enrolment.worker_register(worker_id=ALICE, secret=SECRET, allowed=allowed)
    url, body = f"/internal/workers/{ALICE}/lease", lease_body(loaded("tiny"), base_url=base_url)
    return client.put(url, body, content_type="application/json", headers=bearer(SECRET), REMOTE_ADDR=peer)


@pytest.mark.parametrize(
    ("peer", "base_url", "allowed"),
    [
        ("10.0.0.7", "http://10.0.0.7:8100", ""),
        ("127.0.0.1", "http://localhost:8100", ""),
        ("fd00::7", "https://[fd00::7]:8100", ""),
        ("::ffff:10.0.0.7", "http://10.0.0.7:8100", ""),
        ("", "http://10.0.0.7:8100", "10.0.0.0/8"),
        ("192.0.2.9", "http://10.0.0.7:8100", "10.0.0.0/8"),
        ("192.0.2.9", "http://gpu7.example.org:8100", "gpu7.example.org"),
        ("192.168.1.5", "http://127.0.0.1:8100", "127.0.0.1"),
    ],
)
def test_a_worker_may_be_where_it_calls_from_or_where_an_admin_allows(
    client: Client, peer: str, base_url: str, allowed: str
) -> None:
    assert put_from(client, peer, base_url, allowed).status_code == 200


@pytest.mark.parametrize(
    ("peer", "base_url", "allowed", "words"),
    [
        ("10.0.0.7", "http://127.0.0.1:8100", "", "--host or --base-url"),
        ("10.0.0.7", "http://localhost:8100", "", "--host or --base-url"),
        ("10.0.0.7", "http://10.0.0.8:8100", "", "--allow 10.0.0.8"),
        ("10.0.0.7", "http://intranet:8100", "10.0.0.0/8", "--allow intranet"),
        ("10.0.0.7", "http://11.0.0.8:8100", "10.0.0.0/8", "--allow 11.0.0.8"),
        ("169.254.169.254", "http://169.254.169.254/latest", "0.0.0.0/0", "link-local"),
        ("::ffff:127.0.0.1", "http://[::ffff:127.0.0.1]:1", "::/0", "inside an IPv6"),
        ("", "http://10.0.0.7:8100", "", "cannot see from which address"),
        ("10.0.0.7", "http://user@10.0.0.7", "", "of the form"),
        ("10.0.0.7", "ftp://10.0.0.7", "", "of the form"),
        ("10.0.0.7", "http://10.0.0.7:99999", "", "no address"),
        ("10.0.0.7", "http://10.0.0.7/?x=", "", "no query"),
    ],
)
def test_an_address_that_nobody_allowed_is_refused_with_what_to_do(
    client: Client, peer: str, base_url: str, allowed: str, words: str
) -> None:
    reply = put_from(client, peer, base_url, allowed)
    assert code(reply) == (403, "workers.address_not_allowed")
    assert words in reply.json()["error"]["message"]
    assert not Worker.objects.alive().exists()


def test_behind_a_proxy_a_worker_calls_from_where_the_proxy_saw_it(client: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    client.defaults["HTTP_X_FORWARDED_FOR"] = "10.0.0.7"
    refused = put_from(client, "127.0.0.1", "http://127.0.0.1:6379")
    assert code(refused) == (403, "workers.address_not_allowed")
    assert "it sees this worker at 10.0.0.7" in refused.json()["error"]["message"]
    assert put_from(client, "127.0.0.1", "http://10.0.0.7:8100").status_code == 200


def test_an_operator_may_allow_a_banned_network(client: Client, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = [ip_network("169.254.7.0/24")]
    assert put_from(client, "169.254.7.1", "http://169.254.7.1:8100").status_code == 200
    assert put_from(client, "169.254.8.1", "http://169.254.8.1:8100").status_code == 403


# --- The doors for admins ---------------------------------------------------------------------------------------------


def manage(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command("workers", *arguments)
    return capsys.readouterr().out


def test_the_command_makes_tokens_and_registers_workers(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    token = manage(capsys, "token", "--allow", "10.0.0.0/8, gpu7", "--label", "gpu7").strip()
    assert EnrolmentToken.objects.get().allowed == "10.0.0.0/8 gpu7"
    assert enrol(client, token, base_url="http://gpu7:8100").status_code == 200

    worker_id, secret = manage(capsys, "register", str(CHARLIE)).split()
    assert enrol(client, secret, uuid.UUID(worker_id)).status_code == 200
    assert "serving\thttp://gpu7:8100\ttiny (loaded)\tqueue 0\tweight 1" in manage(capsys, "list")


def test_secrets_that_are_brought_come_from_the_environment(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCHAT_WORKER_SECRETS", SECRET)
    assert manage(capsys, "register", str(ALICE)) == f"{ALICE}\n"
    assert enrol(client, SECRET).status_code == 200
    with pytest.raises(CommandError, match="1 secrets for 2 workers"):
        manage(capsys, "register", str(ALICE), str(CHARLIE))
    monkeypatch.setenv("FASTCHAT_WORKER_SECRETS", "guess-me")
    with pytest.raises(CommandError, match="at least 32"):
        manage(capsys, "register", str(ALICE))


def test_the_command_drains_and_removes_by_the_first_characters(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    put_lease(client, ALICE, lease_body(loaded("tiny")))
    put_lease(client, CHARLIE, lease_body(loaded("tiny")))
    with pytest.raises(CommandError, match="2 workers"):
        manage(capsys, "drain", "0000")
    for verb, state in [("drain", "drained"), ("undrain", "serving"), ("remove", "removed"), ("restore", "serving")]:
        manage(capsys, verb, str(ALICE))
        assert Worker.objects.get(public_id=ALICE).state(timezone.now()) == state
    assert Worker.objects.get(public_id=CHARLIE).state(timezone.now()) == "serving"


def test_a_removed_worker_is_listed_with_the_id_that_restore_wants(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    put_lease(client, ALICE, lease_body(loaded("tiny")))
    manage(capsys, "remove", str(ALICE))
    worker_id, state, *_ = manage(capsys, "list").split("\t")
    assert state == "removed"
    assert "restored" in manage(capsys, "restore", worker_id)


@pytest.mark.parametrize("allow", ["10.0.0.0/99", "http://gpu7"])
def test_what_is_no_network_is_refused(capsys: pytest.CaptureFixture[str], allow: str) -> None:
    with pytest.raises(CommandError, match=allow):
        manage(capsys, "token", "--allow", allow)


def test_an_admin_sees_a_new_token_once_and_nobody_else_sees_any(client: Client, charlie: User) -> None:
    client.force_login(User.objects.create_superuser("root", "root@example.org", "x"))
    made = client.post("/admin/workers/enrolmenttoken/add/", {"label": "gpu7", "allowed": "10.0.0.0/8"}, follow=True)
    token = made.content.decode().partition("fce_")[2][:43]
    assert enrol(client, f"fce_{token}").status_code == 200
    assert token not in client.get("/admin/workers/enrolmenttoken/").content.decode()
    refused = client.post("/admin/workers/enrolmenttoken/add/", {"allowed": "10.0.0.0/99"})
    assert b"is no network" in refused.content

    client.force_login(charlie)
    assert client.get("/admin/workers/enrolmenttoken/").status_code == 302
