//! From taps to features: local pooling, scaling, projection, one grid.

use super::backbone::{Backbone, TAPS};
use super::builder::Attribute;
use super::{Builder, FEATURES};

/// The linear map from pooled taps to features: per channel centring and 1/sigma, then a projection.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    /// Features a position.
    pub depth: usize,
    /// For each tap `[depth, channels]`, scaling included.
    pub weights: [Vec<f32>; 2],
    /// For each tap `[depth]`, the centring.
    pub bias: [Vec<f32>; 2],
}

/// The backbone with its pooled taps as outputs `pool8` and `pool16`.
pub(crate) fn pooled(backbone: &Backbone) -> Builder {
    let mut graph = backbone.begin();
    for (i, tap) in TAPS.iter().enumerate() {
        let out = format!("pooled{i}");
        pool(&mut graph, tap, &out);
        graph.output(&out, &[1, backbone.channels[i], backbone.grid().1 >> i, backbone.grid().0 >> i]);
    }
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
    /// The backbone with the features as the result [`FEATURES`] (not yet an output).
    pub fn begin(&self, backbone: &Backbone) -> Builder {
        let (width, height) = backbone.grid();
        let mut graph = backbone.begin();
        let mut projected = Vec::new();
        for (i, tap) in TAPS.iter().enumerate() {
            let pooled = pool(&mut graph, tap, &format!("pooled{i}"));
            let out = format!("projected{i}");
            projected.push(graph.pointwise(&pooled, &out, backbone.channels[i], &self.weights[i], &self.bias[i]));
        }
        let deep = graph.resize(&projected[1], "projected1.upsampled", &[1, self.depth, height, width]);
        graph.node("Add", &[&projected[0], &deep], FEATURES, &[]);
        graph
    }
}
