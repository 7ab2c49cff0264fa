//! The engine's own graph: what `lower` makes of tract's and `plan` turns into steps.
//!
//! Small on purpose: one operator for every way of moving data, one for every chain of elementwise arithmetic, and so on.
//! Weights are inside the operators. What has no operator here is kept as a [`Op::Tract`] node.

use crate::kernels::{Bytes, Clamp, Scale, Table, Window};
use crate::model::DType;
use std::sync::Arc;
use tract_onnx::prelude::{Tensor, TypedFact, TypedOp};

/// Index of a value in [`Graph::values`].
pub(crate) type ValueId = usize;

/// A tensor that flows between nodes.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: DType,
    /// The content, where it is known at plan time.
    pub constant: Option<Arc<Tensor>>,
    /// The zero point of bytes that lie as [`crate::layout::Quads`].
    pub zero: Option<i8>,
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub name: String,
    pub op: Op,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
}

/// The graph, nodes in an order in which they can run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub values: Vec<Value>,
    pub nodes: Vec<Node>,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
}

impl Graph {
    /// Adds a value that no node gives yet, neither constant nor quantised.
    pub fn add_value(&mut self, name: &str, shape: &[usize], dtype: DType) -> ValueId {
        self.values.push(Value { name: name.to_string(), shape: shape.to_vec(), dtype, constant: None, zero: None });
        self.values.len() - 1
    }
}

/// What a node does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Two-dimensional convolution. Inputs: image `[N, C, H, W]` or `[C, H, W]`, then the residual if there is one.
    Conv(Arc<Conv>),
    /// Two-dimensional pooling of an image.
    Pool(Pool),
    /// Elementwise arithmetic on `f32` with broadcasting. Truth values are 0 and 1; inputs and output may be bytes.
    Chain(Chain),
    /// Matrix products. Inputs: A, B.
    MatMul(MatMul),
    /// Reduction over axes, which stay with size 1.
    Reduce { kind: ReduceKind, axes: Vec<usize> },
    /// The number of the greatest or least along an axis, which stays with size 1; the first or last of equals.
    Arg { axis: usize, greatest: bool, last: bool },
    /// The greatest or least along an axis in order, as many as the output is long. Outputs: values, numbers.
    Top { axis: usize, largest: bool },
    /// Elements by number. Inputs: data, numbers.
    Take(Take),
    /// Divides by the square root of the mean of squares along an axis, plus a little.
    RmsNorm { axis: usize, eps: f32 },
    /// Softmax over the given axes.
    Softmax { axes: Vec<usize> },
    /// Resampling of the last two axes.
    Resize(Resize),
    /// Moves elements: slice, transpose, concatenate, pad with a constant, broadcast.
    Copy(Copy),
    /// The same elements in the same order under another shape.
    Reshape,
    /// Conversion between element types.
    Cast,
    /// The least squared distance from each query to any row of the bank. Input: queries. Outputs: the distances and, if
    /// there is a second, the rows' numbers.
    Nearest(Arc<Nearest>),
    /// The same among bytes: each position of an image of bytes is a query.
    NearestInt8(Arc<NearestInt8>),
    /// `f32` image to bytes.
    Quantise(Scale),
    /// Bytes to `f32` image.
    Dequantise(Scale),
    /// Convolution of bytes.
    ConvInt8(Arc<ConvInt8>),
    /// Sum of two images of bytes.
    AddInt8(AddInt8),
    /// Pooling of bytes.
    PoolInt8(PoolInt8),
    /// Bytes of one scale to bytes of another, within a range.
    Rescale(Scale, Scale, Bytes),
    /// Each byte by a table.
    TableInt8(Table),
    /// Channels of bytes, one input's behind the other's.
    ConcatInt8(ConcatInt8),
    /// Resampling of an image of bytes.
    ResizeInt8(ResizeInt8),
    /// An operator without a step, run by tract.
    Tract(Arc<Foreign>),
}

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    /// `[out][in / group][height][width]`.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub channels_in: usize,
    pub channels_out: usize,
    pub group: usize,
    pub window: Window,
    /// Bounds of the result, applied last.
    pub clamp: Clamp,
    /// Whether the second input is added before the clamp.
    pub residual: bool,
}

