"""What the embedded engine computes on: an NVIDIA GPU if its driver and cuBLAS can be used, else the processor.

A GPU needs NVIDIA's driver, which belongs to the machine, and cuBLAS, which the machine has or `make install` brings
(requirements-cuda.txt). CTranslate2 looks for cuBLAS where the system's loader does, which is not in the environment of
Python. But it finds a library that is loaded already, so this module loads the package's.
"""

import ctypes
import sysconfig
from ctypes import CDLL
from pathlib import Path
from typing import Literal, NamedTuple

import ctranslate2

CUDA = 12  # CTranslate2's wheels are built for CUDA 12, and name libcublas.so.12
DRIVER = 525  # the first that runs programs of CUDA 12: https://docs.nvidia.com/deploy/cuda-compatibility
CUBLAS = ("libcublasLt.so.12", "libcublas.so.12")  # the second needs the first
PLACES = (Path(sysconfig.get_path("purelib"), "nvidia/cublas/lib"), Path())  # the second: where the loader looks


class Device(NamedTuple):
    """A device in CTranslate2's words, and the reason for it: a clause for the log."""

    name: Literal["cuda", "cpu"]
    compute_type: Literal["float16", "int8"]
    reason: str

    def __str__(self) -> str:
        words = {"cuda": "the GPU in 16-bit floats", "cpu": "the processor in 8-bit integers"}
        return f"{words[self.name]}, since {self.reason}"


def choose() -> Device:
    """The GPU if all that it needs is there, else the processor. Loads cuBLAS if there is a GPU for it."""
    if lack := _lack():
        return processor(lack)
    return Device("cuda", "float16", "the NVIDIA driver and cuBLAS are there")


def processor(reason: str) -> Device:
    return Device("cpu", "int8", reason)


def _lack() -> str | None:
    """What a GPU lacks, or None."""
    version = _version()
    if version is None:
        return "there is no NVIDIA driver"
    major, minor = version // 1000, version % 1000 // 10
    if major < CUDA:
        return f"the NVIDIA driver is too old: it runs CUDA {major}.{minor}, and {CUDA} needs driver {DRIVER} or later"
    if not ctranslate2.get_cuda_device_count():
        return "the NVIDIA driver shows no GPU"
    if not any(map(_load_cublas, PLACES)):
        return f"cuBLAS {CUDA} is not installed: make install brings it"
    return None


def _version() -> int | None:
    """The newest CUDA that the driver runs: 1000 x major + 10 x minor. None without a driver."""
    version = ctypes.c_int()
    try:
        CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return None
    return version.value


def _load_cublas(folder: Path) -> bool:
    try:
        for name in CUBLAS:
            CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
