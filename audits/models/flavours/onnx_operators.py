"""The operators of ONNX that an audit takes: those that exporters, converters and quantisers write.

An operator is on the list if its answer depends on its inputs alone. Before one is added, read in
onnxruntime whether its kernel keeps anything from call to call or leaves results unwritten, and add
it to `tests/support/onnx_cases.py`, which tries that.
"""

OLDEST, NEWEST = 7, 28
"""Versions of the operators of the domain "". Before 7 several trained unless told otherwise."""

_ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg
    Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt
    Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
"""
_OF_SHAPES = """
    CenterCropPad Col2Im Compress Concat Constant ConstantOfShape DepthToSpace Expand EyeLike
    Flatten Gather GatherElements GatherND Identity NonZero OneHot Pad Range Reshape
    ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze
    Tile TopK Transpose Trilu Unsqueeze
"""
_OF_LAYERS = """
    AffineGrid Attention AveragePool BatchNormalization Conv ConvTranspose Dropout Einsum Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample GroupNormalization InstanceNormalization
    LRN LayerNormalization LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization
    RMSNormalization Resize RotaryEmbedding Upsample
"""
_REDUCING = """
    ArgMax ArgMin CumSum Det Hardmax LogSoftmax ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax
"""
_QUANTISED = """
    ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul
    QuantizeLinear
"""
_BRANCHES = """
    If Loop Scan ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase
    SequenceInsert SequenceLength SplitToSequence
"""
# skl2onnx, and onnxmltools for LightGBM and XGBoost
_CLASSIC = """
    ArrayFeatureExtractor Binarizer Imputer LabelEncoder LinearClassifier
    LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
    TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
"""
# onnxruntime's quantisers, and its optimiser of transformers
_OF_ONNXRUNTIME = """
    Attention BiasGelu DequantizeLinear DynamicQuantizeMatMul FastGelu FusedConv FusedGemm
    FusedMatMul Gelu MatMulIntegerToFloat MatMulNBits MultiHeadAttention QAttention QGemm
    QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul
    QLinearSigmoid QLinearSoftmax QuantizeLinear QuickGelu
    SkipLayerNormalization SkipSimplifiedLayerNormalization
"""

ALLOWED = {
    "": frozenset(
        f"{_ELEMENTWISE} {_OF_SHAPES} {_OF_LAYERS} {_REDUCING} {_QUANTISED} {_BRANCHES}".split()
    )
    # onnxruntime's own name for what became RMSNormalization in ONNX
    | {"SimplifiedLayerNormalization"},
    "ai.onnx.ml": frozenset(_CLASSIC.split()),
    "com.microsoft": frozenset(_OF_ONNXRUNTIME.split()),
}
"""Names of operators by their domain."""


def domain_of(name: str) -> str:
    """The domain of operators in its short form: "ai.onnx" is another name for ""."""
    return "" if name == "ai.onnx" else name
