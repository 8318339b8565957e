"""`python -m gpu_worker.engine.llamacpp_server OPTIONS_JSON`: llama.cpp's own server for one GGUF file, until killed.

A process of its own: a damaged file can end it, and not the worker; and its memory goes with it.
"""

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass

KEY_VARIABLE = "FASTCHAT_LLAMACPP_KEY"


@dataclass(frozen=True, slots=True)
class LlamaCppOptions:
    """How to load and where to listen."""

    path: str
    port: int
    n_cache_tokens: int
    """Shared by all that runs."""
    n_parallel: int
    n_threads: int
    uses_gpu: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main(text: str) -> None:
    import xllamacpp

    options = LlamaCppOptions(**json.loads(text))
    params = xllamacpp.CommonParams()
    params.model.path = options.path
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.api_keys = [os.environ[KEY_VARIABLE]]
    params.n_ctx = options.n_cache_tokens
    params.n_parallel = options.n_parallel
    params.kv_unified = True
    params.ctx_shift = False  # a long answer would silently lose its beginning
    params.fit_params = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.n_threads
    params.n_gpu_layers = -1 if options.uses_gpu else 0
    params.ui = params.endpoint_slots = False
    # Else a control token behind half a character is not told of. The worker hides their names again.
    params.special = True
    params.verbosity = 1  # errors
    server = xllamacpp.Server(params)
    while server.listening_address:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