/// A pooling window.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub kind: PoolKind,
    pub window: Window,
}

/// What a pooling window computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolKind {
    Max,
    Sum,
    /// Mean over the window, padding counted as zeros or not at all.
    Mean {
        count_pads: bool,
    },
}

/// Straight-line code over registers. The inputs are registers 0.., each instruction writes the next one, the last one is
/// the result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chain {
    pub code: Vec<Instr>,
}

/// A register of a [`Chain`].
pub(crate) type Reg = usize;

/// One instruction of a [`Chain`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Instr {
    Unary(Unary, Reg),
    Binary(Binary, Reg, Reg),
    /// With a constant on the right.
    Scalar(Binary, Reg, f32),
    /// With a constant on the left.
    ScalarLeft(Binary, f32, Reg),
    /// The second where the first is not 0, else the third.
    Select(Reg, Reg, Reg),
}

/// Functions of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Neg,
    Abs,
    Exp,
    Ln,
    Sqrt,
    Rsqrt,
    Recip,
    Square,
    Sigmoid,
    Tanh,
    Erf,
    Floor,
    Ceil,
    Round,
    Sign,
    HardSwish,
    Silu,
    Sin,
    Cos,
    Leaky(f32),
    Not,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    /// Halves away from zero.
    RoundAway,
    Gelu,
    /// With the hyperbolic tangent.
    GeluTanh,
    IsNan,
    /// Whether it is +inf, -inf.
    IsInf(bool, bool),
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Pow,
    /// The sign is the dividend's.
    Rem,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
}

/// `C[i] = A[i] · B[i]` over a batch `i`, each matrix anywhere in its dense tensor.
#[derive(Clone, Debug)]
pub(crate) struct MatMul {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batch: Vec<usize>,
    /// Rows are m, columns k.
    pub a: Strides,
    /// Rows are k, columns n.
    pub b: Strides,
    /// Rows are m, columns n.
    pub c: Strides,
}

/// Elements between neighbours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strides {
    pub batch: Vec<usize>,
    pub row: usize,
    pub col: usize,
}

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReduceKind {
    Sum,
    Max,
    Min,
    Prod,
    MeanOfSquares,
}

/// What the numbers of a [`Op::Take`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Slices across an axis (ONNX's Gather).
    Slices { axis: usize },
    /// An element each, at its own place but for one axis (GatherElements).
    Elements { axis: usize },
    /// The last axis of the numbers holds coordinates after some axes that both have (GatherND).
    Points { batch_axes: usize },
}

/// Resampling: for each output row and column, where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Resize {
    pub rows: Vec<Tap>,
    pub cols: Vec<Tap>,
    /// Only `first` counts.
    pub nearest: bool,
}

/// `in[first] * (1 - fraction) + in[second] * fraction`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tap {
    pub first: usize,
    pub second: usize,
    pub fraction: f32,
}

/// Boxes of elements to move.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub parts: Vec<Part>,
    /// What is written first where the parts do not cover the output, as the bytes of one element.
    pub fill: Option<Vec<u8>>,
}

/// One box of elements, with the step along each of its axes on both sides.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Which input.
    pub input: usize,
    /// Sizes of the box.
    pub sizes: Vec<usize>,
    /// For each axis of the box: the input's axis it runs along, if it does not stand still.
    pub from_axes: Vec<Option<usize>>,
    /// For each axis of the box: how many elements of the input it steps over.
    pub from_steps: Vec<usize>,
    /// The box's corner in the input.
    pub from: Vec<usize>,
    /// For each axis of the box: the output's axis it runs along.
    pub to_axes: Vec<usize>,
    /// The box's corner in the output.
    pub to: Vec<usize>,
}

/// A memory bank and what is asked of it.
#[derive(Debug)]
pub(crate) struct Nearest {
    /// `[rows][features]`.
    pub bank: Vec<f32>,
    /// The squared length of each row, as the graph has it.
    pub norms: Vec<f32>,
    pub features: usize,
    /// Elements from one query to the next and from one feature to the next.
    pub query_step: usize,
    pub feature_step: usize,
    /// Whether the query's squared length is part of the result.
    pub add_query_norm: bool,
}

