"""Places for the data of a test."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastchat_site.embedded.services import scratch_data_dir


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A fresh data directory that the service user can reach."""
    with scratch_data_dir() as path:
        yield path


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system with less room than a database needs."""
    with scratch_data_dir() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=711", "none", folder], check=False)
        if mounted.returncode != 0:
            pytest.skip("this machine lets nobody mount anything")
        yield folder
        subprocess.run(["umount", folder], check=True)
