"""Where a model runs and in which number format, each with the reason for the log.

It loads nothing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gpu_worker.protocol import MAX_DEVICE_CHARS

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

SMALL_PARAMETERS = 100_000_000
"""Below this a model stays float32 on a CPU. Larger ones go by what the processor can do, not by a measurement: on a
busy machine that would change from one start to the next, and the answers with it."""

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


class DeviceError(ValueError):
    """The device or number format that was asked for is not to be had here. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class DtypeChoice:
    """A number format, and why."""

    dtype: torch.dtype
    reason: str

    @property
    def name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def choose_devices(wanted: str) -> tuple[torch.device, ...]:
    """`auto`, `cpu`, `cuda`, `cuda:N`, or several as in `cuda:0,1`; the first is where prompts come in.

    Several are named in the order of their numbers, because accelerate divides a model in no other.
    Source: accelerate 1.15, `get_max_memory`, which sorts them.
    Raises: DeviceError.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return (torch.device("cpu"),)
    if not torch.cuda.is_available():
        raise DeviceError(f"--device {wanted}: no CUDA device can be used here")
    indices = (wanted.partition(":")[2] or "0").split(",")
    if len(set(indices)) != len(indices):
        raise DeviceError(f"--device {wanted}: it names a device twice")
    if not all(index.isdecimal() and int(index) < torch.cuda.device_count() for index in indices):
        raise DeviceError(f"--device {wanted}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    numbers = sorted(map(int, indices))
    if numbers != list(map(int, indices)):
        ordered = ",".join(map(str, numbers))
        raise DeviceError(
            f"--device {wanted}: name them as cuda:{ordered}, the order in which layers are divided; "
            "CUDA_VISIBLE_DEVICES says which GPU has which number"
        )
    return tuple(torch.device("cuda", number) for number in numbers)


def describe_devices(devices: Sequence[torch.device]) -> str:
    """For people: `cpu (2 threads)` or `cuda:0,1 NVIDIA H200`. No longer than a lease lets it be."""
    if devices[0].type != "cuda":
        return f"cpu ({torch.get_num_threads()} threads)"
    numbers: dict[str, list[str]] = {}
    for device in devices:
        numbers.setdefault(torch.cuda.get_device_name(device), []).append(str(device.index or 0))
    words = ", ".join(f"cuda:{','.join(those)} {name}" for name, those in numbers.items())
    return words if len(words) <= MAX_DEVICE_CHARS else f"{words[: MAX_DEVICE_CHARS - 1]}…"


def visible_devices(devices: Sequence[torch.device], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with which a child process sees these GPUs and no others.

    Numbers count from what this process sees itself. Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    if devices[0].type != "cuda":
        return {}
    seen = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    numbers = [device.index or 0 for device in devices]
    names = [seen[number] if seen else str(number) for number in numbers]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names)}


def choose_dtype(wanted: str, device: torch.device, *, n_parameters: int, free_bytes: int | None = None) -> DtypeChoice:
    """Choose the number format for the weights. `wanted` is `auto` or one of `DTYPES`.

    `free_bytes`: what they may take, if that is not all that is free.
    """
    if wanted != "auto":
        return DtypeChoice(DTYPES[wanted], "asked for with --dtype")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return DtypeChoice(torch.bfloat16, "the GPU computes it in hardware")
        return DtypeChoice(torch.float16, "the GPU has no bfloat16 hardware")
    return _choose_cpu_dtype(n_parameters, available_memory_bytes() if free_bytes is None else free_bytes)


def _choose_cpu_dtype(n_parameters: int, free_bytes: int) -> DtypeChoice:
    if 4 * n_parameters > 0.8 * free_bytes:
        needed, free = 4 * n_parameters / 2**30, max(free_bytes, 0) / 2**30
        return DtypeChoice(torch.bfloat16, f"float32 would need {needed:.1f} GiB of the {free:.1f} GiB that are free")
    if n_parameters < SMALL_PARAMETERS:
        return DtypeChoice(torch.float32, "the model is small, and float32 rounds least")
    if not has_bfloat16_arithmetic():
        return DtypeChoice(torch.float32, "this processor has no bfloat16 arithmetic and would emulate it, far slower")
    return DtypeChoice(torch.bfloat16, "the processor computes it in hardware, and half the bytes are read")


def has_bfloat16_arithmetic() -> bool:
    """Whether the processor multiplies bfloat16 itself. Source: Linux, Documentation/arch/x86/cpuinfo.rst, and arm64's
    elf_hwcaps.rst for `bf16`."""
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return not BFLOAT16_FLAGS.isdisjoint(flags.split())
    return False


def available_memory_bytes() -> int:
    """Memory that a new process could use now, the container's limit included. Source: proc(5), cgroups v2."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _lines(Path("/sys/fs/cgroup/memory.max")), _lines(Path("/sys/fs/cgroup/memory.current"))
    if limit and used and limit[0].isdecimal():
        free = min(free, int(limit[0]) - int(used[0]))
    return free


def physical_cores() -> int:
    """Cores that this process may use; hardware threads of one core count once."""
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        siblings = _lines(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))
        cores.add(siblings[0] if siblings else str(cpu))
    return len(cores)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
