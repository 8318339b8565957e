"""What the machine can do at most: a bare matrix-vector product, or a copy, of more memory than any cache holds."""

import time

import torch

ROWS, COLUMNS, N_MATRICES = 4096, 4096, 4


def matvec_bytes_per_s(dtype: torch.dtype, device: str = "cpu", repeats: int = 5) -> float:
    """Weight bytes per second of a matrix-vector product, with torch's present threads: the best of `repeats`.

    Several matrices in turn, 256 MiB in float32: one alone could stay in a large cache.
    """
    matrices = [torch.ones((ROWS, COLUMNS), dtype=dtype, device=device) for _ in range(N_MATRICES)]
    vector = torch.ones((1, COLUMNS), dtype=dtype, device=device)
    times = [_pass_s(matrices, vector) for _ in range(repeats + 1)]
    return N_MATRICES * ROWS * COLUMNS * vector.element_size() / min(times[1:])


def copy_bytes_per_s(device: str, repeats: int = 10) -> float:
    """Bytes read and written per second by a copy of 1 GiB within a device's memory: the best of `repeats`."""
    source = torch.ones(2**28, dtype=torch.float32, device=device)
    goal = torch.empty_like(source)
    times = []
    for _ in range(repeats + 1):
        _wait(source)
        started_at = time.perf_counter()
        goal.copy_(source)
        _wait(source)
        times.append(time.perf_counter() - started_at)
    return 2 * source.nbytes / min(times[1:])


def _pass_s(matrices: list[torch.Tensor], vector: torch.Tensor) -> float:
    with torch.inference_mode():
        _wait(vector)
        started_at = time.perf_counter()
        for matrix in matrices:
            torch.nn.functional.linear(vector, matrix)
        _wait(vector)
        return time.perf_counter() - started_at


def _wait(tensor: torch.Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)
