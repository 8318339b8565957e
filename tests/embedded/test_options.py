"""What the operator may ask `launch` for, and how a wrong wish is refused before anything starts."""

import socket
from pathlib import Path

import pytest

from fastchat_site.embedded.errors import BadOption, PortTaken
from fastchat_site.embedded.options import LaunchOptions, ModelChoice, parse_env, parse_models
from fastchat_site.embedded.ports import check_address, free_ports
from fastchat_site.embedded.site import SitePlan, WorkerIdentity


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_a_folder_is_served_under_its_own_name_unless_another_is_given(model_folder: Path) -> None:
    assert parse_models([str(model_folder)]) == (ModelChoice(source=str(model_folder), name="tiny"),)
    assert parse_models([f"{model_folder}=helper"]) == (ModelChoice(source=str(model_folder), name="helper"),)


def test_a_relative_folder_becomes_absolute(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model_folder.parent)
    assert parse_models(["tiny"])[0].source == str(model_folder)


def test_a_hub_id_is_taken_as_it_is() -> None:
    assert parse_models(["lmsys/vicuna-7b-v1.5"]) == (
        ModelChoice(source="lmsys/vicuna-7b-v1.5", name="vicuna-7b-v1.5"),
    )


@pytest.mark.parametrize("value", ["/no/such/folder", "./missing", "missing", "a/b/c", "../x/y"])
def test_a_missing_folder_that_is_no_hub_id_is_refused(value: str) -> None:
    with pytest.raises(BadOption, match="there is no folder"):
        parse_models([value])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"no config\.json"):
        parse_models([f"{tmp_path}=name"])


def test_two_models_of_one_name_are_refused(model_folder: Path) -> None:
    with pytest.raises(BadOption, match="Two models are named tiny"):
        parse_models([str(model_folder), "org/tiny"])


def test_a_name_that_could_leave_the_log_folder_is_refused(model_folder: Path) -> None:
    with pytest.raises(BadOption, match="is no name"):
        parse_models([f"{model_folder}=../tiny"])


def test_models_and_no_workers_exclude_each_other() -> None:
    assert parse_models([], none=True) == ()
    with pytest.raises(BadOption, match="cannot be combined"):
        parse_models(["org/name"], none=True)


def test_variables_go_to_the_process_they_name() -> None:
    models = [ModelChoice(source="org/tiny", name="tiny")]
    env = parse_env(["web:A=1", "web:B=x=y:z", "worker-tiny:C="], models)
    assert env == {"web": {"A": "1", "B": "x=y:z"}, "worker-tiny": {"C": ""}}


def test_a_variable_for_an_unknown_process_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadOption, match=r"the process wbe, but there are only postgres, .*, web, jobs"):
        parse_env(["wbe:A=1"], [])


@pytest.mark.parametrize("value", ["web", "web:A", "A=1", "web:=1", "web:1A=1"])
def test_a_malformed_variable_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(BadOption, match="PROCESS:KEY=VALUE"):
        parse_env([value], [])


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTaken, match=rf"Port {other.getsockname()[1]} on 127\.0\.0\.1 is taken.*--port"):
            check_address("127.0.0.1", other.getsockname()[1])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BadOption, match=r"--host 192\.0\.2\.1"):
        check_address("192.0.2.1", 8000)


def test_worker_ports_avoid_what_is_taken() -> None:
    first = free_ports(1, taken=0)[0]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first))
        other.listen()
        ports = free_ports(3, taken=first + 1)
    assert len(set(ports)) == 3
    assert not {first, first + 1} & set(ports)


def plan(**options: str) -> SitePlan:
    env = {"DATABASE_URL": "d", "REDIS_URL": "r", "SECRET_KEY": "s", "ENCRYPTION_KEYS": "e"}
    return SitePlan(options=LaunchOptions(**options), data_dir=Path("/data"), env=env)  # type: ignore[arg-type]


def test_a_worker_gets_its_own_secret_and_no_other() -> None:
    identity = WorkerIdentity("id", "t")
    worker = plan().worker(ModelChoice(source="org/tiny", name="tiny"), port=9100, identity=identity)
    assert dict(worker.env) == {"FASTCHAT_WORKER_SECRET": "t"}
    assert "t" not in worker.argv


def test_the_workers_are_registered_before_the_site_is_served_and_no_secret_is_on_a_command_line() -> None:
    (without,) = plan().preparations({})
    (migrate,) = plan().preparations({"a": WorkerIdentity("1", "s1"), "b": WorkerIdentity("2", "s2")})
    assert (without.name, migrate.name) == ("migrate", "migrate")
    assert (without.argv[2:], migrate.argv[2:]) == (("prepare",), ("prepare", "1", "2"))
    assert migrate.env["FASTCHAT_WORKER_SECRETS"] == "s1,s2"
    assert "FASTCHAT_WORKER_SECRETS" not in plan().web().env


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000")],  # noqa: S104
)
def test_the_address_is_one_that_this_machine_can_open(host: str, address: str) -> None:
    assert plan(host=host).address == address


def test_the_web_server_answers_to_the_address_it_is_told_to_listen_on() -> None:
    assert plan(host="192.168.1.5").web().env["ALLOWED_HOSTS"] == "localhost,127.0.0.1,[::1],192.168.1.5"