/// A memory bank of bytes: the least `offset[row] + scale[row] * ((query - zero) · row)`.
#[derive(Debug)]
pub(crate) struct NearestInt8 {
    /// `[rows][features]`.
    pub bank: Vec<i8>,
    /// One a row.
    pub offset: Vec<f32>,
    /// One a row.
    pub scale: Vec<f32>,
    /// The queries' zero point.
    pub zero: i8,
}

/// A convolution of bytes with its weights.
#[derive(Debug)]
pub(crate) struct ConvInt8 {
    /// `[out][in][height][width]`, or `[channel][height][width]` where depthwise.
    pub weights: Vec<i8>,
    /// In the scale of the sums.
    pub bias: Vec<i32>,
    /// For each channel: scale of the input times scale of the weights over scale of the output.
    pub scale: Vec<f32>,
    pub depthwise: bool,
    pub window: Window,
    pub from: Scale,
    pub to: Scale,
    pub range: Bytes,
}

/// A sum of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddInt8 {
    pub from: [Scale; 2],
    pub to: Scale,
    pub range: Bytes,
}

/// A concatenation of bytes.
#[derive(Clone, Debug)]
pub(crate) struct ConcatInt8 {
    /// The inputs' scales.
    pub from: Vec<Scale>,
    pub to: Scale,
}

/// Resampling of bytes.
#[derive(Clone, Debug)]
pub(crate) struct ResizeInt8 {
    pub resize: Resize,
    pub from: Scale,
    pub to: Scale,
}

/// A pool of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolInt8 {
    pub window: Window,
    pub from: Scale,
    pub to: Scale,
    /// For the mean: scale of the input over scale of the output over the taps. None for the maximum.
    pub scale: Option<f32>,
}

/// A node of tract's graph, with the facts of its inputs.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub op: Box<dyn TypedOp>,
    pub inputs: Vec<TypedFact>,
}

impl Op {
    /// Bytes of the constants inside.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Op::Conv(conv) => 4 * (conv.weights.len() + conv.bias.len()),
            Op::ConvInt8(conv) => conv.weights.len() + 8 * conv.bias.len(),
            Op::Nearest(search) => 4 * (search.bank.len() + search.norms.len()),
            Op::NearestInt8(search) => search.bank.len() + 8 * search.offset.len(),
            _ => 0,
        }
    }

    /// What reports call it.
    pub fn label(&self) -> String {
        match self {
            Op::Conv(c) if c.group == c.channels_in && c.group == c.channels_out => "depthwise".into(),
            Op::Conv(_) => "conv".into(),
            Op::Pool(_) => "pool".into(),
            Op::Chain(_) => "chain".into(),
            Op::MatMul(_) => "matmul".into(),
            Op::Reduce { .. } => "reduce".into(),
            Op::Arg { .. } => "arg".into(),
            Op::Top { .. } => "top".into(),
            Op::Take(_) => "take".into(),
            Op::RmsNorm { .. } => "rms norm".into(),
            Op::Softmax { .. } => "softmax".into(),
            Op::Resize(_) => "resize".into(),
            Op::Copy(_) => "copy".into(),
            Op::Reshape => "reshape".into(),
            Op::Cast => "cast".into(),
            Op::Nearest(_) => "nearest".into(),
            Op::NearestInt8(_) => "nearest int8".into(),
            Op::Quantise(_) => "quantise".into(),
            Op::Dequantise(_) => "dequantise".into(),
            Op::ConvInt8(c) if c.depthwise => "depthwise int8".into(),
            Op::ConvInt8(_) => "conv int8".into(),
            Op::AddInt8(_) => "add int8".into(),
            Op::PoolInt8(_) => "pool int8".into(),
            Op::Rescale(..) => "rescale int8".into(),
            Op::TableInt8(_) => "table int8".into(),
            Op::ConcatInt8(_) => "concat int8".into(),
            Op::ResizeInt8(_) => "resize int8".into(),
            Op::Tract(f) => f.op.name().to_string(),
        }
    }
}
