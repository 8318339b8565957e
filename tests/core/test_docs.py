"""The documentation of settings is complete and names nothing that does not exist; its pictures are there and shown."""

import re

from tests.live import ROOT


def documented() -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))


def read_from_the_environment() -> set[str]:
    sources = [path.read_text() for path in (ROOT / "fastchat_site").rglob("*.py")]
    by_env = {name for source in sources for name in re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', source)}
    return by_env | {"DJANGO_SETTINGS_MODULE", "FASTCHAT_DATA_DIR"}


def test_every_setting_is_documented_and_every_documented_setting_is_read() -> None:
    assert documented() == read_from_the_environment()


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        (page.parent / name).resolve() for page in pages for name in re.findall(r"\]\((\S+\.png)\)", page.read_text())
    }
    assert shown == set((ROOT / "docs" / "images").glob("*.png"))
