//! The student in a graph, and the score: where it predicts otherwise than the teacher.
//!
//! ```text
//! difference = Sub(tap, prediction)                    [1,C,h,w]   the bias of the prediction has b in it
//! squared    = Mul(difference, difference)
//! sum        = Conv1x1(squared), weights w             [1,1,h,w]   sum over c of w_c (t - s - b_c)^2
//! distances  = Add(sum of tap8, Resize(sum of tap16))  [1,1,H/8,W/8]
//! ```
//!
//! b and w are the mean and about one over the variance of what is left between teacher and student on good parts. In an int8 model
//! they are measured through the int8 graph itself, so that a shift that rounding brings is taken out again and a channel that it makes
//! noisy counts less.
//!
//! In int8 the weights are s8, one scale an output channel, activations u8 with one scale and zero point 0 (they come out of ReLU,
//! which the rounding to u8 then is), biases s32. The first separable convolution and the heads stay f32: the first for the same reason
//! as the first layers of the backbone (`scripts/train/quantize.py`), the heads because their result is subtracted from the taps
//! and what is left is small beside either.

use super::builder::Attribute;
use super::{Backbone, Builder, Grid, cues};
use crate::student::{Conv, Filter, Weights};

/// Convolutions of `to8` that stay f32: the first depthwise and 1x1.
const FLOAT: usize = 2;

/// A student that can be put into a graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Student<'a> {
    pub weights: &'a Weights,
    /// In int8: the greatest activation of each quantised value, as [`Student::quantised`] names them.
    pub ranges: Option<&'a [f32]>,
}

/// What is left between teacher and student on good parts, for each channel of both taps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Residual {
    /// Its mean b.
    pub bias: [Vec<f32>; 2],
    /// The weight w of its square.
    pub weight: [Vec<f32>; 2],
}

impl Student<'_> {
    /// The values that are rounded to u8 in an int8 model, with their shapes for images of `size` (width, height).
    pub fn quantised(&self, (width, height): (usize, usize)) -> Vec<(String, [usize; 4])> {
        let mut stride = 2;
        let mut values = Vec::new();
        for conv in self.chain() {
            stride *= conv.stride;
            values.push((conv.name.clone(), [1, conv.c_out, height / stride, width / stride]));
        }
        values.split_off(FLOAT - 1)
    }

    fn chain(&self) -> impl Iterator<Item = &Conv> {
        self.weights.plan.to8.iter().chain(&self.weights.plan.to16)
    }

    /// Adds the student to a graph that has the backbone. Gives the predictions of both taps; `bias`, where there is one, is added to
    /// them.
    pub fn predict(&self, graph: &mut Builder, stem: &str, bias: Option<&[Vec<f32>; 2]>) -> [String; 2] {
        let plan = &self.weights.plan;
        let mut at = stem.to_owned();
        let mut scale_in = 0.0;
        let mut trunk8 = String::new();
        for (i, (conv, filter)) in self.chain().zip(&self.weights.filters).enumerate() {
            let range = self.ranges.and_then(|ranges| ranges.get((i + 1).checked_sub(FLOAT)?)).copied();
            let scale_out = range.map(|range| (range / 255.0).max(f32::MIN_POSITIVE));
            at = match scale_out.filter(|_| i >= FLOAT) {
                Some(_) => int8_conv(graph, conv, filter, &at, scale_in),
                None => float_conv(graph, conv, filter, &at),
            };
            if let Some(scale) = scale_out {
                at = round(graph, &at, &conv.name, scale);
                scale_in = scale;
            }
            if i + 1 == plan.to8.len() {
                trunk8.clone_from(&at);
            }
        }
        let heads = &self.weights.filters[plan.to8.len() + plan.to16.len()..];
        std::array::from_fn(|k| {
            let mut filter = heads[k].clone();
            let more = bias.iter().flat_map(|bias| &bias[k]);
            filter.bias.iter_mut().zip(more).for_each(|(bias, more)| *bias += more);
            float_conv(graph, &plan.heads[k], &filter, if k == 0 { &trunk8 } else { &at })
        })
    }

    /// The student alone, f32: from `stem` `[1,C,H/2,W/2]` to its predictions of both taps, for images of `size` (width, height).
    pub fn alone(&self, (width, height): (usize, usize)) -> Builder {
        let mut graph = Builder::default();
        let plan = &self.weights.plan;
        graph.input("stem", &[1, plan.to8[0].c_in, height / 2, width / 2]);
        self.predict(&mut graph, "stem", None);
        for (head, stride) in plan.heads.iter().zip([8, 16]) {
            graph.output(&head.name, &[1, head.c_out, height / stride, width / stride]);
        }
        graph
    }

    /// Teacher and student, with their differences in both taps as outputs.
    pub fn differences(&self, backbone: &Backbone, stem: &str) -> Builder {
        let mut graph = backbone.begin();
        let predicted = self.predict(&mut graph, stem, None);
        for (k, name) in predicted.iter().enumerate() {
            let out = subtract(&mut graph, k, name);
            graph.output(&out, &backbone.tap_shape(k));
        }
        graph
    }

    /// The whole model, with its outputs.
    pub fn whole(&self, backbone: &Backbone, stem: &str, residual: &Residual, cues: Option<&cues::Cues>) -> Builder {
        let mut graph = backbone.begin();
        let predicted = self.predict(&mut graph, stem, Some(&residual.bias));
        let sums: [String; 2] = std::array::from_fn(|k| {
            let difference = subtract(&mut graph, k, &predicted[k]);
            let squared = graph.node("Mul", &[&difference, &difference], &format!("residual{k}.squared"), &[]);
            let channels = backbone.channels[k];
            graph.pointwise(&squared, &format!("residual{k}.sum"), channels, &residual.weight[k], &[0.0])
        });
        let (width, height) = backbone.grid();
        let coarse = graph.resize(&sums[1], "residual1.upsampled", &[1, 1, height, width]);
        let distances = graph.node("Add", &[&sums[0], &coarse], "distances", &[]);
        cues::statistics(&mut graph);
        let grid = Grid { width, height, depth: 1, map: backbone.size, step: None };
        super::heads::conclude(&mut graph, grid, &distances, cues);
        graph
    }
}

