//! Building ONNX graphs in code, and running them both here and by tract.

#![allow(dead_code)] // each test uses a part

use jidoka_engine::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, encode, tensor_shape_proto, type_proto,
};
use jidoka_engine::{Model, Options, Session};
use tract_onnx::prelude::{Framework, InferenceModelExt, Tensor, tvec};

/// A small generator (splitmix64), so that a seed gives the same graph everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0
    }

    pub fn floats(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.unit() * scale).collect()
    }
}

/// A graph under construction.
pub struct Net {
    pub graph: GraphProto,
    pub random: Random,
    count: usize,
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto { name: name.into(), r#type: kind, ints: values.to_vec(), ..Default::default() }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f: value, ..Default::default() }
}

pub fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s: value.into(), ..Default::default() }
}

fn info(name: &str, shape: &[usize], elem_type: i32) -> ValueInfoProto {
    let dim = shape.iter().map(|d| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(*d as i64)),
        ..Default::default()
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor = type_proto::Tensor { elem_type, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() });
    ValueInfoProto { name: name.into(), r#type, ..Default::default() }
}

impl Net {
    pub fn new(seed: u64, input: &[usize]) -> Net {
        let mut graph = GraphProto { name: "net".into(), ..Default::default() };
        graph.input.push(info("image", input, 1));
        Net { graph, random: Random(seed), count: 0 }
    }

    /// As `new`, for an input of bytes.
    pub fn of_bytes(seed: u64, input: &[usize]) -> Net {
        let mut net = Net::new(seed, input);
        net.graph.input[0] = info("image", input, 2);
        net
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    pub fn constant(&mut self, dims: &[usize], values: &[f32]) -> String {
        let name = self.fresh("c");
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let dims = dims.iter().map(|d| *d as i64).collect();
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims,
            data_type: 1,
            raw_data,
            ..Default::default()
        });
        name
    }

    pub fn constant_i64(&mut self, values: &[i64]) -> String {
        let name = self.fresh("i");
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let dims = vec![values.len() as i64];
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims,
            data_type: 7,
            raw_data,
            ..Default::default()
        });
        name
    }

    pub fn constant_bytes(&mut self, dims: &[usize], values: &[u8], signed: bool) -> String {
        let name = self.fresh("b");
        let dims = dims.iter().map(|d| *d as i64).collect();
        let raw_data = values.to_vec();
        let data_type = if signed { 3 } else { 2 };
        let tensor = TensorProto { name: name.clone(), dims, data_type, raw_data, ..Default::default() };
        self.graph.initializer.push(tensor);
        name
    }

    /// Quantises to bytes and back, as QDQ exports do everywhere.
    pub fn qdq(&mut self, x: &str, scale: f32, zero: u8, signed: bool) -> String {
        let scale = self.constant(&[], &[scale]);
        let zero = self.constant_bytes(&[], &[zero], signed);
        let bytes = self.node("QuantizeLinear", &[x, &scale, &zero], vec![]);
        self.node("DequantizeLinear", &[&bytes, &scale, &zero], vec![])
    }

    /// A convolution whose weights are bytes with a step for each channel.
    #[allow(clippy::too_many_arguments)] // as many as a convolution has
    pub fn conv_bytes(
        &mut self,
        x: &str,
        ci: usize,
        co: usize,
        k: usize,
        stride: usize,
        pad: usize,
        group: usize,
    ) -> String {
        let count = co * ci / group * k * k;
        let bytes: Vec<u8> =
            (0..count).map(|i| if i % 29 == 0 { 127 } else { (self.random.below(255) as i32 - 127) as u8 }).collect();
        let fan = (ci / group * k * k) as f32;
        let steps: Vec<f32> = (0..co).map(|_| (self.random.unit() * 0.3 + 1.0) / fan.sqrt() / 127.0).collect();
        let weights = self.constant_bytes(&[co, ci / group, k, k], &bytes, true);
        let (steps, zeros) = (self.constant(&[co], &steps), self.constant_bytes(&[co], &vec![0; co], true));
        let weights = self.node("DequantizeLinear", &[&weights, &steps, &zeros], vec![int("axis", 0)]);
        let bias = self.noise(&[co], 0.1);
        let attributes = vec![
            ints("kernel_shape", &[k as i64; 2]),
            ints("strides", &[stride as i64; 2]),
            ints("pads", &[pad as i64; 4]),
            int("group", group as i64),
        ];
        self.node("Conv", &[x, &weights, &bias], attributes)
    }

    pub fn noise(&mut self, dims: &[usize], scale: f32) -> String {
        let values = self.random.floats(dims.iter().product(), scale);
        self.constant(dims, &values)
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let output = self.fresh(&op.to_lowercase());
        self.graph.node.push(NodeProto {
            name: format!("{output}_node"),
            op_type: op.into(),
            input: inputs.iter().map(|i| (*i).to_string()).collect(),
            output: vec![output.clone()],
            attribute,
            ..Default::default()
        });
        output
    }

    /// A convolution with random weights of the usual size.
    #[allow(clippy::too_many_arguments)] // as many as a convolution has
    pub fn conv(
        &mut self,
        x: &str,
        ci: usize,
        co: usize,
        k: [usize; 2],
        stride: usize,
        pads: [usize; 4],
        group: usize,
    ) -> String {
        self.conv_dilated(x, ci, co, k, stride, pads, group, 1)
    }

    #[allow(clippy::too_many_arguments)] // as many as a convolution has
    pub fn conv_dilated(
        &mut self,
        x: &str,
        ci: usize,
        co: usize,
        k: [usize; 2],
        stride: usize,
        pads: [usize; 4],
        group: usize,
        dilation: usize,
    ) -> String {
        let fan = (ci / group * k[0] * k[1]) as f32;
        let weights = self.noise(&[co, ci / group, k[0], k[1]], (6.0 / fan).sqrt());
        let bias = self.noise(&[co], 0.1);
        let attributes = vec![
            ints("kernel_shape", &[k[0] as i64, k[1] as i64]),
            ints("strides", &[stride as i64; 2]),
            ints("dilations", &[dilation as i64; 2]),
            ints("pads", &pads.map(|p| p as i64)),
            int("group", group as i64),
        ];
        self.node("Conv", &[x, &weights, &bias], attributes)
    }

    pub fn relu6(&mut self, x: &str) -> String {
        let (low, high) = (self.constant(&[], &[0.0]), self.constant(&[], &[6.0]));
        self.node("Clip", &[x, &low, &high], vec![])
    }

    pub fn output(&mut self, name: &str) {
        let mut info = info(name, &[], 1);
        info.r#type = Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type: 1, shape: None })),
            ..Default::default()
        });
        self.graph.output.push(info);
    }

    pub fn model(self) -> ModelProto {
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
        ModelProto { ir_version: 8, opset_import, graph: Some(self.graph), ..Default::default() }
    }
}

