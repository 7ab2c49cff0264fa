//! Operators on bytes → dequantise, operator on floats, quantise.
//!
//! onnxruntime's "QOperator" exports hold `QLinearConv`, `QLinearMatMul` and the like, some of which tract does not know. Before
//! it sees the graph they become what they mean, which is also the form that the engine folds into operations on bytes. What
//! only moves bytes between them (pools, reshapes, concatenation, ...) is wrapped the same way, so that bytes stay between a
//! quantisation and its readers. Scales and zero points keep their names; only biases become new constants.

use super::constants::{floats, int32s};
use crate::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType};
use std::collections::{HashMap, HashSet};

/// ONNX's number for 32-bit floats.
const FLOAT: i32 = 1;

/// Operators that give bytes of the scale that they get.
const MOVES: [&str; 10] =
    ["MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Concat", "Resize"];

/// Scale and zero point of bytes, by name; the zero point's is empty where there is none.
type Quant = (String, String);

/// Rewrites a graph in place.
pub(super) fn translate(graph: &mut GraphProto) {
    let mut work = Work::new(graph);
    for node in std::mem::take(&mut graph.node) {
        work.node(node);
    }
    graph.node = work.nodes;
    graph.initializer.extend(work.constants);
}

struct Work {
    /// Known tensors: initialisers and constants.
    known: HashMap<String, TensorProto>,
    /// Bytes whose scale is known.
    scales: HashMap<String, Quant>,
    /// Every name there is.
    names: HashSet<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Work {
    fn new(graph: &GraphProto) -> Work {
        let mut work = Work {
            known: graph.initializer.iter().map(|t| (t.name.clone(), t.clone())).collect(),
            scales: HashMap::new(),
            names: names(graph),
            nodes: Vec::with_capacity(graph.node.len()),
            constants: vec![],
        };
        for node in graph.node.iter().filter(|n| n.op_type == "Constant") {
            let value = node.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.as_ref());
            if let (Some(value), Some(output)) = (value, node.output.first()) {
                work.known.insert(output.clone(), value.clone());
            }
        }
        work
    }

    fn node(&mut self, node: NodeProto) {
        let done = match node.op_type.as_str() {
            "QLinearConv" => self.conv(&node),
            "QLinearMatMul" => self.plain(&node, "MatMul", &[0, 3], 6, 8),
            "QGemm" => self.gemm(&node),
            "QLinearAdd" => self.plain(&node, "Add", &[0, 3], 6, 8),
            "QLinearMul" => self.plain(&node, "Mul", &[0, 3], 6, 8),
            "QLinearConcat" => self.concat(&node),
            "QLinearSigmoid" => self.plain(&node, "Sigmoid", &[0], 3, 5),
            "QLinearLeakyRelu" => self.plain(&node, "LeakyRelu", &[0], 3, 5),
            "QLinearReduceMean" => self.plain(&node, "ReduceMean", &[0], 3, 5),
            "QLinearAveragePool" if !channels_last(&node) => self.plain(&node, "AveragePool", &[0], 3, 5),
            "QLinearGlobalAveragePool" if !channels_last(&node) => self.plain(&node, "GlobalAveragePool", &[0], 3, 5),
            op if MOVES.contains(&op) => self.moves(&node),
            _ => false,
        };
        if done {
            return;
        }
        if let ("QuantizeLinear", [_, scale, rest @ ..]) = (node.op_type.as_str(), &node.input[..]) {
            let zero = rest.first().cloned().unwrap_or_default();
            // A scale for each channel does not survive a move.
            if self.known.get(scale).is_some_and(|t| t.dims.iter().product::<i64>() == 1) {
                self.scales.extend(node.output.first().map(|o| (o.clone(), (scale.clone(), zero))));
            }
        }
        self.nodes.push(node);
    }

