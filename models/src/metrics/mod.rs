//! Metrics, exactly defined.
//!
//! * **AUROC**: area under the ROC curve = the probability that a defect scores above a good one, a tie counting half
//!   (Hanley and McNeil 1982; scikit-learn's `roc_auc_score`).
//! * **F1-max**: the greatest F1 over all thresholds `score >= t`, `t` one of the scores.
//! * **AU-PRO(l)**: per-region overlap, the mean over all ground-truth regions (8-connected) of the share of the region
//!   that lies above the threshold, as a function of the share of normal pixels above it, integrated from 0 to `l` by
//!   trapezoids and divided by `l` (Bergmann et al. 2021, "The MVTec Anomaly Detection Dataset", section 5.2). A point
//!   for each distinct value of the maps; the last segment is cut at `l` by linear interpolation.
//! * **IoU**: intersection over union of marked and true defect pixels, over all test images together.
//!
//! Image and pixel level use the same functions over scores or pixels. Held to scikit-learn and scipy to 1e-9 by
//! `tests/metrics.rs`.

mod curve;
mod pixels;
mod ranking;
mod regions;

pub use curve::Curve;
pub use pixels::{PixelCurves, PixelFigures, Pixels};
pub use ranking::{Ranked, auroc, f1_at, f1_max, roc};
pub use regions::label_regions;
