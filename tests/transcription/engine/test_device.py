"""The device that the embedded engine computes on, on machines whose NVIDIA driver and libraries are faked."""

import ctypes
import logging
import re
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
from django.conf import settings

from transcription.engine import device
from transcription.engine.device import CUBLAS, PLACES, choose
from transcription.engine.model import load
from transcription.engine.weights import ensure_weights, weight_folders

PACKAGE, SYSTEM = PLACES


class Machine:
    """A machine's NVIDIA driver and libraries, as `CDLL` loads them.

    cuda: the version that the driver runs, as the driver gives it; None without a driver.
    cublas: where cuBLAS lies, if it is there. loaded: the libraries of cuBLAS, in order.
    """

    def __init__(self, cuda: int | None, cublas: Path | None) -> None:
        self.cuda = cuda
        self.cublas = cublas
        self.loaded: list[str] = []

    def load(self, name: str, mode: int = ctypes.DEFAULT_MODE) -> Any:
        if name == "libcuda.so.1" and self.cuda is not None:
            return self
        if Path(name).parent != self.cublas:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        assert mode == ctypes.RTLD_GLOBAL, "CTranslate2 would not find it"
        self.loaded.append(Path(name).name)
        return None

    def cuDriverGetVersion(self, reference: Any) -> int:
        reference._obj.value = self.cuda
        return 0


def faked(monkeypatch: pytest.MonkeyPatch, cuda: int | None, gpus: int = 0, cublas: Path | None = None) -> Machine:
    machine = Machine(cuda, cublas)
    monkeypatch.setattr(device, "CDLL", machine.load)
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: gpus)
    return machine


@pytest.mark.parametrize(
    ("cuda", "gpus", "cublas", "reason"),
    [
        (None, 0, None, "there is no NVIDIA driver"),
        (11040, 0, PACKAGE, "the NVIDIA driver is too old: it runs CUDA 11.4, and 12 needs driver 525 or later"),
        (12020, 0, PACKAGE, "the NVIDIA driver shows no GPU"),
        (12020, 1, None, "cuBLAS 12 is not installed: make install brings it"),
    ],
)
def test_what_a_gpu_lacks_is_the_reason_for_the_processor(
    monkeypatch: pytest.MonkeyPatch, cuda: int | None, gpus: int, cublas: Path | None, reason: str
) -> None:
    faked(monkeypatch, cuda, gpus, cublas)
    assert choose() == ("cpu", "int8", reason)


@pytest.mark.parametrize("cublas", PLACES, ids=["from its package", "the system's"])
@pytest.mark.parametrize("cuda", [12000, 13010])
def test_with_driver_and_cublas_the_gpu_computes_and_cublas_is_loaded(
    monkeypatch: pytest.MonkeyPatch, cuda: int, cublas: Path
) -> None:
    machine = faked(monkeypatch, cuda, gpus=1, cublas=cublas)
    assert choose()[:2] == ("cuda", "float16")
    assert machine.loaded == list(CUBLAS)


@pytest.mark.parametrize(
    ("driver", "line"),
    [
        ({"cuda": None}, r"the processor in 8-bit integers, since there is no NVIDIA driver"),
        pytest.param(
            {"cuda": 12020, "gpus": 1, "cublas": SYSTEM},
            r"the processor in 8-bit integers, since the GPU fails: CUDA .+",
            marks=pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="the GPU would not fail"),
        ),
    ],
    ids=["no GPU", "a GPU that fails"],
)
def test_the_start_says_in_one_line_what_it_computes_on_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, driver: dict[str, Any], line: str
) -> None:
    faked(monkeypatch, **driver)
    with caplog.at_level(logging.INFO, "transcription"):
        assert load(ensure_weights("base", weight_folders(settings.DATA_DIR))).model.device == "cpu"
    (said,) = caplog.messages
    assert re.fullmatch(f"Whisper computes on {line}", said)
