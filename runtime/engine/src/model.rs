//! A model that was read, checked and typed, and what it says about itself.

use crate::{Error, load};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tract_onnx::prelude::{DatumType, TypedModel};

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum DType {
    F16,
    F32,
    F64,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    Bool,
}

impl DType {
    /// Bytes of one element.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self {
            DType::U8 | DType::I8 | DType::Bool => 1,
            DType::F16 | DType::U16 | DType::I16 => 2,
            DType::F32 | DType::U32 | DType::I32 => 4,
            DType::F64 | DType::U64 | DType::I64 => 8,
        }
    }

    pub(crate) fn from_tract(dt: DatumType) -> Option<DType> {
        Some(match dt.unquantized() {
            DatumType::F16 => DType::F16,
            DatumType::F32 => DType::F32,
            DatumType::F64 => DType::F64,
            DatumType::U8 => DType::U8,
            DatumType::U16 => DType::U16,
            DatumType::U32 => DType::U32,
            DatumType::U64 => DType::U64,
            DatumType::I8 => DType::I8,
            DatumType::I16 => DType::I16,
            DatumType::I32 => DType::I32,
            DatumType::I64 => DType::I64,
            DatumType::Bool => DType::Bool,
            _ => return None,
        })
    }
}

/// Name, shape and element type of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name in the ONNX file.
    pub name: String,
    /// Sizes, outermost first; row-major, no gaps.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl TensorInfo {
    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What reading may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The input's shape, for a file that leaves it open or a fully convolutional graph that shall take another size.
    /// `None` takes the file's; an open batch size is 1.
    pub input_shape: Option<Vec<usize>>,
}

/// An ONNX model, checked and typed: one image input, fixed sizes, operators that can run.
#[derive(Clone)]
pub struct Model {
    pub(crate) name: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) inputs: Vec<TensorInfo>,
    pub(crate) outputs: Vec<TensorInfo>,
    pub(crate) graph: Arc<TypedModel>,
}

impl Model {
    /// Reads an `.onnx` file. External tensor data is looked for beside it.
    ///
    /// # Errors
    /// Every [`Error`] that concerns a file or a graph; each names the file and, where there is one, the node.
    pub fn read(path: &Path) -> Result<Model, Error> {
        Model::read_with(path, &ReadOptions::default())
    }

    /// As [`Model::read`], with options.
    ///
    /// # Errors
    /// As [`Model::read`], and [`Error::InputSize`].
    pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Model, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        load::load(&path.display().to_string(), &bytes, path.parent(), options)
    }

    /// Reads a model from memory. `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Model, Error> {
        load::load(name, bytes, None, &ReadOptions::default())
    }

    /// As [`Model::from_bytes`], with options.
    ///
    /// # Errors
    /// As [`Model::read_with`].
    pub fn from_bytes_with(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Model, Error> {
        load::load(name, bytes, None, options)
    }

    /// What errors call this model: its path, usually.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's `metadata_props`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The one input.
    #[must_use]
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// The outputs, in the file's order.
    #[must_use]
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}
