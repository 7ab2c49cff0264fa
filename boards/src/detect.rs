//! Which board is this?

use std::path::Path;

use serde::Serialize;

use crate::board::{Board, Error, all};

/// A recognised board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detected {
    /// The board; `generic` when none was recognised.
    pub board: Board,
    /// What the machine calls itself, empty when it does not say.
    pub model: String,
    /// How it was recognised, for people.
    pub how: String,
}

/// Recognise the board whose `/proc` and `/sys` are below `root` (normally `/`).
pub fn detect(root: &Path) -> Result<Detected, Error> {
    let tree = root.join("proc/device-tree");
    let compatible = strings(&tree.join("compatible"));
    let model = strings(&tree.join("model")).into_iter().next().unwrap_or_else(|| product(root));
    let mut boards = all()?;
    for board in &boards {
        if let Some(mark) = board.detect.compatible.iter().find(|mark| compatible.contains(mark)) {
            let how = format!("its device tree says it is compatible with \"{mark}\"");
            return Ok(Detected { board: board.clone(), model, how });
        }
    }
    for board in &boards {
        if let Some(mark) = board.detect.models.iter().find(|mark| model.starts_with(mark.as_str())) {
            let how = format!("its model begins with \"{mark}\"");
            return Ok(Detected { board: board.clone(), model, how });
        }
    }
    let how = match (compatible.first(), model.as_str()) {
        (Some(first), _) => format!("no file describes a board compatible with \"{first}\""),
        (None, "") => "it has no device tree and does not name itself".into(),
        (None, model) => format!("it has no device tree; it calls itself \"{model}\""),
    };
    // `all` ends with the generic board.
    let board = boards.swap_remove(boards.len() - 1);
    Ok(Detected { board, model, how })
}

/// A device-tree property: strings that each end with a zero byte.
fn strings(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).trim().to_string()).collect()
}

/// What the firmware of a machine without device tree calls it.
fn product(root: &Path) -> String {
    let text = std::fs::read_to_string(root.join("sys/class/dmi/id/product_name")).unwrap_or_default();
    text.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &str, says: &str) {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let found = detect(root.path()).unwrap();
        assert_eq!(found.board.name, expected, "{files:?}");
        let text = format!("{} {}", found.model, found.how);
        assert!(text.contains(says), "{text:?} does not say {says:?}");
    }

    #[test]
    fn boards_are_recognised() {
        let compatible = "proc/device-tree/compatible";
        let model = "proc/device-tree/model";
        check(
            &[(compatible, "raspberrypi,5-model-b\0brcm,bcm2712\0"), (model, "Raspberry Pi 5 Model B Rev 1.0\0")],
            "raspberry-pi-5",
            "Rev 1.0 its device tree says it is compatible with \"raspberrypi,5-model-b\"",
        );
        check(&[(compatible, "raspberrypi,4-model-b\0brcm,bcm2711\0")], "raspberry-pi-4", "raspberrypi,4-model-b");
        check(&[(model, "Raspberry Pi 5 Model B Rev 1.1\0")], "raspberry-pi-5", "model begins with");
        check(
            &[(compatible, "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0")],
            "jetson-orin-nano",
            "p3767-0005",
        );
        check(&[(compatible, "linux,dummy-virt\0")], "virtual", "linux,dummy-virt");
        check(&[(compatible, "acme,anvil\0")], "generic", "compatible with \"acme,anvil\"");
        check(&[("sys/class/dmi/id/product_name", "OptiPlex 7010\n")], "generic", "calls itself \"OptiPlex 7010\"");
        check(&[], "generic", "does not name itself");
    }
}
