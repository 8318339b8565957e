"""How admins and operators add providers, map models and change keys; and that a key goes in and never comes out."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import Kind, LanguageModel
from apps.workers import selectors
from apps.workers.errors import NoWorker, ProviderWrong
from apps.workers.models import HostedModel, Provider, Worker
from apps.workers.services import providers
from tests.fake_worker import CONTEXT_LENGTH, FakeWorker, enrol
from tests.workers.stand_in import StandIn, standing_in, whole

pytestmark = pytest.mark.django_db

KEY = "sk-a-key-that-nobody-may-see-0123456789"
OTHER = "sk-another-key-for-another-base-9876543210"
ADD = reverse("admin:workers_provider_add")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def root(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root", "root@example.org", "open sesame"))
    return client


@pytest.fixture
def lab() -> Worker:
    return providers.provider_create(label="lab", kind="vllm", base_url="http://10.0.0.5:8000/v1/", key=KEY)


def form(*models: dict[str, str], n_old: int = 0, **fields: str) -> dict[str, str]:
    sent = {"label": "lab", "base_url": "", "key": "", "weight": "1", "hosted-TOTAL_FORMS": str(len(models))}
    sent |= {"hosted-INITIAL_FORMS": str(n_old)} | fields
    return sent | {f"hosted-{i}-{name}": value for i, model in enumerate(models) for name, value in model.items()}


def change_page(provider: Worker) -> str:
    return reverse("admin:workers_provider_change", args=[provider.pk])


def test_an_admin_adds_a_provider_with_models_and_the_key_is_shown_nowhere(root: Client) -> None:
    model = {"name": "gpt", "upstream_name": "gpt-9", "makes": "text", "context_length": "128000"}
    reply = root.post(ADD, form(model, kind="openai", key=KEY, max_requests_per_minute="60"), follow=True)

    provider = Provider.objects.get()
    assert (provider.base_url, provider.max_requests_per_minute) == ("https://api.openai.com/v1", 60)
    assert provider.access_token == KEY
    hosted = HostedModel.objects.get()
    assert (hosted.model.name, hosted.upstream_name, hosted.model.context_length) == ("gpt", "gpt-9", 128_000)
    for page in (reply, root.get(change_page(provider)), root.get(reverse("admin:workers_provider_changelist"))):
        text = page.content.decode()
        assert KEY not in text
        assert "set, ends with 6789" in text
    assert [host.worker.label for host in selectors.hosts_serving("gpt")] == ["lab"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "openai"}, "needs a key"),
        ({"kind": "openai", "key": "sk with spaces"}, "printable"),
        ({"kind": "openai", "key": KEY, "base_url": "http://api.openai.com/v1"}, "begins with https://"),
        ({"kind": "azure", "key": KEY}, "RESOURCE"),
        ({"kind": "vllm"}, "HOST"),
        ({"kind": "vllm", "base_url": "http://x/v1/chat/completions"}, "leave out the last part"),
        ({"kind": "vllm", "base_url": "ftp://x/v1"}, "no address of the form"),
        ({"kind": "vllm", "base_url": "http://a:b@x/v1"}, "no address of the form"),
        ({"kind": "vllm", "base_url": "http://x/v1?key=1"}, "no query"),
        ({"kind": "vllm", "base_url": "http://169.254.169.254/v1"}, "OUTBOUND_ALLOWED_NETWORKS"),
        ({"kind": "vllm", "base_url": "http://[::ffff:10.0.0.1]/v1"}, "OUTBOUND_ALLOWED_NETWORKS"),
        ({"kind": "smoke", "base_url": "http://x/v1"}, "valid choice"),
        ({"kind": "vllm", "base_url": "http://x/v1", "label": " "}, "required"),
    ],
)
def test_what_does_not_hold_together_is_refused_and_the_key_is_not_sent_back(
    root: Client, fields: dict[str, str], words: str
) -> None:
    reply = root.post(ADD, form() | fields)
    assert reply.status_code == 200
    text = reply.content.decode()
    assert words in text
    assert KEY not in text
    assert not Provider.objects.exists()


def test_at_another_address_the_key_must_be_given_again(root: Client, lab: Worker) -> None:
    moved = form(base_url="https://elsewhere.example/v1")
    assert "give the key for the new one" in root.post(change_page(lab), moved).content.decode()
    lab.refresh_from_db()
    assert (lab.base_url, lab.access_token) == ("http://10.0.0.5:8000/v1", KEY)

    assert root.post(change_page(lab), moved | {"key": OTHER}).status_code == 302
    lab.refresh_from_db()
    assert (lab.base_url, lab.access_token, lab.token_hint) == ("https://elsewhere.example/v1", OTHER, "3210")

    assert (
        root.post(change_page(lab), form(base_url="https://elsewhere.example/v1", max_running="3")).status_code == 302
    )
    lab.refresh_from_db()
    assert (lab.access_token, lab.max_running) == (OTHER, 3)


def test_only_another_address_or_key_ends_a_rest(root: Client, lab: Worker) -> None:
    until = timezone.now() + timedelta(minutes=30)

    def after(**fields: str) -> tuple[object, object]:
        Worker.objects.filter(pk=lab.pk).update(rests_until=until, cooling_until=until)
        assert root.post(change_page(lab), form() | fields).status_code == 302
        lab.refresh_from_db()
        return lab.rests_until, lab.cooling_until

    assert after(base_url=lab.base_url, weight="2", max_running="3") == (until, until)
    assert after(base_url=lab.base_url, key=OTHER) == (None, None)
    assert after(base_url="https://elsewhere.example/v1", key=OTHER) == (None, None)


def test_a_mapped_model_is_changed_and_keeps_its_name(root: Client, lab: Worker) -> None:
    hosted = providers.model_map(lab, name="tiny", upstream_name="theirs")
    model = {"id": str(hosted.pk), "worker": str(lab.pk), "name": "renamed", "upstream_name": "newer", "makes": "text"}
    reply = root.post(change_page(lab), form(model | {"sees": "yes"}, n_old=1, base_url=lab.base_url))
    assert reply.status_code == 302
    hosted.refresh_from_db()
    assert (hosted.upstream_name, hosted.model.name, hosted.model.sees_images) == ("newer", "tiny", True)
    assert (
        root.post(change_page(lab), form(model | {"DELETE": "on"}, n_old=1, base_url=lab.base_url)).status_code == 302
    )
    assert not HostedModel.objects.exists()


def row(hosted: HostedModel, **fields: str) -> dict[str, str]:
    return {"id": str(hosted.pk), "worker": str(hosted.worker_id), "upstream_name": "theirs", "makes": "text"} | fields


def test_a_length_that_an_admin_clears_is_unknown_from_then_on(root: Client, lab: Worker) -> None:
    hosted = providers.model_map(lab, name="tiny", upstream_name="theirs", context_length=1000, longest_answer=50)
    saved = root.post(change_page(lab), form(row(hosted, context_length=""), n_old=1, base_url=lab.base_url))
    assert saved.status_code == 302
    hosted = HostedModel.objects.get()
    assert (hosted.model.context_length, hosted.longest_answer) == (None, None)


def test_a_new_row_leaves_what_is_known_of_a_model_as_it_is(root: Client, lab: Worker) -> None:
    other = providers.provider_create(label="other", kind="vllm", base_url="http://10.0.0.6:8000/v1")
    providers.model_map(other, name="vectors", upstream_name="v", context_length=512, kind=Kind.EMBEDDING)
    new = {"name": "vectors", "upstream_name": "v2", "makes": "", "context_length": ""}
    assert root.post(change_page(lab), form(new, base_url=lab.base_url)).status_code == 302
    model = LanguageModel.objects.get()
    assert (model.context_length, model.kind, HostedModel.objects.count()) == (512, Kind.EMBEDDING, 2)

    hosted = HostedModel.objects.get(worker=lab)
    flipped = row(hosted, makes="text", context_length="512")
    told = root.post(change_page(lab), form(flipped, n_old=1, base_url=lab.base_url)).content.decode()
    assert "makes vectors at other" in told
    model.refresh_from_db()
    assert model.kind == Kind.EMBEDDING


def test_what_a_worker_of_ours_tells_of_a_model_is_not_overwritten_in_silence(root: Client, lab: Worker) -> None:
    enrol(FakeWorker(), "tiny")
    new = {"name": "tiny", "upstream_name": "theirs", "makes": "", "context_length": "99"}
    told = root.post(change_page(lab), form(new, base_url=lab.base_url)).content.decode()
    assert f"context of {CONTEXT_LENGTH} tokens, as its worker" in told
    assert root.post(change_page(lab), form(new | {"context_length": ""}, base_url=lab.base_url)).status_code == 302
    assert LanguageModel.objects.get().context_length == CONTEXT_LENGTH


def test_two_providers_of_a_model_do_not_overwrite_its_context(root: Client, lab: Worker) -> None:
    other = providers.provider_create(label="other", kind="vllm", base_url="http://10.0.0.6:8000/v1")
    providers.model_map(other, name="tiny", upstream_name="t", context_length=8000)
    new = {"name": "tiny", "upstream_name": "theirs", "makes": "", "context_length": "4000"}
    told = root.post(change_page(lab), form(new, base_url=lab.base_url)).content.decode()
    assert "context of 8000 tokens, as was said for other: leave it out here, unmap it there first" in told
    with pytest.raises(ProviderWrong, match="8000 tokens"):
        providers.model_map(lab, name="tiny", upstream_name="theirs", context_length=0)
    for length in ("8000", ""):
        sent = form(new | {"context_length": length}, base_url=lab.base_url)
        assert root.post(change_page(lab), sent).status_code == 302
        assert LanguageModel.objects.get().context_length == 8000
        providers.model_unmap(lab, "tiny")
    providers.model_unmap(other, "tiny")
    assert (
        providers.model_map(lab, name="tiny", upstream_name="theirs", context_length=4000).model.context_length == 4000
    )


def test_what_changes_between_the_check_and_the_save_is_told_and_nothing_is_saved(
    root: Client, lab: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = providers.mapping_checked

    def checked_and_taken(worker_pk: int | None, **said: Any) -> None:
        """The page's check passes; then somebody maps the name elsewhere as something else."""
        check(worker_pk, **said)
        monkeypatch.setattr(providers, "mapping_checked", check)
        other = providers.provider_create(label="other", kind="vllm", base_url="http://10.0.0.6:8000/v1")
        providers.model_map(other, name="tiny", upstream_name="t", kind=Kind.EMBEDDING)

    monkeypatch.setattr(providers, "mapping_checked", checked_and_taken)
    new = {"name": "tiny", "upstream_name": "theirs", "makes": "text"}
    page = root.post(change_page(lab), form(new, base_url=lab.base_url, max_running="3"), follow=True)
    assert (page.status_code, page.redirect_chain) == (200, [(change_page(lab), 302)])
    assert "Nothing was saved." in page.content.decode()
    lab.refresh_from_db()
    assert (lab.max_running, HostedModel.objects.filter(worker=lab).exists()) == (None, False)


