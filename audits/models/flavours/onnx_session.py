"""The settings with which MLflow serves an ONNX model, of which none may change its answers."""

from collections.abc import Mapping
from typing import Any

from audits.errors import ModelRefused, quoted

_PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider")
_THREADS = ("intra_op_num_threads", "inter_op_num_threads")
_MOST_THREADS = 256
_MODES = ("sequential", "parallel")
_ALL_OPTIMIZATIONS = 99  # onnxruntime's default, and so the audit's


def expect_plain_session(entry: Mapping[str, Any]) -> None:
    """Raises ModelRefused if the entry of MLmodel makes a session that may answer otherwise.

    An audit's own session has the defaults of onnxruntime, on the CPU.
    """
    options = entry.get("onnx_session_options") or {}
    if not isinstance(options, dict):
        _refuse("a mapping as onnx_session_options", options)
    for key, value in options.items():
        if not _is_harmless(key, value):
            allowed = (
                f"only {', '.join(_THREADS)}, up to {_MOST_THREADS}, and execution_mode under "
                "onnx_session_options"
            )
            _refuse(allowed, f"{key}: {value}")
    given = entry.get("providers") or []
    for provider in [given] if isinstance(given, str) else given:
        # MLflow takes a name, or a name with options.
        if provider not in _PROVIDERS and provider not in [[name, {}] for name in _PROVIDERS]:
            _refuse(f"providers of {' and '.join(_PROVIDERS)}, without options", provider)


def stated_threads(entry: Mapping[str, Any]) -> int:
    """The number of threads with which MLflow serves the model; 0 if the entry names none."""
    options = entry.get("onnx_session_options") or {}
    return int(options.get("intra_op_num_threads", 0))


def _is_harmless(key: object, value: object) -> bool:
    if key in _THREADS:
        return type(value) is int and 0 <= value <= _MOST_THREADS
    if key == "execution_mode":
        return isinstance(value, str) and value.lower() in _MODES
    return key == "graph_optimization_level" and value == _ALL_OPTIMIZATIONS


def _refuse(expected: str, got: object) -> None:
    raise ModelRefused(
        f"Expected {expected}, got {quoted(got)}: with it the server may answer otherwise than the "
        "audit. Log the model again without it."
    )
