"""Inference engines: OpenVINO and ONNX Runtime run a file on the CPU."""

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
Run = Callable[[np.ndarray], np.ndarray]


class Session:
    """A file that an engine runs on the CPU with as many threads as torch has.

    Called with a tensor it returns the first output; several threads may call it. `half` lets
    OpenVINO compute in bfloat16. Raises `UserError` if the engine cannot load the file or refuses
    the shape of an input.
    """

    def __init__(self, path: str | Path, engine: str, half: bool = False) -> None:
        if engine == "onnxruntime" and half:
            raise UserError("onnxruntime computes in float32 on CPUs: leave --amp out")
        self.path, threads = path, torch.get_num_threads()
        start = _start_openvino if engine == "openvino" else _start_onnxruntime
        try:
            self._run = start(str(path), threads, half)
        except Exception as error:  # each engine has its own kinds
            raise UserError(f"{path}: {engine} cannot load it ({reason(error)})") from error
        self.name = f"{engine} {version(engine)}, threads: {threads}"

    def __call__(self, x: Tensor) -> Tensor:
        array = np.ascontiguousarray(x.numpy(force=True))
        try:
            return torch.from_numpy(self._run(array))
        except Exception as error:
            shape = "x".join(map(str, array.shape))
            raise UserError(
                f"{self.path}: refuses a {shape} input ({reason(error)}); a file that was exported "
                "with --batch or --size takes no other, and maps have --batch-size"
            ) from error


def _start_openvino(path: str, threads: int, half: bool) -> Run:
    import openvino

    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        # Two processes would pin their threads to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    compiled, lock = openvino.Core().compile_model(path, "CPU", hints), Lock()

    def run(x: np.ndarray) -> np.ndarray:
        with lock:
            return compiled(x)[0]

    return run


def _start_onnxruntime(path: str, threads: int, half: bool) -> Run:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # A waiting thread would take the core from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def need(*packages: str) -> None:
    """Raise `UserError` if one of the packages is not installed."""
    if missing := ", ".join(name for name in packages if not find_spec(name)):
        raise UserError(f'this needs {missing}: run `pip install "segnext[deploy]"`')


def installed(only_openvino: bool = False) -> list[str]:
    """Return the engines that are installed, with `onnx` beside them, the fastest first."""
    names = ENGINES[:1] if only_openvino else ENGINES
    return [name for name in names if find_spec(name) and find_spec("onnx")]
