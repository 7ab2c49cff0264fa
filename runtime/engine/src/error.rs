//! What can go wrong, with the values that a message needs. The text is made here and nowhere else.

use std::path::PathBuf;

/// Why a model could not be read, or a session not be made from it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{}: cannot read the model: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are no ONNX model.
    #[error(
        "{model}: not an ONNX model, or a truncated one ({bytes} bytes): {detail}\n  expected: an .onnx file as an exporter or \
         `jidoka teach` writes it\n  try: copy it again and compare the sizes"
    )]
    NotOnnx {
        /// The model's name, usually its path.
        model: String,
        /// How many bytes there were.
        bytes: usize,
        /// What the decoder met.
        detail: String,
    },
    /// The graph does not have exactly one input.
    #[error(
        "{model}: the graph has {} inputs ({}); expected exactly one, the image\n  try: export with the other inputs as \
         constants", found.len(), found.join(", ")
    )]
    Inputs {
        /// The model's name.
        model: String,
        /// The names of the inputs there are.
        found: Vec<String>,
    },
    /// The input's size is open.
    #[error(
        "{model}: input `{input}` has a dynamic size [{dims}]; a static plan needs every size\n  expected: fixed sizes (an \
         open batch size is taken as 1)\n  try: export without dynamic axes, or give the input size"
    )]
    DynamicInput {
        /// The model's name.
        model: String,
        /// The input.
        input: String,
        /// Its sizes as the file gives them.
        dims: String,
    },
    /// The asked-for input size does not fit the graph's.
    #[error("{model}: input `{input}` is [{dims}] and cannot be given the size {asked:?}")]
    InputSize {
        /// The model's name.
        model: String,
        /// The input.
        input: String,
        /// Its sizes as the file gives them.
        dims: String,
        /// The sizes asked for.
        asked: Vec<usize>,
    },
    /// An operator that the engine does not know.
    #[error(
        "{model}: node `{node}` uses the operator {op}, which is not supported\n  try: export with another opset, or \
         replace the operator"
    )]
    UnsupportedOp {
        /// The model's name.
        model: String,
        /// The node.
        node: String,
        /// Its operator, with the domain where it is not ONNX's own.
        op: String,
    },
    /// The graph contradicts itself.
    #[error("{model}: {place}: {detail}")]
    Invalid {
        /// The model's name.
        model: String,
        /// The node, tensor or part of the file.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// Nodes have no static step and the options are strict.
    #[error(
        "{model}: {} node(s) have no static step and would run through tract, outside the static plan: {}\n  expected: a model \
         whose every node has a step (docs/OPERATORS.md)\n  try: export the model without these operators, or allow them: [model] \
         strict = false in the configuration", nodes.len(), nodes.join(", ")
    )]
    Strict {
        /// The model's name.
        model: String,
        /// The nodes, each as `op node-name`.
        nodes: Vec<String>,
    },
    /// The asked-for instruction set is not there.
    #[error(transparent)]
    Isa(#[from] crate::kernels::IsaError),
}

/// Why a run failed. A failed run leaves the outputs undefined; the caller treats the frame as not inspected.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A step failed. Static steps cannot; this is an operator that runs through tract.
    #[error("node `{node}` failed: {detail}")]
    Step {
        /// The node.
        node: String,
        /// What tract said.
        detail: String,
    },
}
