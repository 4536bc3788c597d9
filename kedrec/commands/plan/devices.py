"""Peak performance of devices, and the time of a number of operations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """Peak performance of one device without sparsity, by its data sheet.

    Attributes:
        flops_16: FLOP/s in bfloat16.
        flops_32: FLOP/s in float32 without TF32, which torch does not use by default.
        memory: bytes; 0 for the host's memory.
        bandwidth: bytes/s of that memory.
    """

    flops_16: float
    flops_32: float
    memory: float
    bandwidth: float


_CORE = 64e9  # FLOP/s of a core: two AVX2 units of 8 float32 multiply-adds at 2 GHz


def device(name: str, cores: int = 1) -> Device:
    """Return a100 (80 GB), h100 or h200, each SXM, or a nominal ``cpu`` of so many cores."""
    return {
        "a100": Device(312e12, 19.5e12, 80e9, 2.039e12),
        "h100": Device(989.4e12, 66.9e12, 80e9, 3.35e12),
        "h200": Device(989.4e12, 66.9e12, 141e9, 4.8e12),
        "cpu": Device(cores * _CORE, cores * _CORE, 0.0, 40e9),
    }[name]


def seconds(operations: float, utilisation: float, peak: float, processes: int = 1) -> float:
    """Return the time of a number of operations, seconds, at a share of the peak (FLOP/s) of each process's device."""
    return operations / (utilisation * peak * processes)
