"""The data directory: where it is, and how one that cannot serve is refused."""

import os
from pathlib import Path

import pytest

from fastchat_site.embedded.errors import DataDirUnusable, InitdbFailed
from fastchat_site.embedded.identity import service_user
from fastchat_site.embedded.paths import (
    default_data_dir,
    owned_folder,
    prepare_data_dir,
    read_private_json,
    write_private_json,
)
from fastchat_site.embedded.services import embedded_services, scratch_data_dir

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to share folders with the service user")


def test_data_lie_in_the_checkout_when_the_service_user_gets_there() -> None:
    with scratch_data_dir() as checkout:
        assert default_data_dir(service_user(), repository=checkout) == checkout / ".data"


@needs_root
def test_data_lie_under_var_lib_when_the_checkout_is_closed_one_folder_per_checkout(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    first = default_data_dir(service_user(), repository=tmp_path / "a")
    second = default_data_dir(service_user(), repository=tmp_path / "b")
    assert first.parent == second.parent == Path("/var/lib/fastchat-site")
    assert first != second
    assert len(first.name) == 12


def test_a_wish_decides_where_data_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_data_dir(service_user(), wanted="mine") == tmp_path / "mine"


def test_a_folder_that_cannot_be_made_is_refused_in_words() -> None:
    with pytest.raises(DataDirUnusable, match="The data directory /proc/mine cannot be written: No such file"):
        prepare_data_dir(Path("/proc/mine"), service_user())


def test_a_folder_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = owned_folder(tmp_path / "redis", service_user())
    folder.chmod(0o755)
    with pytest.raises(DataDirUnusable, match="open to other users"):
        owned_folder(folder, service_user())


def test_a_link_is_not_taken_for_our_folder(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path)
    with pytest.raises(DataDirUnusable, match="is not a folder"):
        owned_folder(tmp_path / "run", service_user())


@needs_root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(mode=0o700)
    with pytest.raises(DataDirUnusable, match=rf"belongs to user id 0, but .* run as {service_user().name}"):
        owned_folder(tmp_path / "redis", service_user())


def test_a_full_disk_is_named_and_leaves_no_half_made_database(small_disk: Path) -> None:
    words = r"(?s)could not create its data directory.*No space left on device"
    with pytest.raises(InitdbFailed, match=words), embedded_services(small_disk):
        pass
    assert not (small_disk / "postgres").exists()
    assert not (small_disk / "postgres.new").exists()
    assert not (small_disk / "postgres-password.new").exists()


def test_private_files_are_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    write_private_json(path, {"a": "1"})
    write_private_json(path, {"b": "2"})
    assert read_private_json(path) == {"b": "2"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_private_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text("{")
    with pytest.raises(DataDirUnusable, match=r"secrets\.json cannot be read"):
        read_private_json(path)