fn subtract(graph: &mut Builder, k: usize, prediction: &str) -> String {
    graph.node("Sub", &[super::backbone::TAPS[k], prediction], &format!("residual{k}.difference"), &[])
}

fn float_conv(graph: &mut Builder, conv: &Conv, filter: &Filter, source: &str) -> String {
    let weight = graph.floats(&format!("{}.weight", conv.name), &weight_shape(conv), &filter.weight);
    let bias = graph.floats(&format!("{}.bias", conv.name), &[conv.c_out], &filter.bias);
    if !conv.relu {
        return convolve(graph, conv, [source, &weight, &bias], &conv.name);
    }
    let raw = convolve(graph, conv, [source, &weight, &bias], &format!("{}.raw", conv.name));
    graph.node("Relu", &[&raw], &conv.name, &[])
}

/// A convolution of bytes, whose ReLU is the rounding that follows.
fn int8_conv(graph: &mut Builder, conv: &Conv, filter: &Filter, source: &str, scale_in: f32) -> String {
    let name = &conv.name;
    let per_channel = filter.weight.len() / conv.c_out;
    let mut weights = Vec::with_capacity(filter.weight.len());
    let (mut scales, mut bias_scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
    for (row, &bias) in filter.weight.chunks_exact(per_channel).zip(&filter.bias) {
        let largest = row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        // A channel of tiny weights must still be able to hold its bias in 31 bits.
        let scale = (largest / 127.0).max(bias.abs() / (scale_in * (1u32 << 30) as f32)).max(f32::MIN_POSITIVE);
        weights.extend(row.iter().map(|w| (w / scale).round().clamp(-127.0, 127.0) as i8));
        scales.push(scale);
        bias_scales.push(scale * scale_in);
        biases.push((f64::from(bias) / f64::from(scale * scale_in)).round() as i32);
    }
    let channels = [conv.c_out];
    let axis = [("axis", Attribute::Int(0))];
    let bytes = graph.bytes(&format!("{name}.w.q"), &weight_shape(conv), &weights);
    let scale = graph.floats(&format!("{name}.w.s"), &channels, &scales);
    let zero = graph.bytes(&format!("{name}.w.z"), &channels, &vec![0; conv.c_out]);
    let weight = graph.node("DequantizeLinear", &[&bytes, &scale, &zero], &format!("{name}.w.d"), &axis);
    let words = graph.words(&format!("{name}.b.q"), &channels, &biases);
    let scale = graph.floats(&format!("{name}.b.s"), &channels, &bias_scales);
    let zero = graph.words(&format!("{name}.b.z"), &channels, &vec![0; conv.c_out]);
    let bias = graph.node("DequantizeLinear", &[&words, &scale, &zero], &format!("{name}.b.d"), &axis);
    convolve(graph, conv, [source, &weight, &bias], name)
}

/// Rounds to u8 and back; what is below 0 becomes 0.
fn round(graph: &mut Builder, source: &str, name: &str, scale: f32) -> String {
    let scale = graph.floats(&format!("{name}.s"), &[], &[scale]);
    let zero = graph.unsigned(&format!("{name}.z"), &[], &[0]);
    let bytes = graph.node("QuantizeLinear", &[source, &scale, &zero], &format!("{name}.q"), &[]);
    graph.node("DequantizeLinear", &[&bytes, &scale, &zero], &format!("{name}.d"), &[])
}

fn convolve(graph: &mut Builder, conv: &Conv, inputs: [&str; 3], out: &str) -> String {
    let side = if conv.depthwise { 3 } else { 1 };
    let stride = conv.stride as i64;
    let [before, after] = conv.padding().map(|p| p as i64);
    let group = if conv.depthwise { conv.c_out as i64 } else { 1 };
    let attributes = [
        ("group", Attribute::Int(group)),
        ("kernel_shape", Attribute::Ints(&[side, side])),
        ("pads", Attribute::Ints(&[before, before, after, after])),
        ("strides", Attribute::Ints(&[stride, stride])),
    ];
    graph.node("Conv", &inputs, out, &attributes)
}

fn weight_shape(conv: &Conv) -> [usize; 4] {
    if conv.depthwise { [conv.c_out, 1, 3, 3] } else { [conv.c_out, conv.c_in, 1, 1] }
}