    /// A name that nobody has.
    fn fresh(&mut self, base: &str, what: &str) -> String {
        let mut name = format!("{base}.{what}");
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    /// Adds a dequantisation; answers with its output.
    fn dequantise(&mut self, node: &NodeProto, bytes: &str, scale: &str, zero: &str, axis: Option<i64>) -> String {
        let output = self.fresh(&label(node), &format!("{bytes}.dequantised"));
        let axis = axis.map(|axis| AttributeProto {
            name: "axis".into(),
            r#type: AttributeType::Int as i32,
            i: axis,
            ..Default::default()
        });
        let inputs = [bytes, scale, zero].into_iter().filter(|name| !name.is_empty());
        self.nodes.push(NodeProto {
            name: output.clone(),
            op_type: "DequantizeLinear".into(),
            input: inputs.map(str::to_string).collect(),
            output: vec![output.clone()],
            attribute: axis.into_iter().collect(),
            ..Default::default()
        });
        output
    }

    /// Adds the operator on floats and the quantisation of its result.
    fn finish(&mut self, node: &NodeProto, op: &str, input: Vec<String>, (scale, zero): Quant) -> bool {
        let Some(bytes) = node.output.first().cloned() else { return false };
        let floats = self.fresh(&label(node), "floats");
        self.nodes.push(NodeProto {
            name: label(node),
            op_type: op.into(),
            domain: String::new(),
            input,
            output: vec![floats.clone()],
            attribute: node.attribute.iter().filter(|a| a.name != "channels_last").cloned().collect(),
            ..Default::default()
        });
        let inputs = [&floats, &scale, &zero].into_iter().filter(|name| !name.is_empty());
        self.nodes.push(NodeProto {
            name: format!("{}.quantised", label(node)),
            op_type: "QuantizeLinear".into(),
            input: inputs.cloned().collect(),
            output: vec![bytes.clone()],
            ..Default::default()
        });
        self.scales.insert(bytes, (scale, zero));
        true
    }

    /// Bytes at `places`, each with its scale and zero point behind it; the result's scale at `scale`.
    fn plain(&mut self, node: &NodeProto, op: &str, places: &[usize], scale: usize, most: usize) -> bool {
        let at = |i: usize| node.input.get(i).cloned().unwrap_or_default();
        if node.input.len() <= scale || node.input.len() > most || at(scale).is_empty() {
            return false;
        }
        let mut input = Vec::with_capacity(places.len());
        for place in places {
            // The columns of a matrix may have a scale each.
            let axis = (op == "MatMul" && *place > 0).then_some(1).filter(|_| self.count(&at(place + 1)) > 1);
            input.push(self.dequantise(node, &at(*place), &at(place + 1), &at(place + 2), axis));
        }
        self.finish(node, op, input, (at(scale), at(scale + 1)))
    }

    /// How many elements a constant has; 0 if it is none.
    fn count(&self, name: &str) -> i64 {
        self.known.get(name).map_or(0, |t| t.dims.iter().product())
    }

    /// x, its scale and zero point, w, its own, the result's, and a bias in units of the sums.
    fn conv(&mut self, node: &NodeProto) -> bool {
        let [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, rest @ ..] = &node.input[..] else {
            return false;
        };
        let bias = match rest.first().filter(|b| !b.is_empty()) {
            None => None,
            Some(bias) => match self.bias(node, bias, x_scale, w_scale, 1.0) {
                Some(bias) => Some(bias),
                None => return false,
            },
        };
        let mut input = vec![self.dequantise(node, x, x_scale, x_zero, None)];
        input.push(self.dequantise(node, w, w_scale, w_zero, Some(0)));
        input.extend(bias);
        self.finish(node, "Conv", input, (y_scale.clone(), y_zero.clone()))
    }

    /// A, its scale and zero point, B, its own, the bias in units of the sums, the result's scale and zero point.
    fn gemm(&mut self, node: &NodeProto) -> bool {
        let at = |i: usize| node.input.get(i).cloned().unwrap_or_default();
        if node.input.len() < 8 || at(7).is_empty() {
            return false;
        }
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
        let alpha = attribute("alpha").map_or(1.0, |a| a.f);
        let bias = if at(6).is_empty() {
            None
        } else {
            match self.bias(node, &at(6), &at(1), &at(4), alpha) {
                Some(bias) => Some(bias),
                None => return false,
            }
        };
        let transposed = attribute("transB").is_some_and(|a| a.i != 0);
        let axis = (self.count(&at(4)) > 1).then_some(i64::from(!transposed));
        let mut input = vec![self.dequantise(node, &at(0), &at(1), &at(2), None)];
        input.push(self.dequantise(node, &at(3), &at(4), &at(5), axis));
        input.extend(bias);
        self.finish(node, "Gemm", input, (at(7), at(8)))
    }

    /// A bias of whole sums as floats.
    fn bias(&mut self, node: &NodeProto, bias: &str, x_scale: &str, w_scale: &str, alpha: f32) -> Option<String> {
        let units = int32s(self.known.get(bias)?)?;
        let x = floats(self.known.get(x_scale)?)?;
        let w = floats(self.known.get(w_scale)?)?;
        let [x] = x[..] else { return None };
        if w.len() != 1 && w.len() != units.len() {
            return None;
        }
        let scale = |i: usize| f64::from(x) * f64::from(w[i % w.len()]) * f64::from(alpha);
        let values: Vec<f32> = units.iter().enumerate().map(|(i, u)| (f64::from(*u) * scale(i)) as f32).collect();
        let name = self.fresh(&label(node), "bias");
        let dims = self.known.get(bias)?.dims.clone();
        let tensor =
            TensorProto { name: name.clone(), dims, data_type: FLOAT, float_data: values, ..Default::default() };
        self.known.insert(name.clone(), tensor.clone());
        self.constants.push(tensor);
        Some(name)
    }

    /// The result's scale and zero point, then for each part itself and its own.
    fn concat(&mut self, node: &NodeProto) -> bool {
        let [scale, zero, parts @ ..] = &node.input[..] else { return false };
        if parts.is_empty() || !parts.len().is_multiple_of(3) {
            return false;
        }
        let parts: Vec<String> =
            parts.chunks_exact(3).map(|p| self.dequantise(node, &p[0], &p[1], &p[2], None)).collect();
        self.finish(node, "Concat", parts, (scale.clone(), zero.clone()))
    }

    /// An operator that moves bytes of one scale.
    fn moves(&mut self, node: &NodeProto) -> bool {
        let linear = || node.attribute.iter().any(|a| a.name == "mode" && a.s != b"nearest");
        if node.op_type == "Resize" && linear() || node.output.iter().filter(|o| !o.is_empty()).count() != 1 {
            return false;
        }
        let count = if node.op_type == "Concat" { node.input.len() } else { 1 };
        let scales: Vec<Quant> = node.input.iter().take(count).map_while(|i| self.scales.get(i).cloned()).collect();
        let Some(scale) = scales.first().cloned() else { return false };
        if scales.len() != count || scales.iter().any(|s| *s != scale) {
            return false;
        }
        let mut input = node.input.clone();
        for bytes in input.iter_mut().take(count) {
            *bytes = self.dequantise(node, &bytes.clone(), &scale.0, &scale.1, None);
        }
        self.finish(node, &node.op_type, input, scale)
    }
}

/// Every name that a graph uses.
pub(super) fn names(graph: &GraphProto) -> HashSet<String> {
    let wired = graph.node.iter().flat_map(|n| n.output.iter().chain(&n.input));
    let outer = graph.initializer.iter().map(|i| &i.name).chain(graph.input.iter().map(|i| &i.name));
    wired.chain(outer).cloned().collect()
}

fn channels_last(node: &NodeProto) -> bool {
    node.attribute.iter().any(|a| a.name == "channels_last" && a.i != 0)
}

/// A node's name, or the name of what it produces where it has none.
pub(super) fn label(node: &NodeProto) -> String {
    if node.name.is_empty() { node.output.first().cloned().unwrap_or_default() } else { node.name.clone() }
}
