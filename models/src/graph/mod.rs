//! Assembling ONNX graphs: a backbone, the embedding on top of it, and a head that turns features into an anomaly map.
//!
//! Everything that judges is in these graphs; nothing here runs. The operators are of opset 13 and few: Conv,
//! AveragePool, MaxPool, Resize, Add, Sub, Mul, MatMul, Transpose, Reshape, ReduceMin, ReduceSum, ReduceMax, Relu, Sqrt, and in int8
//! models QuantizeLinear and DequantizeLinear.

mod backbone;
mod builder;
mod cues;
mod embedding;
mod heads;
mod student;

pub(crate) use backbone::Backbone;
#[cfg(test)]
pub(crate) use builder::Attribute;
pub(crate) use builder::Builder;
pub(crate) use cues::{CUES, Cues};
pub(crate) use embedding::{Embedding, pooled};
pub(crate) use heads::{Gaussian, Grid, Head};
pub(crate) use student::{Residual, Student};

/// Input of the whole model.
pub(crate) const IMAGE: &str = "image";
/// Output of the embedding and input of a head alone: f32 `[1,D,h,w]`.
pub(crate) const FEATURES: &str = "features";
/// Output of the embedding and input of a head alone: f32 `[1,CUES,h,w]`, see [`cues`].
pub(crate) const STATISTICS: &str = "statistics";

use jidoka_engine::{Model, Session};

use crate::Error;

/// A session for a graph that was assembled here.
pub(crate) fn session(graph: Builder, name: &str, threads: usize) -> Result<Session, Error> {
    let bytes = jidoka_engine::onnx::encode(&graph.finish(name, &std::collections::BTreeMap::new()));
    let options = jidoka_engine::Options { threads, ..jidoka_engine::Options::default() };
    Ok(Session::new(&Model::from_bytes(name, &bytes)?, &options)?)
}
