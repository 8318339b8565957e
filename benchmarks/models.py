"""The models that are measured: random weights, so that nothing has to be downloaded, and answers that never end early.

They are made once, under .cache/bench-models/, and cost as much to compute as trained ones of their shape. Files for
llama.cpp are `gguf_export`'s.
"""

import os
import shutil
from pathlib import Path

from tests.gpu_worker.tiny_models import Shape, make_tiny_model

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".cache" / "bench-models"
DEMO_BASE = ROOT / "examples" / "models" / "demo-base"

SHAPES = {
    # About 5 and 112 million parameters: one bound by the cost of a step, one by reading its weights.
    "tiny": Shape(vocabulary=4096, context=2048, hidden=256, intermediate=640, layers=4, heads=8, kv_heads=8),
    "small": Shape(vocabulary=4096, context=2048, hidden=768, intermediate=2048, layers=15, heads=12, kv_heads=12),
}
NAMES = (*SHAPES, "demo-base")


def model_folder(name: str) -> Path:
    """The folder of a model by name, made when it is not there. In float32, but demo-base, which is as it is shipped.

    Raises: KeyError.
    """
    if name == "demo-base":
        return DEMO_BASE
    folder = FOLDER / name
    if not folder.is_dir():
        unfinished = FOLDER / f"{name}.{os.getpid()}"
        try:
            make_tiny_model(unfinished, shape=SHAPES[name])
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder
