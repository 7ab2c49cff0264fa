//! Low-level cues: what a single pixel says, which deep features average away.
//!
//! For each cell of the feature grid eight *statistics* of the picture are computed by ordinary nodes: the brightest and the
//! darkest grey value, how far each lies from the cell's mean, and the mean's colour differences both ways. Where one of them
//! goes beyond what good parts show anywhere, the *excess* is added to the anomaly map; below that the map is what the head
//! makes of the deep features, so a cue that says nothing changes nothing.
//!
//! ```text
//! grey   = Conv1x1(image)                    [1,2,H,W]   grey value and its negative
//! peaks  = MaxPool 8x8 (grey)                [1,2,h,w]
//! means  = AveragePool 8x8 (image)           [1,3,h,w]
//! statistics = Conv1x1(peaks) + Conv1x1(means)           [1,8,h,w]
//! excess = Conv1x1(Relu(Conv1x1(statistics)))            [1,1,h,w]   gain * max(statistic - limit, 0), summed
//! ```

use super::builder::Attribute;
use super::{Builder, IMAGE, STATISTICS};

/// How many statistics a cell has.
pub(crate) const CUES: usize = 8;
/// Pixels of a cell, each way: the stride of `tap8`.
const CELL: i64 = 8;
/// ITU-R BT.601 luma of red, green, blue.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Beyond which value of each statistic, and by how much, a cell is odd.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cues {
    /// The largest value that good parts show.
    pub limit: [f32; CUES],
    /// What one unit beyond it adds to the map.
    pub gain: [f32; CUES],
}

/// Adds the statistics of the image as [`STATISTICS`] (not yet an output).
pub(crate) fn statistics(graph: &mut Builder) {
    let grey: Vec<f32> = LUMA.iter().copied().chain(LUMA.map(|v| -v)).collect();
    let grey = graph.pointwise(IMAGE, "cues.grey", 3, &grey, &[0.0; 2]);
    let window = [("kernel_shape", Attribute::Ints(&[CELL, CELL])), ("strides", Attribute::Ints(&[CELL, CELL]))];
    let peaks = graph.node("MaxPool", &[&grey], "cues.peaks", &window);
    let means = graph.node("AveragePool", &[IMAGE], "cues.means", &window);
    // Columns: grey value, its negative.
    let of_peaks = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0; 2], [0.0; 2], [0.0; 2], [0.0; 2]];
    let [r, g, b] = LUMA;
    let (red, blue) = ([1.0 - r, -g, -b], [-r, -g, 1.0 - b]);
    let of_means = [[0.0; 3], [0.0; 3], LUMA.map(|v| -v), LUMA, red, red.map(|v| -v), blue, blue.map(|v| -v)];
    let of_peaks = graph.pointwise(&peaks, "cues.of_peaks", 2, of_peaks.as_flattened(), &[0.0; CUES]);
    let of_means = graph.pointwise(&means, "cues.of_means", 3, of_means.as_flattened(), &[0.0; CUES]);
    graph.node("Add", &[&of_peaks, &of_means], STATISTICS, &[]);
}

impl Cues {
    /// Adds the excess of [`STATISTICS`] to the map `source`; returns the sum's name.
    pub fn add(&self, graph: &mut Builder, source: &str) -> String {
        let mut diagonal = [0.0; CUES * CUES];
        let mut bias = [0.0; CUES];
        for i in 0..CUES {
            diagonal[i * CUES + i] = self.gain[i];
            bias[i] = -self.gain[i] * self.limit[i];
        }
        let beyond = graph.pointwise(STATISTICS, "cues.beyond", CUES, &diagonal, &bias);
        let positive = graph.node("Relu", &[&beyond], "cues.positive", &[]);
        let excess = graph.pointwise(&positive, "cues.excess", CUES, &[1.0; CUES], &[0.0]);
        graph.node("Add", &[source, &excess], "odd", &[])
    }
}
