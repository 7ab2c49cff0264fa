//! Taking over a model that was made elsewhere: its outputs stay as they are, it gains a threshold, a calibration and a golden
//! check.

use std::path::Path;

use jidoka_engine::onnx::tensor_shape_proto::{Dimension, dimension::Value::DimValue};
use jidoka_engine::onnx::{
    self, GraphProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
    type_proto,
};

use crate::Error;
use crate::contract::{Contract, Input, Method, Provenance};
use crate::inspection::{Check, InspectionModel, LoadOptions};
use crate::preparation::Preparation;
use crate::teach::{self, Parts, calibrate_scores};
use crate::whole;

/// What importing made.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model with its metadata as the bytes of an ONNX file.
    pub onnx: Vec<u8>,
    /// What the file now says about itself.
    pub contract: Contract,
    /// Good parts that were scored.
    pub images: usize,
}

/// How a model is taken over.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Share of good parts that may be rejected: 0.005 is 0.5 %. Above 0, at most 0.5.
    pub false_reject: f64,
    /// The graph expects colours less ImageNet's mean over its standard deviation: that is put into it, since this runtime gives
    /// every model colours from 0 to 1.
    pub imagenet: bool,
    /// Width and height of the input in pixels where the file leaves them open; none for those of its anomaly map.
    pub size: Option<(u32, u32)>,
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        ImportOptions { false_reject: 0.005, imagenet: false, size: None }
    }
}

/// Mean and standard deviation of red, green and blue in ImageNet, as torchvision's models were trained with.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Adds metadata to a model that anomalib or another tool exported.
///
/// `good` are good parts that the model was *not* trained on: they are held out by nature, so their scores give the threshold
/// at the rate asked for. Without them the model keeps the threshold of its own label, if it has one.
///
/// # Errors
/// Where the file is no model of a known shape or not whole, or an image cannot be read or scored, or there are fewer than
/// [`teach::MIN_IMAGES`].
pub fn import(path: &Path, good: Option<&mut dyn Parts>, options: &ImportOptions) -> Result<Imported, Error> {
    teach::check_rate(options.false_reject)?;
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let mut message = onnx::decode(&name, &bytes)?;
    whole::gather(path, &mut message)?;
    if let Some(graph) = &mut message.graph {
        fix_size(graph, options.size);
    }
    // What another program said in our words does not hold for what is written now.
    message.metadata_props.retain(|p| !p.key.starts_with("jidoka."));
    if options.imagenet {
        let graph = message.graph.get_or_insert_default();
        normalise(graph).map_err(|found| Error::WrongInput {
            name: name.clone(),
            input: "of the graph".into(),
            found,
        })?;
    }
    let skip = LoadOptions { golden: Check::Skip, ..LoadOptions::default() };
    let mut model = InspectionModel::from_bytes(&name, &onnx::encode(&message), &skip)?;
    let mut contract = Contract {
        method: Method::Imported,
        input: Some(Input { filter: "triangle".to_owned(), ..model.input().stated() }),
        provenance: Provenance { program: format!("jidoka {}", env!("CARGO_PKG_VERSION")), ..Provenance::default() },
        ..Contract::unknown()
    };
    let mut images = 0;
    if let Some(parts) = good {
        let (scores, pixels) = scores(&mut model, parts)?;
        images = scores.len();
        let (threshold, calibration) = calibrate_scores(&scores, pixels, options.false_reject);
        contract.threshold = Some(threshold);
        contract.calibration = Some(calibration);
        contract.provenance.images = images;
    }
    contract.golden = Some(model.make_golden(0)?);
    let entries = contract.to_metadata().into_iter().map(|(key, value)| StringStringEntryProto { key, value });
    message.metadata_props.extend(entries);
    Ok(Imported { onnx: onnx::encode(&message), contract, images })
}

