//! A graph under construction.

use std::collections::BTreeMap;

use jidoka_engine::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType,
    tensor_shape_proto, type_proto,
};

/// The operator set that is written; what the zoo's backbones use too.
const OPSET: i64 = 13;
/// The file format version that belongs to it.
const IR_VERSION: i64 = 8;

/// Nodes, constants, inputs and outputs, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

impl Builder {
    /// Begins with the nodes, constants and inputs of another graph, without its outputs.
    pub fn from_graph(graph: &GraphProto) -> Builder {
        Builder {
            nodes: graph.node.clone(),
            constants: graph.initializer.clone(),
            inputs: graph.input.clone(),
            outputs: Vec::new(),
        }
    }

    /// Declares an f32 input.
    pub fn input(&mut self, name: &str, shape: &[usize]) {
        self.inputs.push(value_info(name, shape));
    }

    /// Declares a node's result an f32 output.
    pub fn output(&mut self, name: &str, shape: &[usize]) {
        self.outputs.push(value_info(name, shape));
    }

    /// Adds f32 constants; returns their name.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(name, shape, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds i64 constants (shapes and axes); returns their name.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Int64, raw)
    }

    /// Adds i32 constants (quantised biases); returns their name.
    pub fn words(&mut self, name: &str, shape: &[usize], values: &[i32]) -> String {
        self.constant(name, shape, DataType::Int32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Adds i8 constants; returns their name.
    pub fn bytes(&mut self, name: &str, shape: &[usize], values: &[i8]) -> String {
        self.constant(name, shape, DataType::Int8, values.iter().map(|v| v.cast_unsigned()).collect())
    }

    /// Adds u8 constants (zero points of activations); returns their name.
    pub fn unsigned(&mut self, name: &str, shape: &[usize], values: &[u8]) -> String {
        self.constant(name, shape, DataType::Uint8, values.to_vec())
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: DataType, raw_data: Vec<u8>) -> String {
        let size = match data_type {
            DataType::Int64 => 8,
            DataType::Float | DataType::Int32 => 4,
            _ => 1,
        };
        debug_assert_eq!(shape.iter().product::<usize>() * size, raw_data.len(), "{name}");
        self.constants.push(TensorProto {
            name: name.to_owned(),
            dims: dims(shape),
            data_type: data_type as i32,
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Rounds to multiples of `step` from -128 to 127 of them, through i8.
    pub fn round(&mut self, source: &str, out: &str, step: f32) -> String {
        let scale = self.floats(&format!("{out}.step"), &[], &[step]);
        let zero = self.bytes(&format!("{out}.zero"), &[], &[0]);
        let bytes = self.node("QuantizeLinear", &[source, &scale, &zero], &format!("{out}.bytes"), &[]);
        self.node("DequantizeLinear", &[&bytes, &scale, &zero], out, &[])
    }

    /// Adds a node whose one result is `out`; returns `out`.
    pub fn node(&mut self, op: &str, inputs: &[&str], out: &str, attributes: &[(&str, Attribute<'_>)]) -> String {
        self.nodes.push(NodeProto {
            op_type: op.to_owned(),
            name: out.to_owned(),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![out.to_owned()],
            attribute: attributes.iter().map(|(name, value)| value.message(name)).collect(),
            ..NodeProto::default()
        });
        out.to_owned()
    }

    /// A 1x1 convolution from `c_in` channels with `weights` `[bias.len(), c_in]`.
    pub fn pointwise(&mut self, source: &str, out: &str, c_in: usize, weights: &[f32], bias: &[f32]) -> String {
        let w = self.floats(&format!("{out}.weight"), &[bias.len(), c_in, 1, 1], weights);
        let b = self.floats(&format!("{out}.bias"), &[bias.len()], bias);
        self.node("Conv", &[source, &w, &b], out, &[("kernel_shape", Attribute::Ints(&[1, 1]))])
    }

    /// Bilinear resize to the spatial size of `shape` (`[1,C,H,W]`), pixel centres at halves.
    pub fn resize(&mut self, source: &str, out: &str, shape: &[usize]) -> String {
        let sizes = self.integers(&format!("{out}.sizes"), &dims(shape));
        let attributes =
            [("mode", Attribute::Text("linear")), ("coordinate_transformation_mode", Attribute::Text("half_pixel"))];
        self.node("Resize", &[source, "", "", &sizes], out, &attributes)
    }

    /// The finished model with these `metadata_props`.
    pub fn finish(self, name: &str, metadata: &BTreeMap<String, String>) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "jidoka".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(GraphProto {
                name: name.to_owned(),
                node: self.nodes,
                initializer: self.constants,
                input: self.inputs,
                output: self.outputs,
                ..GraphProto::default()
            }),
            metadata_props: metadata
                .iter()
                .map(|(key, value)| StringStringEntryProto { key: key.clone(), value: value.clone() })
                .collect(),
            ..ModelProto::default()
        }
    }
}

/// The value of a node's attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attribute<'a> {
    /// One integer.
    Int(i64),
    /// Several.
    Ints(&'a [i64]),
    /// A word.
    Text(&'a str),
}

impl Attribute<'_> {
    fn message(&self, name: &str) -> AttributeProto {
        let mut message = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
        match self {
            Attribute::Int(value) => {
                message.r#type = AttributeType::Int as i32;
                message.i = *value;
            }
            Attribute::Ints(values) => {
                message.r#type = AttributeType::Ints as i32;
                message.ints = values.to_vec();
            }
            Attribute::Text(value) => {
                message.r#type = AttributeType::String as i32;
                message.s = value.as_bytes().to_vec();
            }
        }
        message
    }
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&d| d as i64).collect()
}

/// An f32 tensor's name and shape, as graphs declare it.
fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&d| tensor_shape_proto::Dimension {
            denotation: String::new(),
            value: Some(tensor_shape_proto::dimension::Value::DimValue(d as i64)),
        })
        .collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
