//! The student of a teacher-student model: its shape, its weights, and how the program that trains it is spoken to.
//!
//! The teacher is a frozen backbone. The student begins with the teacher's stem, which one graph computes once, goes its own way
//! with depthwise-separable convolutions and predicts both taps. It learns from good parts alone; where it fails, something is
//! there that good parts do not have (Bergmann et al. 2020, "Uninformed Students"). It is the student `s` of
//! `scripts/train/teacher_student`: 68 thousand weights and 30 million multiply-accumulates at 256x256 on `edge-s`.
//!
//! ```text
//! stem [C,H/2,W/2] ─► to8: 32 s2 ─► 64 s2 ─► 64 ─► 64 ─┬─► head8   tap8  [C8,H/8,W/8]
//!                                                       └─► to16: 128 s2 ─► 128 ─► 128 ─► head16   tap16 [C16,H/16,W/16]
//! ```
//!
//! Each number stands for a 3x3 depthwise and a 1x1 convolution to so many channels, both with ReLU; the heads are 1x1 without.

pub mod disturb;
mod process;
pub mod protocol;

pub(crate) use process::{Call, train};

use jidoka_engine::onnx;

use crate::graph::Student;

/// Output channels and stride of each separable convolution from the stem to the grid of `tap8`.
const TO8: [(usize, usize); 4] = [(32, 2), (64, 2), (64, 1), (64, 1)];
/// The same from there to the grid of `tap16`.
const TO16: [(usize, usize); 3] = [(128, 2), (128, 1), (128, 1)];

/// What a convolution of the student is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Its name in the graph.
    pub name: String,
    /// Channels in.
    pub c_in: usize,
    /// Channels out.
    pub c_out: usize,
    /// 3x3 and one filter a channel, with padding for "same" size; 1x1 over all channels otherwise.
    pub depthwise: bool,
    /// Pixels from one output to the next, 1 or 2.
    pub stride: usize,
    /// Whether ReLU follows.
    pub relu: bool,
}

impl Conv {
    /// How many weights it has, without the bias of each output channel.
    pub fn weights(&self) -> usize {
        if self.depthwise { 9 * self.c_out } else { self.c_in * self.c_out }
    }

    /// Rows or columns of padding before and after: with a stride of 2 only after, as TensorFlow's "SAME" on even sizes, so that the
    /// student's grid lies on the teacher's.
    pub fn padding(&self) -> [usize; 2] {
        match (self.depthwise, self.stride) {
            (false, _) => [0, 0],
            (true, 2) => [0, 1],
            (true, _) => [1, 1],
        }
    }
}

/// The convolutions of a student, in the order of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// From the stem to the grid of `tap8`: depthwise and 1x1 in turn.
    pub to8: Vec<Conv>,
    /// From there to the grid of `tap16`.
    pub to16: Vec<Conv>,
    /// The predictions of both taps, 1x1.
    pub heads: [Conv; 2],
}

impl Plan {
    /// For a teacher whose stem has `stem` channels and whose taps have `taps`.
    pub fn new(stem: usize, taps: [usize; 2]) -> Plan {
        let (to8, c8) = chain("to8", stem, &TO8);
        let (to16, c16) = chain("to16", c8, &TO16);
        let head = |name: &str, c_in, c_out| Conv {
            name: format!("student.{name}"),
            c_in,
            c_out,
            depthwise: false,
            stride: 1,
            relu: false,
        };
        Plan { to8, to16, heads: [head("head8", c8, taps[0]), head("head16", c16, taps[1])] }
    }

    /// Every convolution: `to8`, `to16`, then the heads. Weights travel in this order.
    pub fn convs(&self) -> impl Iterator<Item = &Conv> {
        self.to8.iter().chain(&self.to16).chain(&self.heads)
    }

    /// Weights and biases in all.
    pub fn parameters(&self) -> usize {
        self.convs().map(|c| c.weights() + c.c_out).sum()
    }
}