/// Gives an image `[N,3,H,W]` with open sizes those asked for, or those of the anomaly map where it has some: then the resizing that
/// exporters put into the graph has nothing to do.
fn fix_size(graph: &mut GraphProto, asked: Option<(u32, u32)>) {
    let of_map = || {
        let map = graph.output.iter().find(|output| output.name == "anomaly_map")?;
        let [.., height, width] = dimensions(map)? else { return None };
        Some((known(width)?, known(height)?))
    };
    let Some((width, height)) = asked.map(|(w, h)| (i64::from(w), i64::from(h))).or_else(of_map) else { return };
    let names = images(graph);
    let Some(image) = graph.input.iter_mut().find(|input| names.contains(&input.name)) else { return };
    let shape = image.r#type.as_mut().and_then(|t| match t.value.as_mut()? {
        type_proto::Value::TensorType(tensor) => tensor.shape.as_mut(),
    });
    let Some([_, channels, down, across]) = shape.map(|shape| shape.dim.as_mut_slice()) else { return };
    if known(channels) != Some(3) {
        return;
    }
    for (dimension, size) in [(down, height), (across, width)] {
        if known(dimension).is_none() {
            dimension.value = Some(DimValue(size));
        }
    }
}

/// Names of the graph's inputs that are no constants: old files list those among the inputs too.
fn images(graph: &GraphProto) -> Vec<String> {
    let constant = |name: &str| graph.initializer.iter().any(|c| c.name == name);
    graph.input.iter().map(|input| input.name.clone()).filter(|name| !constant(name)).collect()
}

fn dimensions(info: &ValueInfoProto) -> Option<&[Dimension]> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(&tensor.shape.as_ref()?.dim)
}

fn known(dimension: &Dimension) -> Option<i64> {
    match dimension.value {
        Some(DimValue(size)) if size > 0 => Some(size),
        _ => None,
    }
}

/// Puts `(image - mean) / deviation` before everything that takes the graph's image. Gives what the input is where it is not
/// one of three planes.
fn normalise(graph: &mut GraphProto) -> Result<(), String> {
    let [image] = &images(graph)[..] else { return Err("not the only one".to_owned()) };
    let [mean, deviation] = IMAGENET;
    for node in &mut graph.node {
        node.input.iter_mut().filter(|i| *i == image).for_each(|i| *i = "jidoka.normalised".to_owned());
    }
    let tensor = |name: &str, values: [f32; 3]| TensorProto {
        name: name.to_owned(),
        dims: vec![1, 3, 1, 1],
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    graph.initializer.push(tensor("jidoka.mean", mean));
    graph.initializer.push(tensor("jidoka.deviation", deviation));
    let node = |op: &str, inputs: [&str; 2], out: &str| NodeProto {
        op_type: op.to_owned(),
        name: out.to_owned(),
        input: inputs.map(str::to_owned).to_vec(),
        output: vec![out.to_owned()],
        ..NodeProto::default()
    };
    graph.node.insert(0, node("Sub", [image, "jidoka.mean"], "jidoka.centred"));
    graph.node.insert(1, node("Div", ["jidoka.centred", "jidoka.deviation"], "jidoka.normalised"));
    Ok(())
}

/// Scores every part; also a sample of the pixels of the maps.
fn scores(model: &mut InspectionModel, parts: &mut dyn Parts) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let mut preparation = Preparation::for_model(model, None)?;
    let (mut scores, mut pixels, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..parts.count() {
        let name = parts.name(index);
        let filled = parts.read(index).and_then(|image| preparation.fill(&name, &image, model));
        if let Err(error) = filled {
            skipped.push(error.to_string());
            continue;
        }
        let outcome = model.score().map_err(|error| Error::Run { name: name.clone(), error })?;
        if !outcome.score.is_finite() {
            let found = format!("{name} with {}", outcome.score);
            return Err(Error::Metric { metric: "a threshold", needs: "finite scores of good parts", found });
        }
        scores.push(f64::from(outcome.score));
        // One pixel in 67, a prime, so that no column is favoured.
        pixels.extend(outcome.map.iter().flat_map(|m| m.values.iter().step_by(67)).map(|&v| f64::from(v)));
    }
    if scores.len() < teach::MIN_IMAGES {
        let (usable, found) = (scores.len(), parts.count());
        return Err(Error::TooFewImages { usable, found, needed: teach::MIN_IMAGES, skipped });
    }
    Ok((scores, pixels))
}
