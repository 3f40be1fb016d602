"""Runs all cases of `onnx_cases` and prints a line for each: its name and a sha256 of its results.

Two processes whose fresh memory is filled with other bytes print the same, unless an operator
leaves results unwritten or reads what nobody has written.
"""

import hashlib

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper
from onnx_cases import Case, cases

_REFUSALS = onnxruntime.capi.onnxruntime_pybind11_state


def _session(case: Case) -> onnxruntime.InferenceSession:
    """A session of the case: its first input is given, the others are constants or given."""
    names = [f"i{place}" for place in range(len(case.inputs))]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
        for name, one in zip(names, case.inputs, strict=True)
    ]
    outputs = [f"o{place}" for place in range(case.outputs)]
    node = helper.make_node(case.kind, names, outputs, domain=case.domain, **case.attributes)
    constants = [
        numpy_helper.from_array(np.asarray(one), name)
        for name, one in zip(names[1:], case.inputs[1:], strict=True)
        if np.ndim(one) == 0  # scales and zero points
    ]
    given = infos[:1] + [info for info in infos[1:] if info.name not in {c.name for c in constants}]
    results = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph([node], "case", given, results, constants)
    versions = {"": case.opset, "ai.onnx.ml": 3, "com.microsoft": 1}
    opsets = [helper.make_opsetid(*version) for version in versions.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # all memory is fresh
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _digest(case: Case) -> str:
    """A sha256 of the results of two calls."""
    told, session = hashlib.sha256(), _session(case)
    names = [one.name for one in session.get_inputs()]
    given = {name: np.asarray(case.inputs[int(name[1:])]) for name in names}
    for _ in range(2):
        for result in session.run(None, given):
            for one in result if isinstance(result, list) else [result]:
                told.update(f"{one.dtype} {one.shape} ".encode() + one.tobytes())
    return told.hexdigest()


def main() -> None:
    """Prints a line for each case that onnxruntime takes."""
    onnxruntime.set_default_logger_severity(4)
    taken = (_REFUSALS.Fail, _REFUSALS.InvalidArgument, _REFUSALS.InvalidGraph)
    taken += (_REFUSALS.NotImplemented, _REFUSALS.RuntimeException)
    for place, case in enumerate(cases()):
        try:
            digest = _digest(case)
        except taken:
            continue
        print(f"{'unwritten' if case.unwritten else 'written'}:{case.kind}:{place}\t{digest}")


if __name__ == "__main__":
    main()
