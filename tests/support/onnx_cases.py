"""Each operator of ONNX that an audit takes, with sizes of 0 and other edges: see `onnx_runs`."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_ML, _MS = "ai.onnx.ml", "com.microsoft"
UNTRIED = {
    *("Constant", "If", "Loop", "Scan", "TreeEnsemble", "ZipMap"),
    *("ConcatFromSequence", "SequenceAt", "SequenceEmpty", "SequenceErase", "SequenceInsert"),
    *("SequenceLength", "SplitToSequence"),
}
"""Operators without a case: with bodies, of sequences, constants, and those tried as others."""


class Case(NamedTuple):
    """A node, the numbers that it is given, and its number of outputs."""

    kind: str
    inputs: tuple[Any, ...]
    outputs: int = 1
    domain: str = ""
    attributes: dict[str, Any] = {}  # noqa: RUF012  # never written to
    opset: int = 17
    unwritten: bool = False


def _f(*shape: int, kind: str = "f4") -> np.ndarray:
    return np.asarray(np.random.default_rng(0).normal(size=shape) * 3, kind)


def _u(*shape: int, kind: str = "u1") -> np.ndarray:
    return np.asarray(np.random.default_rng(1).integers(0, 7, shape), kind)


def _n(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def cases() -> Iterator[Case]:
    """All cases. Some combinations of sizes and attributes are not allowed by onnxruntime."""
    for some in (_simple, _pooled, _products, _quantised, _classic):
        yield from some()


_S, _Z = np.float32(0.5), np.uint8(1)  # scale and zero point
_SHAPES = [(0,), (2, 0), (2, 0, 3), (1, 2, 3, 2)]

_UNARY = """Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor HardSigmoid
    HardSwish Identity IsInf IsNaN LeakyRelu Log Neg NonZero Reciprocal Relu Round Selu Shape
    Shrink Sigmoid Sign Sin Sinh Size Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"""
_BINARY = "Add Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul Pow PRelu Sub Sum"
_REDUCING = """ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare"""


def _simple() -> Iterator[Case]:
    for shape in _SHAPES:
        for kind in _UNARY.split():
            yield Case(kind, (_f(*shape),))
        yield Case("Gelu", (_f(*shape),), opset=20)
        yield Case("Mish", (_f(*shape),), opset=18)
        yield Case("Swish", (_f(*shape),), opset=24)
        yield Case("Gelu", (_f(*shape),), domain=_MS)
        yield Case("QuickGelu", (_f(*shape),), domain=_MS)
        yield Case("Not", (_u(*shape, kind="?"),))
        yield Case("BitwiseNot", (_u(*shape),), opset=18)
        for kind in _BINARY.split():
            yield Case(kind, (_f(*shape), _f(*shape)))
            yield Case(kind, (_f(*shape), _f(*shape[1:])))
        for kind in ("And", "Or", "Xor"):
            yield Case(kind, (_u(*shape, kind="?"), _u(*shape, kind="?")))
        for kind in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            yield Case(kind, (_u(*shape), _u(*shape)), opset=18)
        yield Case("BitShift", (_u(*shape), _u(*shape)), attributes={"direction": "LEFT"})
        yield Case("Mod", (_f(*shape), _f(*shape)), attributes={"fmod": 1})
        yield Case("Where", (_u(*shape, kind="?"), _f(*shape), _f(*shape)))
        yield Case("Clip", (_f(*shape), np.float32(0), np.float32(1)))
        yield Case("Dropout", (_f(*shape),), 2)
        for to in (1, 3, 6, 7, 9, 10, 11):
            yield Case("Cast", (_f(*shape),), attributes={"to": to})
        yield Case("CastLike", (_f(*shape), _u(1)))
        for kind in _REDUCING.split():
            for kept in (0, 1):
                for axes in [(), *((axis,) for axis in range(len(shape)))]:
                    values = {"keepdims": kept}
                    yield Case(kind, (_f(*shape), _n(*axes)), attributes=values, opset=18)
        for axis in range(len(shape)):
            own = {"axis": axis}
            for kind in ("ArgMax", "ArgMin", "Softmax", "LogSoftmax", "Hardmax", "LpNormalization"):
                yield Case(kind, (_f(*shape),), attributes=own)
            yield Case("CumSum", (_f(*shape), np.array(axis)))
            yield Case("Flatten", (_f(*shape),), attributes=own)
            yield Case("Gather", (_f(*shape), _n()), attributes=own)
            yield Case("Split", (_f(*shape), _n(0, shape[axis])), 2, attributes=own)
            yield Case("Concat", (_f(*shape), _f(*shape)), attributes=own)
            yield Case("Compress", (_f(*shape), _u(2, kind="?")), attributes=own)
            yield Case("TopK", (_f(*shape), _n(shape[axis])), 2, attributes=own)
            yield Case("GatherElements", (_f(*shape), np.zeros(shape, "i8")), attributes=own)
            scattered = (_f(*shape), np.zeros(shape, "i8"), _f(*shape))
            yield Case("ScatterElements", scattered, attributes=own)
            yield Case("Scatter", scattered, attributes=own, opset=9)
            for kind in ("LayerNormalization", "SimplifiedLayerNormalization"):
                yield Case(kind, (_f(*shape), _f(*shape[axis:])), attributes=own)
            means = (_f(*shape), _f(*shape[axis:]))
            yield Case("LayerNormalization", means, 3, attributes=own)
            yield Case("RMSNormalization", means, attributes=own, opset=23)
            yield Case("CenterCropPad", (_f(*shape), _n(*(5 for _ in shape))), opset=18)
        yield Case("Transpose", (_f(*shape),))
        yield Case("Reshape", (_f(*shape), _n(*shape[::-1])), attributes={"allowzero": 1})
        yield Case("Unsqueeze", (_f(*shape), _n(0)))
        yield Case("Squeeze", (_f(1, *shape), _n(0)))
        yield Case("Expand", (_f(*shape), _n(*shape)))
        yield Case("Expand", (_f(1), _n(*shape)))
        yield Case("Tile", (_f(*shape), _n(*(0 if size else 2 for size in shape))))
        yield Case("ConstantOfShape", (_n(*shape),))
        yield Case("Pad", (_f(*shape), _n(*(1 for _ in shape), *(2 for _ in shape))))
        yield Case("Pad", (_f(*shape), _n(*(-1 for _ in shape), *(1 for _ in shape))))
        yield Case("Slice", (_f(*shape), _n(0), _n(0)))
        yield Case("Slice", (_f(*shape), _n(1), _n(-9), _n(0), _n(-1)))
        yield Case("OneHot", (_u(*shape, kind="i8"), np.array(3), _f(2)))
        yield Case("OneHot", (_u(*shape, kind="i8"), np.array(0), _f(2)))
        yield Case("Trilu", (_f(2, *shape),))
        yield Case("GatherND", (_f(*shape), np.zeros((0, 1), "i8")))
        yield Case("ScatterND", (_f(*shape), np.zeros((0, 1), "i8"), _f(0, *shape[1:])))
        yield Case("Det", (_f(*shape, 0, 0),))
        yield Case("Det", (_f(*shape, 2, 2),))
        yield Case("SequenceConstruct", (_f(*shape), _f(*shape)))
    yield Case("Range", (np.int64(3), np.int64(1), np.int64(1)))
    yield Case("EyeLike", (_f(0, 3),))
    yield Case("EyeLike", (_f(2, 3),), attributes={"k": 7})
    yield Case("ReverseSequence", (_f(3, 2, 2), _n(0, 3)))
    yield Case("ReverseSequence", (_f(0, 2, 2), _n(0, 0)))
    for shape in ((0, 4, 2, 2), (1, 0, 2, 2), (1, 4, 0, 2), (1, 4, 2, 2)):
        for kind in ("DepthToSpace", "SpaceToDepth"):
            yield Case(kind, (_f(*shape),), attributes={"blocksize": 2})
        yield Case("LRN", (_f(*shape),), attributes={"size": 5})
        yield Case("MeanVarianceNormalization", (_f(*shape),))
        for kind in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"):
            yield Case(kind, (_f(*shape),))
        planes = shape[1]
        yield Case("InstanceNormalization", (_f(*shape), _f(planes), _f(planes)))
        groups = {"num_groups": 2}
        yield Case("GroupNormalization", (_f(*shape), _f(2), _f(2)), attributes=groups, opset=18)
        yield Case("BatchNormalization", (_f(*shape), *[_f(planes) ** 2] * 4))
        yield Case("Upsample", (_f(*shape), np.float32([1, 1, 2, 1.5])), opset=9)
        for mode in ("nearest", "linear", "cubic"):
            own = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize"}
            region = np.float32([0, 0, -2, 0.5, 1, 1, 3, 2])
            for scales in ([1, 1, 0.1, 2], [1, 1, 2, 2], [1, 1, 0.4, 0.4]):
                yield Case("Resize", (_f(*shape), region, np.float32(scales)), attributes=own)
        for grid in (_f(shape[0], 2, 2, 2), _f(shape[0], 2, 2, 2) * np.nan, _f(shape[0], 0, 2, 2)):
            yield Case("GridSample", (_f(*shape), grid))
    yield Case("AffineGrid", (_f(0, 2, 3), _n(0, 1, 2, 2)), opset=20)
    yield Case("AffineGrid", (_f(1, 2, 3), _n(1, 1, 0, 2)), opset=20)
    yield Case("Col2Im", (_f(1, 4, 4), _n(3, 3), _n(2, 2)), opset=18)
    yield Case("Col2Im", (_f(0, 4, 4), _n(3, 3), _n(2, 2)), opset=18)


def _pooled() -> Iterator[Case]:
    for size in (0, 1, 5):
        for stride, pads, ceiled in ((1, 1, 0), (3, 0, 1), (9, 1, 1), (1, 0, 0), (2, 0, 1)):
            own = {"kernel_shape": [2, 2], "strides": [stride] * 2, "pads": [pads] * 4}
            own |= {"ceil_mode": ceiled}
            yield Case("MaxPool", (_f(1, 2, size, 5),), 2, attributes=own)
            yield Case("MaxPool", (_f(1, 2, size, 5) * np.nan,), 2, attributes=own)
            yield Case("AveragePool", (_f(1, 2, size, 5),), attributes=own)
            yield Case("LpPool", (_f(1, 2, size, 5),), attributes=own, opset=18)
            pooled = (_u(1, 2, size, 5), _S, _Z, _S, _Z)
            yield Case("QLinearAveragePool", pooled, domain=_MS, attributes=own)


def _products() -> Iterator[Case]:
    for m, k, n in ((2, 0, 3), (0, 2, 3), (2, 3, 0), (2, 3, 2)):
        bare = k == 0  # a sum without a term
        left, right, whole, other = _f(m, k), _f(k, n), _u(m, k), _u(k, n)
        for kind in ("f4", "f8", "f2", "i4", "i8"):
            yield Case("MatMul", (_f(m, k, kind=kind), _f(k, n, kind=kind)))
        yield Case("MatMul", (_f(2, m, k), _f(2, k, n)))
        yield Case("Gemm", (left, right))
        yield Case("Gemm", (left, right, _f(n)), attributes={"beta": 0.0})
        yield Case("Gemm", (left, right.T.copy(), _f(n)), attributes={"transB": 1})
        yield Case("FusedMatMul", (left, right), domain=_MS)
        fused = {"activation": "Relu"}
        yield Case("FusedGemm", (left, right, _f(n)), domain=_MS, attributes=fused)
        if m and n:  # the others end the process of onnxruntime 1.32 by a division by 0
            yield Case("Einsum", (left, right), attributes={"equation": "ij,jk->ik"})
        yield Case("MatMulInteger", (whole, other), unwritten=bare)
        multiplied = (whole, _S, _Z, other, _S, _Z, _S, _Z)
        yield Case("QLinearMatMul", multiplied, unwritten=bare)
        added = (whole, _S, _Z, other, _S, _Z, _u(n, kind="i4"), _S, _Z)
        yield Case("QGemm", added, domain=_MS, unwritten=bare)
        floats = (whole, other, _S, _S)
        yield Case("MatMulIntegerToFloat", floats, domain=_MS, unwritten=bare)
        yield Case("DynamicQuantizeMatMul", (left, other, _S), domain=_MS, unwritten=bare)
        convolved = (_u(1, k, 3, 3), _u(2, k, 2, 2))
        yield Case("ConvInteger", convolved, unwritten=bare)
        quantised = (convolved[0], _S, _Z, convolved[1], _S, _Z, _S, _Z)
        yield Case("QLinearConv", quantised, unwritten=bare)
        for pads in (0, 9):
            own = {"kernel_shape": [2, 2], "pads": [pads] * 4, "strides": [2, 5]}
            yield Case("Conv", (_f(m, k, 3, 3), _f(n, k, 2, 2)), attributes=own)
            own |= {"activation": "Relu"}
            values = (_f(m, k, 3, 3), _f(n, k, 2, 2))
            yield Case("FusedConv", values, domain=_MS, attributes=own)
        wide = {"kernel_shape": [1, 1], "strides": [3, 3], "output_padding": [2, 2]}
        yield Case("ConvTranspose", (_f(m, k, 3, 3), _f(k, n, 1, 1)), attributes=wide)
        for heads in (1, 2):
            keys = (_f(1, heads, m, 4), _f(1, heads, k, 4), _f(1, heads, k, 4))
            yield Case("Attention", keys, opset=23)
            flat = (_f(2, m, 8), _f(2, k, 8), _f(2, k, 8))
            own = {"num_heads": heads}
            yield Case("MultiHeadAttention", flat, domain=_MS, attributes=own)
            weights = (_f(8, 24), _f(24))
            yield Case("Attention", (_f(2, m, 8), *weights), domain=_MS, attributes=own)
            packed = (_u(2, m, 8), _u(8, 24), weights[1], _S, _S)
            yield Case("QAttention", packed, domain=_MS, attributes=own)
        yield Case("RotaryEmbedding", (_f(1, 2, m, 4), _f(1, m, 2), _f(1, m, 2)), opset=23)
        blocks = {"K": 16, "N": 2, "bits": 4, "block_size": 16}
        packed = (_f(m, 16), _u(2, 1, 8), _f(2))
        yield Case("MatMulNBits", packed, domain=_MS, attributes=blocks)


def _quantised() -> Iterator[Case]:
    for shape in _SHAPES:
        values = _u(*shape)
        yield Case("QuantizeLinear", (_f(*shape), _S, _Z))
        yield Case("DequantizeLinear", (values, _S, _Z))
        yield Case("QuantizeLinear", (_f(*shape), _S, _Z), domain=_MS)
        yield Case("DequantizeLinear", (values, _S, _Z), domain=_MS)
        yield Case("DynamicQuantizeLinear", (_f(*shape),), 3)
        for kind in ("QLinearAdd", "QLinearMul"):
            yield Case(kind, (values, _S, _Z, values, _S, _Z, _S, _Z), domain=_MS)
        for kind in ("QLinearSigmoid", "QLinearLeakyRelu"):
            yield Case(kind, (values, _S, _Z, _S, _Z), domain=_MS)
        for axis in range(len(shape)):
            joined, own = (_S, _Z, values, _S, _Z, values, _S, _Z), {"axis": axis}
            yield Case("QLinearConcat", joined, domain=_MS, attributes=own)
            soft = (values, _S, _Z, np.float32(1 / 256), np.uint8(0))
            versions = own | {"opset": 13}
            yield Case("QLinearSoftmax", soft, domain=_MS, attributes=versions)
        own = {"channels_last": 0}
        pooled = (_u(1, 2, *shape[-2:]), _S, _Z, _S, _Z)
        yield Case("QLinearGlobalAveragePool", pooled, domain=_MS, attributes=own)
        last = shape[-1:]
        for kind in ("BiasGelu", "FastGelu"):
            yield Case(kind, (_f(*shape), _f(*last)), domain=_MS)
        for kind in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
            for outputs in (1, 4):
                skipped = (_f(*shape), _f(*shape), _f(*last))
                yield Case(kind, skipped, outputs, _MS)


def _classic() -> Iterator[Case]:
    probit: dict[str, Any] = {"post_transform": "PROBIT"}
    tree: dict[str, Any] = {"nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"]}
    tree |= {"nodes_treeids": [0] * 3, "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0] * 3}
    tree |= {"nodes_values": [0.5, 0.0, 0.0], "nodes_truenodeids": [1, 0, 0]}
    tree |= {"nodes_falsenodeids": [2, 0, 0]}
    for rows in (0, 2):
        for ids in ([0, 0], [0, 2]):
            leaves = ([0, 0], [1, 2], ids, [0.3, 0.7])
            for prefix, kind, more in (
                ("class", "TreeEnsembleClassifier", {"classlabels_int64s": [0, 1, 2]}),
                ("target", "TreeEnsembleRegressor", {"n_targets": 3}),
            ):
                named = zip(("treeids", "nodeids", "ids", "weights"), leaves, strict=True)
                own = tree | more | {f"{prefix}_{name}": values for name, values in named}
                outputs = 2 if prefix == "class" else 1
                yield Case(kind, (_f(rows, 2),), outputs, _ML, own)
                if rows and prefix == "class":
                    own |= {"classlabels_int64s": [0, 1], "class_ids": [0, 0]} | probit
                    yield Case(kind, (_f(rows, 2),), 2, _ML, own, unwritten=True)
        labels = {"classlabels_ints": [0, 1, 2]}
        linear = {"coefficients": [0.5] * 6, "intercepts": [0.1] * 3}
        for kind, outputs, more in (("Classifier", 2, labels), ("Regressor", 1, {"targets": 3})):
            yield Case(f"Linear{kind}", (_f(rows, 2),), outputs, _ML, linear | more)
        vectors = {"coefficients": [1.0, -1.0], "support_vectors": [0.5] * 4, "rho": [0.1]}
        vectors |= {"kernel_type": "RBF", "kernel_params": [0.5, 0.0, 3.0]}
        classes = {"classlabels_ints": [0, 1], "vectors_per_class": [1, 1]}
        yield Case("SVMClassifier", (_f(rows, 2),), 2, _ML, vectors | classes)
        if rows:
            own = vectors | classes | probit
            yield Case("SVMClassifier", (_f(rows, 2),), 2, _ML, own, unwritten=True)
        yield Case("SVMRegressor", (_f(rows, 2),), 1, _ML, vectors | {"n_supports": 2})
        yield Case("Scaler", (_f(rows, 2),), 1, _ML, {"offset": [1.0] * 2, "scale": [2.0] * 2})
        yield Case("Normalizer", (_f(rows, 2),), 1, _ML, {"norm": "L2"})
        yield Case("Normalizer", (_f(rows, 0),), 1, _ML, {"norm": "MAX"})
        yield Case("Binarizer", (_f(rows, 2),), 1, _ML, {"threshold": 0.5})
        filled = {"imputed_value_floats": [1.0], "replaced_value_float": 0.0}
        yield Case("Imputer", (_f(rows, 2),), 1, _ML, filled)
        yield Case("ArrayFeatureExtractor", (_f(rows, 2), _n(1)), 1, _ML)
        mapped = {"keys_int64s": [0], "values_int64s": [5]}
        yield Case("LabelEncoder", (_u(rows, kind="i8"),), 1, _ML, mapped)
        yield Case("OneHotEncoder", (_u(rows, kind="i8"),), 1, _ML, {"cats_int64s": [0, 1]})