def test_one_name_in_two_rows_is_refused(root: Client, lab: Worker) -> None:
    new = {"name": "tiny", "upstream_name": "theirs", "makes": "text"}
    for models in (
        [new, new | {"upstream_name": "x"}],
        [row(providers.model_map(lab, name="tiny", upstream_name="y")), new],
    ):
        n_old = sum("id" in model for model in models)
        told = root.post(change_page(lab), form(*models, n_old=n_old, base_url=lab.base_url)).content.decode()
        assert "tiny is here twice" in told
    assert HostedModel.objects.get().upstream_name == "y"


def test_the_empty_row_of_the_page_needs_nothing(root: Client, lab: Worker) -> None:
    page = root.get(change_page(lab)).content.decode()
    select = page[page.index('name="hosted-0-makes"') :]
    [first] = re.findall(r'<option value="(.*?)"', select)[:1]
    untouched = {"name": "", "upstream_name": "", "makes": first, "context_length": "", "longest_answer": ""}
    assert root.post(change_page(lab), form(untouched, base_url=lab.base_url)).status_code == 302


def test_a_stranger_and_a_mere_user_reach_no_page_of_providers(client: Client, charlie: User, lab: Worker) -> None:
    for url in (ADD, change_page(lab), reverse("admin:workers_provider_changelist")):
        assert client.get(url).status_code == 302
    client.force_login(charlie)
    assert client.post(ADD, form(kind="openai", key=KEY)).status_code == 302
    assert Provider.objects.count() == 1


