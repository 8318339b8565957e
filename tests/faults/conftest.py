"""One launched site for all tests of this folder, because starting it takes long. The last of them ends it."""

from collections.abc import Iterator

import pytest

from fastchat_site.embedded.services import scratch_data_dir
from tests.faults.launched import Launched, launched
from tests.gpu_worker.tiny_models import Shape, make_tiny_model
from tests.live import ROOT

ARTIFACT = ROOT / "test-artifacts" / "kill-matrix.md"
HEAD = """| killed | the answer meanwhile | the page | next answer after | process back after | API calls meanwhile |
|---|---|---|---|---|---|
"""


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("kill")
    model = make_tiny_model(folder / "tiny", shape=Shape(context=4096))
    with scratch_data_dir() as data_dir, launched(model, "tiny", data_dir, folder / "launch.log") as site:
        yield site


@pytest.fixture(scope="package")
def key(site: Launched) -> str:
    return site.api_key()


@pytest.fixture(scope="package")
def rows() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    ARTIFACT.parent.mkdir(exist_ok=True)
    ARTIFACT.write_text(HEAD + "\n".join(rows) + "\n")
