//! Bytes → checked ONNX message → tract's typed, decluttered graph.
//!
//! The checks in [`check`] come first because they can name the node; tract's own refusals are passed on, and a panic inside
//! tract is caught and becomes an error too.

mod axes;
mod branches;
mod check;
mod constants;
mod dequant;
mod qlinear;
mod sizes;

pub(crate) use dequant::Dequantise;

use crate::model::{DType, Model, ReadOptions, TensorInfo};
use crate::{Error, onnx};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use tract_onnx::prelude::{InferenceModelExt, TractResult, TypedModel};

/// Reads `bytes`; `dir` is where external tensor data lies.
pub(crate) fn load(name: &str, bytes: &[u8], dir: Option<&Path>, options: &ReadOptions) -> Result<Model, Error> {
    let mut proto = onnx::decode(name, bytes)?;
    check::check(name, &mut proto, options)?;
    if branches::choose(&mut proto, dir)
        && let Some(graph) = &proto.graph
    {
        check::wiring(name, graph)?;
    }
    let graph = proto.graph.as_ref().map(|g| (g.output.iter().map(|o| o.name.clone()).collect::<Vec<_>>(), g));
    let (output_names, graph) = graph.unwrap_or_else(|| unreachable!("decode refuses a model without a graph"));
    let constant = |n: &str| graph.initializer.iter().any(|i| i.name == n);
    let input_names: Vec<_> = graph.input.iter().filter(|i| !constant(&i.name)).map(|i| i.name.clone()).collect();
    let metadata: BTreeMap<_, _> = proto.metadata_props.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
    let typed = type_graph(name, &proto, dir)?;
    let inputs = infos(name, &typed, &typed.inputs, &input_names)?;
    let outputs = infos(name, &typed, &typed.outputs, &output_names)?;
    Ok(Model { name: name.to_string(), metadata, inputs, outputs, graph: Arc::new(typed) })
}

fn type_graph(name: &str, proto: &onnx::ModelProto, dir: Option<&Path>) -> Result<TypedModel, Error> {
    let work = || -> TractResult<TypedModel> {
        let parser = tract_onnx::onnx().with_ignore_value_info(true);
        let parsed = parser.parse(proto, dir.and_then(Path::to_str))?;
        if let Some(unknown) = parsed.unresolved_inputs.first() {
            return Err(tract_core::internal::anyhow!("the tensor `{unknown}` is produced by no node"));
        }
        let mut typed = parsed.model.into_typed()?;
        sizes::typed(&typed)?;
        dequant::keep(&mut typed);
        axes::declutter(typed)
    };
    let fail = |detail: String| Error::Invalid { model: name.to_string(), place: "graph".into(), detail };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(typed)) => Ok(typed),
        Ok(Err(error)) => Err(fail(shorten(&format!("{error:#}")))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(fail(format!("tract gave up on it: {}", shorten(text))))
        }
    }
}

/// tract's chains quote whole operators; the first lines name the node and the reason.
fn shorten(text: &str) -> String {
    const LIMIT: usize = 600;
    let text = text.split("Stack backtrace").next().unwrap_or(text).trim();
    match text.char_indices().nth(LIMIT) {
        None => text.to_string(),
        Some((at, _)) => format!("{} ...", &text[..at]),
    }
}

fn infos(
    name: &str,
    graph: &TypedModel,
    outlets: &[tract_onnx::prelude::OutletId],
    names: &[String],
) -> Result<Vec<TensorInfo>, Error> {
    let fail = |place: &str, detail: String| Error::Invalid { model: name.into(), place: place.into(), detail };
    let mut found = Vec::with_capacity(names.len());
    for (outlet, tensor) in outlets.iter().zip(names) {
        let fact = graph.outlet_fact(*outlet).map_err(|e| fail(tensor, shorten(&format!("{e:#}"))))?;
        let shape = fact.shape.as_concrete().ok_or_else(|| {
            fail(tensor, format!("its size {:?} depends on the data; a static plan needs every size", fact.shape))
        })?;
        let dtype = DType::from_tract(fact.datum_type)
            .ok_or_else(|| fail(tensor, format!("its element type {:?} is not supported", fact.datum_type)))?;
        found.push(TensorInfo { name: tensor.clone(), shape: shape.to_vec(), dtype });
    }
    Ok(found)
}