def test_names_of_providers_are_their_own(lab: Worker) -> None:
    with pytest.raises(ProviderWrong, match="already"):
        providers.provider_create(label="lab", kind="vllm", base_url="http://x/v1")
    for label in ("", " ", "x" * 101, "nul\0"):
        with pytest.raises(ProviderWrong, match="1 to 100 characters"):
            providers.provider_create(label=label, kind="vllm", base_url="http://x/v1")
    with pytest.raises(ProviderWrong, match="name here"):
        providers.model_map(lab, name="", upstream_name="x")
    with pytest.raises(ProviderWrong, match="1 to 200"):
        providers.model_map(lab, name="x", upstream_name="y" * 201)


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Any:
    with standing_in() as server:
        yield server


def test_an_operator_adds_maps_limits_tries_and_rotates(
    server: StandIn, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCHAT_PROVIDER_KEY", KEY)
    call_command("providers", "add", "lab", "--kind", "other", "--base-url", server.base_url)
    call_command("providers", "map", "lab", "chat=theirs", "same", "--context-length", "1000")
    call_command("providers", "map", "lab", "chat=theirs", "--sees-images")
    call_command("providers", "map", "lab", "vectors=embed", "--embedding")
    call_command("providers", "limit", "lab", "--requests-a-minute", "60", "--at-once", "2")
    server.replies.append(whole({"data": []}))
    call_command("providers", "check", "lab")
    call_command("providers", "list")
    said = capsys.readouterr()
    assert "lab answers and takes the key" in said.out
    assert "chat=theirs, same=same, vectors=embed" in said.out
    assert "requests a minute: 60, tokens a minute: any, requests at once: 2" in said.out
    assert "key …6789" in said.out
    assert LanguageModel.objects.get(name="vectors").kind == Kind.EMBEDDING
    assert [model.name for model in LanguageModel.objects.filter(sees_images=True)] == ["chat"]

    monkeypatch.setenv("FASTCHAT_PROVIDER_KEY", OTHER)
    call_command("providers", "key", "lab")
    call_command("providers", "unmap", "lab", "same")
    server.replies.append(whole({"error": {"message": f"bad {OTHER}"}}, 401))
    with pytest.raises(CommandError, match="does not accept the site's key") as refused:
        call_command("providers", "check", "lab")
    told = capsys.readouterr()
    assert server.asked[-1].headers["authorization"] == f"Bearer {OTHER}"
    assert all(key not in f"{said}{told}{refused.value}" for key in (KEY, OTHER))
    for arguments in (["map", "none", "a=b"], ["unmap", "lab", "same"], ["limit", "lab", "--at-once", "-1"]):
        with pytest.raises(CommandError):
            call_command("providers", *arguments)


def test_what_the_command_is_not_told_stays(lab: Worker, capsys: Captured) -> None:
    lengths = ("--context-length", "512", "--longest-answer", "50")
    call_command("providers", "map", "lab", "vectors=v", "--embedding", *lengths)
    call_command("providers", "map", "lab", "vectors=v2")
    assert "vectors is v2 of lab: makes vectors, context 512, longest answer 50" in capsys.readouterr().out
    call_command("providers", "map", "lab", "vectors=v2", "--text", "--context-length", "0", "--longest-answer", "0")
    assert "vectors is v2 of lab: writes, context unknown, longest answer any" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a=x", "a=y"], "given twice"),
        (["a=x", "--context-length", "-1"], "1 to 2147483647 tokens"),
        (["a=x", "--longest-answer", str(2**31)], "1 to 2147483647 tokens"),
        (["tiny=x", "--embedding"], "writes at"),
        (["tiny=x", "--context-length", "5"], "as its worker"),
    ],
)
def test_what_the_command_cannot_map_is_refused(lab: Worker, arguments: list[str], words: str) -> None:
    enrol(FakeWorker(), "tiny")
    with pytest.raises(CommandError, match=words):
        call_command("providers", "map", "lab", *arguments)
    assert not HostedModel.objects.filter(worker=lab).exists()


def test_every_kind_is_printed_with_its_address(capsys: Captured) -> None:
    call_command("providers", "kinds")
    said = capsys.readouterr().out
    assert "openai\tOpenAI\thttps://api.openai.com/v1" in said
    assert "llamacpp\tllama.cpp\thttp://HOST:8080/v1" in said


def test_a_provider_is_drained_and_removed_like_a_worker(lab: Worker, capsys: Captured) -> None:
    providers.model_map(lab, name="tiny", upstream_name="theirs")
    call_command("workers", "drain", str(lab.public_id)[:8])
    call_command("workers", "list")
    assert "drained" in capsys.readouterr().out
    with pytest.raises(NoWorker):
        selectors.hosts_serving("tiny")
    call_command("workers", "undrain", str(lab.public_id)[:8])
    assert [host.worker for host in selectors.hosts_serving("tiny")] == [lab]
