"""Inference engines: OpenVINO and ONNX Runtime run a file on the CPU."""

import importlib
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from mmseg.errors import UserError, reason

ENGINES = ("openvino", "onnxruntime")  # the faster one first
INSTALL = 'run `pip install "segnext[deploy]"`'


Run = Callable[[np.ndarray], np.ndarray]


class Session:
    """A network that an engine runs on the CPU with as many threads as torch has.

    It is in a file, or in the bytes of an ONNX file. Called with a tensor it returns the first
    output. The same input gives the same bits. Several threads may call it; OpenVINO computes for
    one of them at a time. `half` lets OpenVINO compute in bfloat16. Raises `UserError` if the
    engine cannot load the file or refuses the shape of an input.
    """

    def __init__(self, path: str | Path | bytes, engine: str, half: bool = False) -> None:
        if engine == "onnxruntime" and half:
            raise UserError("onnxruntime computes in float32 on CPUs: leave --amp out")
        self.file = "the program" if isinstance(path, bytes) else str(path)
        source = path if isinstance(path, bytes) else str(path)
        start = _start_openvino if engine == "openvino" else _start_onnxruntime
        threads = torch.get_num_threads()
        try:
            self._run = start(source, threads, half)
        except Exception as error:  # each engine has its own kinds
            raise UserError(f"{self.file}: {engine} cannot load it ({reason(error)})") from error
        self.name = f"{engine} {version(engine)}, threads: {threads}"

    def __call__(self, x: Tensor) -> Tensor:
        array = np.ascontiguousarray(x.numpy(force=True))
        try:
            return torch.from_numpy(self._run(array))
        except Exception as error:
            shape = "x".join(map(str, array.shape))
            raise UserError(f"{self.file}: refuses a {shape} input ({reason(error)})") from error


def _start_openvino(path: str | bytes, threads: int, half: bool) -> Run:
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        # Two processes would pin their threads to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = importlib.import_module("openvino").Core().compile_model(path, "CPU", hints)
    lock = Lock()

    def run(x: np.ndarray) -> np.ndarray:
        with lock:
            return compiled(x)[0]

    return run


def _start_onnxruntime(path: str | bytes, threads: int, half: bool) -> Run:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # A waiting thread would take the core from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def installed(engine: str, half: bool = False) -> str | None:
    """Return the engine to use, None where `auto` finds none.

    Raises `UserError` if the engine that is asked for is not installed.
    """
    found = [name for name in ENGINES if find_spec(name) and find_spec("onnx")]
    if engine == "auto":
        suitable = [name for name in found if not half or name == "openvino"]
        return suitable[0] if suitable else None
    if engine not in found:
        raise UserError(f"--engine {engine}: {INSTALL}, or choose another one")
    return engine
