//! From taps to features: local pooling, scaling, projection, one grid.

use super::backbone::{Backbone, TAPS};
use super::builder::Attribute;
use super::{Builder, FEATURES, cues};

/// The linear map from pooled taps to features.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    /// Features a position.
    pub depth: usize,
    /// For each tap `[depth, channels]`, scaling included.
    pub weights: [Vec<f32>; 2],
    /// `[depth]`, the centring.
    pub bias: Vec<f32>,
    /// `[depth, depth]`, orthogonal: its columns are the directions in which features vary most, in order.
    pub axes: Vec<f32>,
    /// In an int8 model features are multiples of this; none leaves them as they are.
    pub step: Option<f32>,
}

/// The backbone with its pooled taps, the deep one enlarged to the grid of the shallow one, as outputs 0 and 1.
pub(crate) fn pooled(backbone: &Backbone) -> Builder {
    let mut graph = backbone.begin();
    let (width, height) = backbone.grid();
    let shape = |i: usize| [1, backbone.channels[i], height, width];
    let shallow = pool(&mut graph, TAPS[0], "pooled0");
    graph.output(&shallow, &shape(0));
    let deep = pool(&mut graph, TAPS[1], "pooled1");
    let deep = graph.resize(&deep, "pooled1.upsampled", &shape(1));
    graph.output(&deep, &shape(1));
    graph
}

/// Mean over 3x3 positions; at the border over those that exist (PatchCore's neighbourhood, Roth et al. 2022).
fn pool(graph: &mut Builder, source: &str, out: &str) -> String {
    let attributes = [
        ("kernel_shape", Attribute::Ints(&[3, 3])),
        ("pads", Attribute::Ints(&[1, 1, 1, 1])),
        ("strides", Attribute::Ints(&[1, 1])),
        ("count_include_pad", Attribute::Int(0)),
    ];
    graph.node("AveragePool", &[source], out, &attributes)
}

impl Embedding {
    /// The backbone with the results [`FEATURES`] and [`super::STATISTICS`] (not yet outputs).
    pub fn begin(&self, backbone: &Backbone) -> Builder {
        let (width, height) = backbone.grid();
        let mut graph = backbone.begin();
        let mut projected = Vec::new();
        let none = vec![0.0; self.depth];
        for (i, (tap, bias)) in TAPS.iter().zip([&self.bias, &none]).enumerate() {
            let pooled = pool(&mut graph, tap, &format!("pooled{i}"));
            let out = format!("projected{i}");
            projected.push(graph.pointwise(&pooled, &out, backbone.channels[i], &self.weights[i], bias));
        }
        // Enlarging after the projection gives what enlarging before it does, and costs less.
        let deep = graph.resize(&projected[1], "projected1.upsampled", &[1, self.depth, height, width]);
        match self.step {
            None => graph.node("Add", &[&projected[0], &deep], FEATURES, &[]),
            Some(step) => {
                let sum = graph.node("Add", &[&projected[0], &deep], "features.real", &[]);
                graph.round(&sum, FEATURES, step)
            }
        };
        cues::statistics(&mut graph);
        graph
    }
}
