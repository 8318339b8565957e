"""Logs of children: rotated by size, complete, and never in the child's way."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat_site.embedded.logs import TAIL_LINES, RotatingLog


def open_log(path: Path, *, max_bytes: int = 100, keep: int = 5) -> tuple[RotatingLog, list[str]]:
    complaints: list[str] = []
    return RotatingLog(path, complain=complaints.append, max_bytes=max_bytes, keep=keep), complaints


def everything(path: Path) -> bytes:
    """All generations, oldest first."""
    files = [path.with_name(f"{path.name}.{number}") for number in range(9, 0, -1)] + [path]
    return b"".join(file.read_bytes() for file in files if file.exists())


def test_rotation_happens_between_lines_and_loses_none(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "web.log")
    lines = [f"line number {number}\n".encode() for number in range(20)]
    for line in lines:
        log.write(line)
    log.close()
    assert everything(tmp_path / "web.log") == b"".join(lines)
    for file in tmp_path.iterdir():
        assert file.read_bytes().startswith(b"line number")
        assert file.read_bytes().endswith(b"\n")


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "web.log", keep=3)
    for number in range(100):
        log.write(f"line number {number}\n".encode())
    log.close()
    assert {file.name for file in tmp_path.iterdir()} == {"web.log", "web.log.1", "web.log.2"}
    assert b"line number 99\n" in everything(tmp_path / "web.log")
    assert b"line number 0\n" not in everything(tmp_path / "web.log")


def test_a_log_goes_on_where_an_earlier_launch_left_it(tmp_path: Path) -> None:
    for words in (b"first\n", b"second\n"):
        log, _ = open_log(tmp_path / "web.log")
        log.write(words)
        log.close()
    assert (tmp_path / "web.log").read_bytes() == b"first\nsecond\n"


def test_the_tail_holds_the_last_lines_and_the_unfinished_one(tmp_path: Path) -> None:
    log, _ = open_log(tmp_path / "web.log")
    log.write("".join(f"{number}\n" for number in range(30)).encode() + b"half a li")
    log.write(b"ne")
    assert log.tail() == [*(str(number) for number in range(30 - TAIL_LINES + 1, 30)), "half a line"]
    log.close()


def test_a_full_disk_is_said_once_and_the_tail_still_works(tmp_path: Path) -> None:
    full = tmp_path / "web.log"
    full.symlink_to("/dev/full")
    log, complaints = open_log(full)
    log.write(b"one\n")
    log.write(b"two\n")
    assert len(complaints) == 1
    assert "No space left on device" in complaints[0]
    assert log.tail() == ["one", "two"]
    log.close()


def test_a_disk_that_fills_up_twice_is_said_twice(small_disk: Path) -> None:
    log, complaints = open_log(small_disk / "web.log", max_bytes=10**9)
    for times in (1, 2):
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * 10**8)
        log.write(b"lost" * 10**6)
        assert len(complaints) == times
        filler.unlink()
        log.write(b"kept\n")
    log.close()
    assert (small_disk / "web.log").read_bytes().count(b"kept\n") == 2


@given(chunks=st.lists(st.binary(max_size=150), max_size=30))
def test_any_chunks_come_out_as_they_went_in(chunks: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log, _ = open_log(Path(folder) / "web.log", max_bytes=1000, keep=10)
        for chunk in chunks:
            log.write(chunk)
        log.close()
        assert everything(Path(folder) / "web.log") == b"".join(chunks)
