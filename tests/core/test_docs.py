"""The documentation of settings is complete and names nothing that does not exist."""

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