/// Runs a model with one `f32` input here.
pub fn ours(proto: &ModelProto, input: &[f32], options: &Options) -> (Session, Vec<Vec<f32>>) {
    let model = Model::from_bytes("test", &encode(proto)).expect("the model reads");
    let mut session = Session::new(&model, options).expect("the model plans");
    session.input_f32().expect("an f32 input").copy_from_slice(input);
    session.run().expect("the model runs");
    let outputs = (0..session.outputs().len()).map(|i| session.output(i).as_f32().expect("f32 output").to_vec());
    let outputs = outputs.collect();
    (session, outputs)
}

/// Runs a model with one `f32` input by tract.
pub fn tracts(proto: &ModelProto, shape: &[usize], input: &[f32]) -> Vec<Vec<f32>> {
    let model = tract_onnx::onnx().model_for_proto_model(proto).unwrap().into_optimized().unwrap();
    let plan = tract_core::plan::SimplePlan::new(model).unwrap();
    let outputs = plan.run(tvec!(Tensor::from_shape(shape, input).unwrap().into())).unwrap();
    outputs.iter().map(|o| o.as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()).collect()
}

/// The greatest difference, relative to the greatest value of the expected output.
pub fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0.0f32, |worst, (g, w)| {
        let apart = if g.is_nan() != w.is_nan() { f32::INFINITY } else { (g - w).abs() };
        worst.max(apart / scale)
    })
}

/// Ours agrees with tract's to 1e-4 relative on every output; returns the session.
pub fn check(label: &str, proto: &ModelProto, shape: &[usize], seed: u64) -> Session {
    let input = Random(seed ^ 0xfeed).floats(shape.iter().product(), 1.0);
    let want = tracts(proto, shape, &input);
    let (session, got) = ours(proto, &input, &Options::default());
    for (index, (g, w)) in got.iter().zip(&want).enumerate() {
        let apart = difference(g, w);
        assert!(apart <= 1e-4, "{label} (seed {seed}): output {index} is {apart} apart");
    }
    session
}
