//! Making one file of a model whose tensors lie in others: exporters put weights into a second file, a station wants one, whose digest and
//! signature cover everything.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use jidoka_engine::onnx::{ModelProto, TensorProto};

use crate::Error;

/// Bytes of all files together: protobuf holds no more than 2 GiB.
const MOST_BYTES: usize = 1 << 31;

/// Takes the tensors that `message`, read from `path`, keeps in other files of the same folder into it.
///
/// # Errors
/// [`Error::NotWhole`] where such a file is missing, lies elsewhere, or is shorter than the model says.
pub(crate) fn gather(path: &Path, message: &mut ModelProto) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = BTreeMap::new();
    for tensor in message.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if tensor.external_data.is_empty() {
            continue;
        }
        let values = read(folder, tensor, &mut files);
        tensor.raw_data = values.map_err(|reason| Error::NotWhole {
            name: path.display().to_string(),
            tensor: tensor.name.clone(),
            reason,
        })?;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(())
}

fn read(folder: &Path, tensor: &TensorProto, files: &mut BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> {
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let number = |key: &str| {
        let value = entry(key).map(|value| value.parse::<usize>().map_err(|_| format!("its {key} is \"{value}\"")));
        value.transpose()
    };
    let location = entry("location").ok_or("it names no file")?;
    // A model from elsewhere must not make this program read what it likes.
    let inside = Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !inside || location.is_empty() {
        return Err(format!("\"{location}\" is not in the model's own folder"));
    }
    if !files.contains_key(location) {
        let bytes = std::fs::read(folder.join(location)).map_err(|error| format!("{location}: {error}"))?;
        if files.values().map(Vec::len).sum::<usize>() + bytes.len() > MOST_BYTES {
            return Err(format!("with {location} it has more than 2 GiB"));
        }
        files.insert(location.to_owned(), bytes);
    }
    let bytes = &files[location];
    let start = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or(bytes.len().saturating_sub(start));
    let end = start.checked_add(length).filter(|&end| end <= bytes.len());
    let end = end.ok_or_else(|| format!("{location} has {} bytes, not {start} + {length}", bytes.len()))?;
    Ok(bytes[start..end].to_vec())
}
