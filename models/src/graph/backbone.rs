//! A backbone: an image in, two grids of features out.

use std::path::Path;

use jidoka_engine::onnx::{self, ModelProto};
use jidoka_engine::{DType, Model, ReadOptions, TensorInfo};
use sha2::{Digest, Sha256};

use super::{Builder, IMAGE};
use crate::Error;
use crate::inspection::hex;

/// A checked backbone and the sizes of its taps at the size of input that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Backbone {
    message: ModelProto,
    /// Its name, by itself or by its file.
    pub name: String,
    /// sha256 of its file.
    pub sha256: String,
    /// Width and height of the input in pixels.
    pub size: (usize, usize),
    /// Channels of `tap8` and of `tap16`.
    pub channels: [usize; 2],
    /// Whether the file asks for its taps to be compared as they are (`jidoka.metric` = `euclidean...`), since its training gave
    /// each direction its weight. Otherwise each channel is divided by its standard deviation.
    pub euclidean: bool,
}

/// The taps, shallow one first.
pub(crate) const TAPS: [&str; 2] = ["tap8", "tap16"];
const STRIDES: [usize; 2] = [8, 16];

impl Backbone {
    /// Reads and checks a backbone file for an input of `size` (width, height).
    ///
    /// # Errors
    /// Where the file cannot be read or is no backbone.
    pub fn read(path: &Path, size: (u32, u32)) -> Result<Backbone, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        Backbone::from_bytes(&path.display().to_string(), &bytes, size)
    }

    /// As [`Backbone::read`], from memory.
    ///
    /// # Errors
    /// Where the bytes are no backbone.
    pub fn from_bytes(file: &str, bytes: &[u8], (width, height): (u32, u32)) -> Result<Backbone, Error> {
        let size = (width as usize, height as usize);
        let message = onnx::decode(file, bytes)?;
        // The engine types the graph at the size asked for, so a fully convolutional file takes any.
        let options = ReadOptions { input_shape: Some(vec![1, 3, size.1, size.0]) };
        let wrong = |reason: String| Error::NotABackbone { name: file.to_owned(), reason };
        // A graph that cannot take that size is no backbone: a taught model, say. How it fails inside helps nobody who named it.
        let model = Model::from_bytes_with(file, bytes, &options).map_err(|error| match error {
            jidoka_engine::Error::Invalid { .. } | jidoka_engine::Error::InputSize { .. } => {
                log::debug!("{error}");
                wrong(format!("its graph cannot take an image of {width}x{height}"))
            }
            other => other.into(),
        })?;
        let input = &model.inputs()[0];
        if input.name != IMAGE || input.dtype != DType::F32 {
            return Err(wrong(format!("its input is `{}` {:?}", input.name, input.dtype)));
        }
        let mut channels = [0; 2];
        for (i, (&tap, &stride)) in TAPS.iter().zip(&STRIDES).enumerate() {
            let info = model.outputs().iter().find(|o| o.name == tap);
            let info = info.ok_or_else(|| wrong(format!("it has no output `{tap}`")))?;
            channels[i] = tap_channels(info, size, stride).ok_or_else(|| {
                wrong(format!("`{tap}` is {:?} {:?} for an input of {width}x{height}", info.dtype, info.shape))
            })?;
        }
        let name = model.metadata().get("jidoka.backbone").cloned().unwrap_or_else(|| file.to_owned());
        let euclidean = model.metadata().get("jidoka.metric").is_some_and(|metric| metric.starts_with("euclidean"));
        Ok(Backbone { euclidean, message, name, sha256: hex(&Sha256::digest(bytes)), size, channels })
    }

    /// Width and height of the feature grid, that of `tap8`.
    pub fn grid(&self) -> (usize, usize) {
        (self.size.0 / STRIDES[0], self.size.1 / STRIDES[0])
    }

    /// Shape of tap `k`.
    pub fn tap_shape(&self, k: usize) -> [usize; 4] {
        [1, self.channels[k], self.size.1 / STRIDES[k], self.size.0 / STRIDES[k]]
    }

    /// The stem, which a student shares: the result of the one f32 convolution with stride 2 that reads the image, after its
    /// ReLU where it has one; its name and its channels. None where there is no such thing.
    pub fn stem(&self) -> Option<(String, usize)> {
        let graph = self.message.graph.as_ref()?;
        let mut first = graph.node.iter().filter(|n| n.input.first().is_some_and(|i| i == IMAGE));
        let (Some(conv), None) = (first.next(), first.next()) else { return None };
        let strides = conv.attribute.iter().find(|a| a.name == "strides")?;
        let weight = graph.initializer.iter().find(|c| Some(&c.name) == conv.input.get(1))?;
        if conv.op_type != "Conv" || strides.ints != [2, 2] {
            return None;
        }
        let raw = conv.output.first()?;
        let relu = graph.node.iter().find(|n| n.op_type == "Relu" && n.input.first() == Some(raw));
        let name = relu.map_or(Some(raw), |relu| relu.output.first())?;
        Some((name.clone(), usize::try_from(*weight.dims.first()?).ok()?))
    }

    /// The backbone as a student's teacher: outputs `stem`, `tap8` and `tap16`, in this order.
    pub fn teacher(&self, (stem, channels): (&str, usize)) -> Builder {
        let mut graph = self.begin();
        graph.output(stem, &[1, channels, self.size.1 / 2, self.size.0 / 2]);
        (0..2).for_each(|k| graph.output(TAPS[k], &self.tap_shape(k)));
        graph
    }

    /// The backbone as the beginning of a graph whose input has the size asked for.
    pub fn begin(&self) -> Builder {
        let mut graph = self.message.graph.clone().unwrap_or_default();
        // Shapes that the file states for values inside belong to its own size.
        graph.value_info.clear();
        let declared: Vec<&str> = graph.initializer.iter().map(|c| c.name.as_str()).collect();
        // Old files list constants among the inputs; those stay constants.
        let constants: Vec<String> = declared.into_iter().map(str::to_owned).collect();
        graph.input.retain(|i| i.name != IMAGE && !constants.contains(&i.name));
        let mut builder = Builder::from_graph(&graph);
        builder.input(IMAGE, &[1, 3, self.size.1, self.size.0]);
        builder
    }
}

fn tap_channels(info: &TensorInfo, (width, height): (usize, usize), stride: usize) -> Option<usize> {
    match (info.dtype, info.shape.as_slice()) {
        (DType::F32, &[1, c, h, w]) if c > 0 && h * stride == height && w * stride == width => Some(c),
        _ => None,
    }
}
