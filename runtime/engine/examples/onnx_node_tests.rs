//! Runs ONNX's own backend node tests and says which pass in steps, which fall back to tract, and which are refused.
//!
//! ```text
//! cargo run --release -p jidoka-engine --example onnx_node_tests -- DIR [--verbose] [--table]
//! ```
//!
//! DIR is `onnx/backend/test/data/node` of the `onnx` Python package (`scripts/onnx-node-tests` finds it). The engine takes one
//! input, so of a test's inputs the first that holds floats or bytes is fed and the others become constants. A result is right
//! as ONNX's own runner has it: within 1e-3 relative or 1e-7 absolute (or a millionth of the largest element, or of one).
//!
//! [`KNOWN`] are the tests whose results differ and why; they count as such and do not fail the run. `--table` prints a Markdown table by operator.
//! Ends with 1 where a result is wrong or something panicked.

use jidoka_engine::onnx::{self, TensorProto};
use jidoka_engine::{DType, Data, Model, Options, Session};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Spelt-out functions whose result differs: tract takes `x * sigmoid(alpha * x)` for the one without the factor, and rows of
/// attention that are masked from end to end stay -inf where the test wants 0.
const KNOWN: [&str; 4] = [
    "test_attention_23_boolmask_fullymasked_row_nan_robustness_expanded",
    "test_attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded",
    "test_attention_4d_causal_nonpad_negative_offset_structural_empty_expanded",
    "test_swiglu_alpha_expanded",
];

/// How a test ended.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// Right, every node a step.
    Steps,
    /// Right, with nodes that run through tract.
    FallsBack(Vec<String>),
    /// Refused with this message.
    Refused(String),
    /// The result differs, or something panicked.
    Wrong(String),
}

/// A tensor's elements, whatever their type.
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    let Some(folder) = arguments.iter().find(|a| !a.starts_with("--")) else {
        eprintln!("usage: onnx_node_tests DIR [--verbose] [--table]");
        return ExitCode::from(2);
    };
    let mut cases: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_dir()).collect(),
        Err(error) => {
            eprintln!("{folder}: {error}");
            return ExitCode::from(2);
        }
    };
    cases.sort();
    std::panic::set_hook(Box::new(|_| ()));
    let mut by_op: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    let (mut counts, mut known) = ([0usize; 4], 0);
    for case in &cases {
        let name = case.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let (op, outcome) = run(case);
        let is_known = matches!(outcome, Outcome::Wrong(_)) && KNOWN.contains(&name.as_str());
        counts[kind(&outcome)] += usize::from(!is_known);
        known += usize::from(is_known);
        if has("--verbose") || matches!(outcome, Outcome::Wrong(_)) && !is_known {
            println!("{name} ({op}): {outcome:?}");
        }
        by_op.entry(op).or_default().push(outcome);
    }
    if has("--table") {
        table(&by_op);
    }
    let [steps, falls_back, refused, wrong] = counts;
    println!(
        "{} tests: {} pass ({steps} in steps, {falls_back} with a fallback), {refused} refused by name, {known} known to differ, {wrong} \
         wrong",
        cases.len(),
        steps + falls_back
    );
    ExitCode::from(u8::from(wrong > 0))
}

fn kind(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Steps => 0,
        Outcome::FallsBack(_) => 1,
        Outcome::Refused(_) => 2,
        Outcome::Wrong(_) => 3,
    }
}

/// One row an operator: how many tests pass in steps, with a fallback, are refused.
fn table(by_op: &BTreeMap<String, Vec<Outcome>>) {
    println!("| operator | in steps | with a fallback | refused | why refused |");
    println!("|---|---|---|---|---|");
    for (op, outcomes) in by_op {
        let count = |k: usize| outcomes.iter().filter(|o| kind(o) == k).count();
        let why = outcomes.iter().find_map(|o| match o {
            Outcome::Refused(why) => Some(why.lines().next().unwrap_or_default().replace('|', "/")),
            _ => None,
        });
        let why: String = why.unwrap_or_default().chars().take(90).collect();
        println!("| {op} | {} | {} | {} | {why} |", count(0), count(1), count(2));
    }
}

/// Runs one test; answers with its operator too.
fn run(case: &Path) -> (String, Outcome) {
    let Ok(bytes) = std::fs::read(case.join("model.onnx")) else {
        return ("?".into(), Outcome::Refused("there is no model.onnx".into()));
    };
    let Ok(proto) = onnx::ModelProto::decode(&bytes[..]) else {
        return ("?".into(), Outcome::Refused("not a model".into()));
    };
    let ops: Vec<&str> = proto.graph.iter().flat_map(|g| g.node.iter().map(|n| n.op_type.as_str())).collect();
    let op = match &ops[..] {
        [op] => (*op).to_string(),
        // A function's body: it belongs to the operator that it spells out.
        _ => "(several)".to_string(),
    };
    let outcome = std::panic::catch_unwind(|| compare(case, proto.clone()))
        .unwrap_or_else(|_| Outcome::Wrong("it panicked".into()));
    (op, outcome)
}