fn chain(part: &str, mut c_in: usize, blocks: &[(usize, usize)]) -> (Vec<Conv>, usize) {
    let mut convs = Vec::new();
    for (i, &(c_out, stride)) in blocks.iter().enumerate() {
        let name = |role: &str| format!("student.{part}.{i}.{role}");
        convs.push(Conv { name: name("depthwise"), c_in, c_out: c_in, depthwise: true, stride, relu: true });
        convs.push(Conv { name: name("pointwise"), c_in, c_out, depthwise: false, stride: 1, relu: true });
        c_in = c_out;
    }
    (convs, c_in)
}

/// The numbers of one convolution, batch norm folded in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// `[c_out, c_in]`, or `[c_out, 3, 3]` of a depthwise one.
    pub weight: Vec<f32>,
    /// `[c_out]`.
    pub bias: Vec<f32>,
}

/// A trained student.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Its convolutions.
    pub plan: Plan,
    /// Their numbers, in the order of [`Plan::convs`]. The heads predict the taps themselves.
    pub filters: Vec<Filter>,
}

impl Weights {
    /// All numbers as bytes: f32, little-endian, of each convolution the weights and then the bias.
    pub fn to_bytes(&self) -> Vec<u8> {
        let all = self.filters.iter().flat_map(|f| f.weight.iter().chain(&f.bias));
        all.flat_map(|v| v.to_le_bytes()).collect()
    }

    /// The student alone as ONNX, as it will be in a model: `stem` `[1,C,H/2,W/2]` to both predictions, for images of `size` (width,
    /// height) in pixels. With it the trainer proves that what it trained is what will run.
    pub fn to_onnx(&self, size: (usize, usize)) -> Vec<u8> {
        let graph = Student { weights: self, ranges: None }.alone(size);
        onnx::encode(&graph.finish("student", &Default::default()))
    }

    /// The numbers back from bytes; none where they are too many or too few, or not finite.
    pub fn from_bytes(plan: Plan, bytes: &[u8]) -> Option<Weights> {
        if bytes.len() != plan.parameters() * size_of::<f32>() {
            return None;
        }
        let mut numbers = bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b));
        let mut take = |count: usize| -> Vec<f32> { numbers.by_ref().take(count).collect() };
        let filters: Vec<Filter> =
            plan.convs().map(|c| Filter { weight: take(c.weights()), bias: take(c.c_out) }).collect();
        let finite = filters.iter().all(|f| f.weight.iter().chain(&f.bias).all(|v| v.is_finite()));
        finite.then_some(Weights { plan, filters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiply-accumulates for an image of `width` x `height` pixels, the stem not among them.
    fn macs(plan: &Plan, (width, height): (usize, usize)) -> usize {
        let mut stride = 2;
        let mut total = 0;
        for conv in plan.to8.iter().chain(&plan.to16) {
            stride *= conv.stride;
            total += conv.weights() * (width / stride) * (height / stride);
        }
        for (head, stride) in plan.heads.iter().zip([8, 16]) {
            total += head.weights() * (width / stride) * (height / stride);
        }
        total
    }

    #[test]
    fn the_student_costs_what_it_says() {
        // What `scripts/train/teacher_student` counts for its student `s` on edge-s.
        let plan = Plan::new(16, [32, 64]);
        assert_eq!((plan.parameters(), macs(&plan, (256, 256))), (67_616, 30_064_640));
    }

    #[test]
    fn weights_come_back_from_their_bytes() {
        let plan = Plan::new(4, [3, 5]);
        let filters = plan.convs().map(|c| Filter { weight: vec![0.5; c.weights()], bias: vec![-1.0; c.c_out] });
        let weights = Weights { filters: filters.collect(), plan: plan.clone() };
        let bytes = weights.to_bytes();
        assert_eq!(Weights::from_bytes(plan.clone(), &bytes), Some(weights));
        assert_eq!(Weights::from_bytes(plan.clone(), &bytes[4..]), None, "a number is missing");
        let broken = [&f32::NAN.to_le_bytes(), &bytes[4..]].concat();
        assert_eq!(Weights::from_bytes(plan, &broken), None, "a weight is no number");
    }
}
