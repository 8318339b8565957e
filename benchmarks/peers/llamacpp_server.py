"""llama.cpp's own HTTP server, from the wheel `xllamacpp`, in a process of its own.

Run by the benchmarks with the interpreter of that peer's environment:
`python llamacpp_server.py FILE.gguf PORT THREADS SLOTS CONTEXT_OF_A_SLOT`. It serves until it is told to stop.
"""

import signal
import sys

import xllamacpp


def main(path: str, port: int, threads: int, slots: int, context: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    main(sys.argv[1], *map(int, sys.argv[2:6]))