fn compare(case: &Path, mut proto: onnx::ModelProto) -> Outcome {
    let data = case.join("test_data_set_0");
    let Some(graph) = proto.graph.as_mut() else { return Outcome::Refused("no graph".into()) };
    let mut fed = None;
    let mut inputs = Vec::new();
    for (index, input) in std::mem::take(&mut graph.input).into_iter().enumerate() {
        let Some(mut tensor) = read(&data.join(format!("input_{index}.pb"))) else {
            return Outcome::Refused(format!("input {index} is no tensor"));
        };
        const FLOATS_OR_BYTES: [i32; 2] = [1, 2];
        if fed.is_none() && FLOATS_OR_BYTES.contains(&tensor.data_type) {
            fed = Some(tensor);
            inputs.push(input);
        } else {
            tensor.name.clone_from(&input.name);
            graph.initializer.push(tensor);
        }
    }
    graph.input = inputs;
    let Some(fed) = fed else { return Outcome::Refused("no input holds floats or bytes".into()) };
    let expected = graph.output.len();
    let name = case.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut session = match Model::from_bytes(&name, &onnx::encode(&proto))
        .map_err(|e| e.to_string())
        .and_then(|model| Session::new(&model, &Options::default()).map_err(|e| e.to_string()))
    {
        Ok(session) => session,
        Err(text) => return Outcome::Refused(text.trim_start_matches(&name).trim_start_matches(": ").to_string()),
    };
    let Some(values) = tensor(&fed) else { return Outcome::Refused("the input cannot be read".into()) };
    if let Some(input) = session.input_f32() {
        input.iter_mut().zip(&values.values).for_each(|(i, v)| *i = *v as f32);
    } else if let Some(input) = session.input_u8() {
        input.iter_mut().zip(&values.values).for_each(|(i, v)| *i = *v as u8);
    }
    if let Err(error) = session.run() {
        return Outcome::Wrong(error.to_string());
    }
    for index in 0..expected {
        let Some(want) = read(&data.join(format!("output_{index}.pb"))).and_then(|t| tensor(&t)) else { continue };
        if let Err(detail) = agree(&session, index, &want) {
            return Outcome::Wrong(format!("output {index}: {detail}; {:?}", session.fallbacks()));
        }
    }
    match session.fallbacks() {
        [] => Outcome::Steps,
        nodes => Outcome::FallsBack(nodes.to_vec()),
    }
}

fn agree(session: &Session, index: usize, want: &Tensor) -> Result<(), String> {
    let view = session.output(index);
    if view.shape() != want.shape {
        return Err(format!("shape {:?}, expected {:?}", view.shape(), want.shape));
    }
    let got: Vec<f64> = match view.data {
        Data::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Data::U8(v) | Data::Bool(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Data::I8(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Data::I32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Data::I64(v) => v.iter().map(|v| *v as f64).collect(),
        Data::Bytes(bytes) => match view.info.dtype {
            DType::F64 => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_ne_bytes(*b)).collect(),
            // Half precision and the rarer integers: not compared, so not right.
            other => return Err(format!("{other:?} is not compared")),
        },
    };
    let most = want.values.iter().filter(|w| w.is_finite()).fold(0.0f64, |most, w| most.max(w.abs()));
    for (at, (g, w)) in got.iter().zip(&want.values).enumerate() {
        let same = g == w || (g.is_nan() && w.is_nan());
        if !same && (g - w).abs() > 1e-7 + 1e-3 * w.abs() + 1e-6 * most.max(1.0) {
            return Err(format!("element {at} is {g}, expected {w}"));
        }
        if !same && g.is_nan() != w.is_nan() {
            return Err(format!("element {at} is {g}, expected {w}"));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Option<TensorProto> {
    TensorProto::decode(&std::fs::read(path).ok()?[..]).ok()
}

/// The elements of the types that outputs may have.
fn tensor(proto: &TensorProto) -> Option<Tensor> {
    let shape: Vec<usize> = proto.dims.iter().map(|d| usize::try_from(*d).ok()).collect::<Option<_>>()?;
    let raw = &proto.raw_data;
    let ints = |size: usize, of: &dyn Fn(&[u8]) -> f64| -> Vec<f64> {
        if raw.is_empty() {
            proto.int32_data.iter().map(|v| f64::from(*v)).collect()
        } else {
            raw.chunks_exact(size).map(of).collect()
        }
    };
    let values = match proto.data_type {
        1 if raw.is_empty() => proto.float_data.iter().map(|v| f64::from(*v)).collect(),
        1 => raw.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        2 | 9 => ints(1, &|b| f64::from(b[0])),
        3 => ints(1, &|b| f64::from(b[0] as i8)),
        6 => ints(4, &|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        7 if raw.is_empty() => proto.int64_data.iter().map(|v| *v as f64).collect(),
        7 => raw.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        11 if raw.is_empty() => proto.double_data.clone(),
        11 => raw.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        _ => return None,
    };
    (values.len() == shape.iter().product::<usize>()).then_some(Tensor { shape, values })
}
