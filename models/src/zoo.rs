//! The backbones that come with the program.

use std::path::Path;

/// A backbone of the zoo, in both precisions.
struct Entry {
    name: &'static str,
    float: &'static [u8],
    int8: &'static [u8],
}

macro_rules! entry {
    ($name:literal) => {
        Entry {
            name: $name,
            float: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/", $name, ".onnx")),
            int8: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/", $name, ".int8.onnx")),
        }
    };
}

/// The first is what teaching uses where none is named.
const ZOO: [Entry; 2] = [entry!("edge-s"), entry!("edge-m")];

/// Names of all.
pub const NAMES: [&str; ZOO.len()] = [ZOO[0].name, ZOO[1].name];

/// The bytes of the backbone that `path` names; nothing where it is no name of the zoo's and so the path of a file.
pub(crate) fn find(path: &Path, int8: bool) -> Option<&'static [u8]> {
    let entry = ZOO.iter().find(|entry| path.as_os_str() == entry.name)?;
    Some(if int8 { entry.int8 } else { entry.float })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_the_zoo_and_a_path_is_not() {
        assert_eq!(find(Path::new("edge-s"), false), Some(ZOO[0].float));
        assert_eq!(find(Path::new("edge-m"), true), Some(ZOO[1].int8));
        assert_eq!(find(Path::new("./edge-m"), true), None);
        assert_eq!(find(Path::new("edge-m.onnx"), true), None);
    }
}
